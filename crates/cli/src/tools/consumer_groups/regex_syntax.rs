//! Whether a text is a regular expression of RE2: those that groups of the consumer protocol subscribe with.
//!
//! Owns: the syntax, and the words for what is wrong with a text (those of the RE2/J library that Kafka uses).
//! Does not own: matching.
//!
//! A text is read once from left to right; the first mistake is told. What looks like a repetition but is none
//! (`a{x}`, `a{,2}`) stands for itself.
//!
//! Source: the syntax page of RE2; behaviour of Kafka 4.3.1's tool on the texts of the test.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// What is wrong with an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("missing closing )")]
    MissingParen,
    #[error("missing closing ]")]
    MissingBracket,
    /// RE2/J has no word of its own for it.
    #[error("regexp/syntax: internal error")]
    UnexpectedParen,
    #[error("missing argument to repetition operator")]
    NothingToRepeat,
    #[error("invalid nested repetition operator")]
    NestedRepetition,
    #[error("invalid repeat count")]
    RepeatCount,
    #[error("invalid character class range")]
    ClassRange,
    #[error("invalid escape sequence")]
    Escape,
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    #[error("invalid or unsupported Perl syntax")]
    Perl,
    #[error("invalid named capture")]
    NamedCapture,
    #[error("duplicate capture group name")]
    DuplicateName,
}

/// Largest number of a counted repetition.
const REPEAT_MAX: u32 = 1000;

