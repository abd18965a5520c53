//! The text of `.properties` files, as `java.util.Properties` reads it.
//!
//! Owns: lines, comments, continuation, separators, escapes. Does not own: files; what the keys mean.
//!
//! ```text
//! # comment            ! comment
//! key=value            key : value            key value
//! key = one \
//!       two            the value is "one two"
//! t\u00fcr=a\tb        escapes in keys and values; \ before any other character stands for that character
//! ```
//!
//! One difference is meant: bytes are read as UTF-8 where they are UTF-8, and as Latin-1, which is all that Java reads,
//! only otherwise.
//!
//! Source: the documentation of `java.util.Properties.load`.

use super::Settings;

/// One entry of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    pub name: String,
    pub value: String,
    /// Line the entry begins on, from 1.
    pub line: u32,
}

/// The entries of a file, in its order. A name may stand twice; the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub entries: Vec<Property>,
}

/// Why a text is not a properties file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    #[error("line {line}: malformed \\uxxxx escape in '{text}': four hexadecimal digits must follow \\u")]
    Escape { line: u32, text: String },
}

impl Properties {
    /// Reads the bytes of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Properties, PropertiesError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Properties::parse(text),
            Err(_) => Properties::parse(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>()),
        }
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Result<Properties, PropertiesError> {
        let mut entries = Vec::new();
        let mut lines = (1_u32..).zip(natural_lines(text));
        while let Some((line, first)) = lines.next() {
            let first = first.trim_start_matches(is_space);
            if first.is_empty() || first.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = first.to_owned();
            while ends_with_continuation(&logical) {
                logical.pop();
                let Some((_, next)) = lines.next() else { break };
                logical.push_str(next.trim_start_matches(is_space));
            }
            let (name, value) = split_entry(&logical);
            let unescape =
                |part| unescape(part).ok_or_else(|| PropertiesError::Escape { line, text: logical.clone() });
            entries.push(Property { name: unescape(name)?, value: unescape(value)?, line });
        }
        Ok(Properties { entries })
    }

    /// The values by name; of equal names the last.
    pub fn settings(&self) -> Settings {
        self.entries.iter().map(|entry| (entry.name.clone(), entry.value.clone())).collect()
    }

    /// The line that gives a name its value.
    pub fn line_of(&self, name: &str) -> Option<u32> {
        self.entries.iter().rfind(|entry| entry.name == name).map(|entry| entry.line)
    }
}

/// Lines as Java separates them: at a line feed, a carriage return or both together.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

/// An odd number of backslashes at the end: the last one is not escaped itself.
fn ends_with_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits at the first `=`, `:` or white space that no backslash escapes.
fn split_entry(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let mut key_end = line.len();
    for (at, character) in line.char_indices() {
        if !escaped && (matches!(character, '=' | ':') || is_space(character)) {
            key_end = at;
            break;
        }
        escaped = character == '\\' && !escaped;
    }
    let (name, rest) = line.split_at(key_end);
    let rest = rest.trim_start_matches(is_space);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (name, rest.trim_start_matches(is_space))
}

/// `None` for a `\u` without four hexadecimal digits behind it.
fn unescape(text: &str) -> Option<String> {
    // Java's escapes are UTF-16 units, so that two of them may make one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut buffer = [0_u16; 2];
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let plain = match character {
            '\\' => match rest.next() {
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let is_hex = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                    units.push(u16::from_str_radix(&digits, 16).ok().filter(|_| is_hex)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(other) => other,
                None => continue,
            },
            plain => plain,
        };
        units.extend_from_slice(plain.encode_utf16(&mut buffer));
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, String, u32)> {
        let properties = Properties::parse(text).unwrap();
        properties.entries.into_iter().map(|entry| (entry.name, entry.value, entry.line)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let [(name, value, _)] = entries(text).try_into().unwrap();
        (name, value)
    }

    #[test]
    fn a_key_ends_at_the_first_separator() {
        for text in ["k=v", "k:v", "k v", "k = v", "  k\t:\tv", "k\x0c=v"] {
            assert_eq!(one(text), ("k".to_owned(), "v".to_owned()), "{text:?}");
        }
        assert_eq!(one("k==v"), ("k".to_owned(), "=v".to_owned()));
        assert_eq!(one("k = : v"), ("k".to_owned(), ": v".to_owned()));
        assert_eq!(one("k"), ("k".to_owned(), String::new()));
        assert_eq!(one(r"a\=b\ c=v"), ("a=b c".to_owned(), "v".to_owned()));
        assert_eq!(
            one("listeners=PLAINTEXT://:9092"),
            ("listeners".to_owned(), "PLAINTEXT://:9092".to_owned())
        );
    }

    #[test]
    fn white_space_behind_a_value_belongs_to_it() {
        assert_eq!(one("k= v  ").1, "v  ");
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        assert_eq!(entries("# a=b\n  ! c=d\n\n \t\nk=v\n"), [("k".to_owned(), "v".to_owned(), 5)]);
        // A comment is never continued.
        assert_eq!(one("# a\\\nk=v").0, "k");
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        assert_eq!(one("k=one,\\\n    two,\\\r\n\tthree").1, "one,two,three");
        assert_eq!(one(r"k=a\\").1, r"a\");
        assert_eq!(one("k=a\\").1, "a");
        assert_eq!(entries("k=a\\\n#b\nc=d")[0].1, "a#b");
        assert_eq!(entries("k=a\\\nb\nc=d")[1], ("c".to_owned(), "d".to_owned(), 3));
    }

    #[test]
    fn escapes_stand_for_characters() {
        assert_eq!(one(r"k=a\tb\nc\qd\:").1, "a\tb\ncqd:");
        assert_eq!(one(r"t\u00fcr=\u20AC").0, "tür");
        assert_eq!(one(r"k=\ud83d\ude00").1, "😀");
        for text in [r"a=b\u00", r"\uzzzz=1", r"a=\u+123"] {
            let error = Properties::parse(&format!("x=1\n{text}")).unwrap_err();
            assert_eq!(error, PropertiesError::Escape { line: 2, text: text.to_owned() });
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let properties = Properties::parse("a=1\nb=2\na=3").unwrap();
        assert_eq!(properties.settings()["a"], "3");
        assert_eq!(properties.line_of("a"), Some(3));
        assert_eq!(properties.line_of("c"), None);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_latin_1() {
        assert_eq!(Properties::from_bytes(b"k=\xfc").unwrap().settings()["k"], "ü");
        assert_eq!(Properties::from_bytes("k=ü".as_bytes()).unwrap().settings()["k"], "ü");
    }
}