/// Checks an expression.
pub(super) fn check(text: &str) -> Result<(), SyntaxError> {
    let mut parser =
        Parser { rest: text.chars().peekable(), open: 0, has_item: false, names: BTreeSet::new() };
    let mut was_repeated = false;
    while let Some(character) = parser.rest.next() {
        was_repeated = parser.part(character, was_repeated)?;
    }
    match parser.open {
        0 => Ok(()),
        _ => Err(SyntaxError::MissingParen),
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    /// How many groups are open.
    open: usize,
    /// Whether there is something that a repetition can repeat.
    has_item: bool,
    names: BTreeSet<String>,
}

impl Parser<'_> {
    /// Reads one part of the expression, whose first character is taken already. Answers whether it is a repetition.
    fn part(&mut self, character: char, was_repeated: bool) -> Result<bool, SyntaxError> {
        match character {
            '(' => self.group()?,
            ')' => {
                self.open = self.open.checked_sub(1).ok_or(SyntaxError::UnexpectedParen)?;
                self.has_item = true;
            }
            '|' => self.has_item = false,
            '*' | '+' | '?' => {
                self.repetition(was_repeated)?;
                return Ok(true);
            }
            '{' if self.counts()? => {
                self.repetition(was_repeated)?;
                return Ok(true);
            }
            '[' => {
                self.class()?;
                self.has_item = true;
            }
            '\\' => self.escaped()?,
            _ => self.has_item = true,
        }
        Ok(false)
    }

    fn repetition(&mut self, was_repeated: bool) -> Result<(), SyntaxError> {
        // A question mark behind a repetition makes it lazy.
        self.rest.next_if_eq(&'?');
        match (was_repeated, self.has_item) {
            (true, _) => Err(SyntaxError::NestedRepetition),
            (false, true) => Ok(()),
            (false, false) => Err(SyntaxError::NothingToRepeat),
        }
    }

    /// Takes `2}`, `2,}` or `2,3}`; answers `false`, and takes nothing, where something else stands behind the brace.
    fn counts(&mut self) -> Result<bool, SyntaxError> {
        let mut ahead = self.rest.clone();
        let Some(min) = count(&mut ahead) else { return Ok(false) };
        let max = match ahead.next_if_eq(&',') {
            None => Some(min),
            Some(_) if ahead.peek() == Some(&'}') => None,
            Some(_) => match count(&mut ahead) {
                Some(max) => Some(max),
                None => return Ok(false),
            },
        };
        if ahead.next() != Some('}') {
            return Ok(false);
        }
        self.rest = ahead;
        let is_valid = min <= REPEAT_MAX && max.is_none_or(|max| min <= max && max <= REPEAT_MAX);
        if is_valid { Ok(true) } else { Err(SyntaxError::RepeatCount) }
    }

    fn group(&mut self) -> Result<(), SyntaxError> {
        if self.rest.next_if_eq(&'?').is_some() {
            return self.perl_group();
        }
        self.begin_group();
        Ok(())
    }

    fn begin_group(&mut self) {
        self.open += 1;
        self.has_item = false;
    }

    /// What stands behind `(?`: a name, or flags for the rest of the group or for a group of their own.
    fn perl_group(&mut self) -> Result<(), SyntaxError> {
        let mut ahead = self.rest.clone();
        ahead.next_if_eq(&'P');
        if ahead.next() == Some('<') {
            self.rest = ahead;
            return self.named_group();
        }
        let (mut is_negated, mut has_flag) = (false, false);
        loop {
            match self.rest.next() {
                Some('i' | 'm' | 's' | 'U') => has_flag = true,
                Some('-') if !is_negated => (is_negated, has_flag) = (true, false),
                Some(end @ (':' | ')')) if !is_negated || has_flag => {
                    if end == ':' {
                        self.begin_group();
                    }
                    return Ok(());
                }
                Some(_) | None => return Err(SyntaxError::Perl),
            }
        }
    }

    fn named_group(&mut self) -> Result<(), SyntaxError> {
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('>') if !name.is_empty() => break,
                Some(character) if character == '_' || character.is_ascii_alphanumeric() => {
                    name.push(character)
                }
                Some(_) | None => return Err(SyntaxError::NamedCapture),
            }
        }
        if !self.names.insert(name) {
            return Err(SyntaxError::DuplicateName);
        }
        self.begin_group();
        Ok(())
    }

    /// What stands behind a backslash outside of a class.
    fn escaped(&mut self) -> Result<(), SyntaxError> {
        match self.rest.peek() {
            Some('A' | 'b' | 'B' | 'z') => drop(self.rest.next()),
            Some('Q') => {
                self.rest.next();
                return self.literally();
            }
            Some(_) | None => {
                if !self.class_escape()? {
                    self.character_escape()?;
                }
            }
        }
        self.has_item = true;
        Ok(())
    }

    /// Everything up to `\E` stands for itself.
    fn literally(&mut self) -> Result<(), SyntaxError> {
        while let Some(character) = self.rest.next() {
            if character == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return Ok(());
            }
            self.has_item = true;
        }
        Ok(())
    }

    /// `\d` and its like, and classes of Unicode. Answers `false`, and takes nothing, where something else stands there.
    fn class_escape(&mut self) -> Result<bool, SyntaxError> {
        match self.rest.peek() {
            Some('d' | 's' | 'w' | 'D' | 'S' | 'W') => {
                self.rest.next();
                Ok(true)
            }
            Some('p' | 'P') => {
                self.rest.next();
                let mut name = String::new();
                match self.rest.next() {
                    Some('{') => loop {
                        match self.rest.next() {
                            Some('}') => break,
                            Some(character) => name.push(character),
                            None => return Err(SyntaxError::ClassRange),
                        }
                    },
                    Some(character) => name.push(character),
                    None => return Err(SyntaxError::ClassRange),
                }
                let name = name.strip_prefix('^').unwrap_or(&name);
                if is_unicode_class(name) { Ok(true) } else { Err(SyntaxError::ClassRange) }
            }
            Some(_) | None => Ok(false),
        }
    }

    /// A single character behind a backslash; answers which, as far as that matters to ranges.
    fn character_escape(&mut self) -> Result<u32, SyntaxError> {
        let character = self.rest.next().ok_or(SyntaxError::TrailingBackslash)?;
        match character {
            '0' => Ok(self.octal(0)),
            // One digit alone would refer to a group, which RE2 cannot.
            '1'..='7' if self.rest.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
                Ok(self.octal(character.to_digit(8).unwrap_or(0)))
            }
            'x' => self.hexadecimal(),
            'a' => Ok(7),
            'f' => Ok(12),
            'n' => Ok(10),
            'r' => Ok(13),
            't' => Ok(9),
            'v' => Ok(11),
            _ if character == '_' || !character.is_ascii_alphanumeric() => Ok(character.into()),
            _ => Err(SyntaxError::Escape),
        }
    }

    /// Up to two more digits of a number.
    fn octal(&mut self, first: u32) -> u32 {
        let mut value = first;
        for _ in 0..2 {
            let Some(digit) = self.rest.next_if(|next| next.is_digit(8)) else { break };
            value = value * 8 + digit.to_digit(8).unwrap_or(0);
        }
        value
    }

    fn hexadecimal(&mut self) -> Result<u32, SyntaxError> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            loop {
                match self.rest.next() {
                    Some('}') => break,
                    Some(digit) => digits.push(digit),
                    None => return Err(SyntaxError::Escape),
                }
            }
        } else {
            digits.extend(self.rest.by_ref().take(2));
            if digits.chars().count() < 2 {
                return Err(SyntaxError::Escape);
            }
        }
        let is_hexadecimal = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        let value = u32::from_str_radix(&digits, 16).ok().filter(|_| is_hexadecimal);
        value.filter(|value| *value <= u32::from(char::MAX)).ok_or(SyntaxError::Escape)
    }

    /// What stands behind `[`, to the closing bracket.
    fn class(&mut self) -> Result<(), SyntaxError> {
        self.rest.next_if_eq(&'^');
        let mut is_first = true;
        loop {
            match self.rest.peek() {
                None => return Err(SyntaxError::MissingBracket),
                Some(']') if !is_first => {
                    self.rest.next();
                    return Ok(());
                }
                Some(_) => {}
            }
            is_first = false;
            if !self.named_class()? && !self.perl_class()? {
                self.range()?;
            }
        }
    }

    /// `[:alpha:]`; without `:]` behind it, the bracket stands for itself.
    fn named_class(&mut self) -> Result<bool, SyntaxError> {
        let rest: String = self.rest.clone().collect();
        let Some((name, _)) = rest.strip_prefix("[:").and_then(|behind| behind.split_once(":]")) else {
            return Ok(false);
        };
        if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(SyntaxError::ClassRange);
        }
        self.rest.by_ref().take(name.chars().count() + 4).for_each(drop);
        Ok(true)
    }

    fn perl_class(&mut self) -> Result<bool, SyntaxError> {
        if self.rest.peek() != Some(&'\\') {
            return Ok(false);
        }
        let before = self.rest.clone();
        self.rest.next();
        let is_class = self.class_escape()?;
        if !is_class {
            self.rest = before;
        }
        Ok(is_class)
    }

    /// A character, or two with a dash between them. A dash at the end of the class stands for itself.
    fn range(&mut self) -> Result<(), SyntaxError> {
        let low = self.class_character()?;
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.peek() == Some(&']') {
            return Ok(());
        }
        self.rest = ahead;
        let high = self.class_character()?;
        if low <= high { Ok(()) } else { Err(SyntaxError::ClassRange) }
    }

    fn class_character(&mut self) -> Result<u32, SyntaxError> {
        match self.rest.next() {
            Some('\\') => self.character_escape(),
            Some(character) => Ok(character.into()),
            None => Err(SyntaxError::MissingBracket),
        }
    }
}

/// A number without zeros in front; one that is far too large is as good as any other.
fn count(rest: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    match digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        true => None,
        false => Some(digits.parse().unwrap_or(u32::MAX)),
    }
}

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

const CATEGORIES: [&str; 37] = [
    "Any", "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd",
    "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp",
    "Zs",
];

/// Scripts of Unicode as far as RE2/J knows them.
const SCRIPTS: &str = "\
    Arabic Armenian Avestan Balinese Bamum Batak Bengali Bopomofo Brahmi Braille Buginese Buhid \
    Canadian_Aboriginal Carian Cham Cherokee Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari \
    Egyptian_Hieroglyphs Ethiopic Georgian Glagolitic Gothic Greek Gujarati Gurmukhi Han Hangul Hanunoo Hebrew \
    Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada \
    Katakana Kayah_Li Kharoshthi Khmer Lao Latin Lepcha Limbu Linear_B Lisu Lycian Lydian Malayalam Mandaic \
    Meetei_Mayek Mongolian Myanmar New_Tai_Lue Nko Ogham Ol_Chiki Old_Italic Old_Persian Old_South_Arabian \
    Old_Turkic Oriya Osmanya Phags_Pa Phoenician Rejang Runic Samaritan Saurashtra Shavian Sinhala Sundanese \
    Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Tamil Telugu Thaana Thai Tibetan Tifinagh \
    Ugaritic Unknown Vai Yi";

fn is_unicode_class(name: &str) -> bool {
    CATEGORIES.contains(&name) || SCRIPTS.split(' ').any(|script| script == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What RE2/J says of texts, as Kafka 4.3.1's tool prints it.
    #[test]
    fn expressions_are_judged_as_by_kafka_s_tool() {
        let told = include_str!("../../../tests/data/regex-syntax.tsv");
        let mut count = 0;
        for (text, verdict) in told.lines().filter_map(|row| row.split_once('\t')) {
            let ours = check(text).map_or_else(|error| error.to_string(), |()| "OK".to_owned());
            assert_eq!(ours, verdict, "{text}");
            count += 1;
        }
        assert!(count > 130, "{count}");
    }
}
