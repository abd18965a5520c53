//! rpk's percent language: how records are written as text or bytes, and read from them.
//!
//! Owns: the language and its parts. Does not own: writing (`text`), reading (`input`), patterns of dates (`date`).
//!
//! | Part | Stands for |
//! |---|---|
//! | `%t` `%k` `%v` | topic, key, value; null is nothing |
//! | `%T` `%K` `%V` `%H` | their sizes in bytes; the number of headers |
//! | `%h{…}` | the part in braces for each header, with `%k`, `%v`, `%K`, `%V` of the header |
//! | `%p` `%o` `%e` `%i` | partition, offset, leader epoch, number of the record in this output from 1 |
//! | `%d` | timestamp in milliseconds; `%d{strftime[%F %T]}`, `%d{go[2006-01-02]}`, `%d{iso}`, in UTC |
//! | `%a{timestamp-type}` | 0 for the producer's clock, 1 for the broker's, -1 for none |
//! | `%%` `%{` `%}` | these characters |
//! | `\n` `\r` `\t` `\\` `\xNN` | end of line, …, a byte |
//!
//! Texts may be `{hex}`, `{base64}`, `{base64raw}`; written also `{unpack[…]}` (`unpack`), read also `{json}`. Numbers
//! may be `{ascii}` (also without braces), `{hexN}`, `{bigN}`, `{littleN}` with N bits: 8, 16, 32, 64 (hex also 4);
//! `{byte}`, written also `{bool}`. A size that is read may be `{3}`: it is always 3 and not in the input.
//!
//! Source: the help of `rpk topic consume` and `rpk topic produce`, whose language this is. Not there: `%x`, `%y`, `%[`,
//! `%|`, `%]`, other attributes, `{re…}`.

use super::date::Pattern;
use super::unpack::Unpacking;
use crate::own::refusal::Refusal;

/// A format: its parts in order.
pub type Format = Vec<Part>;

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(Vec<u8>),
    Text(Text, TextForm),
    Number(Number, NumberForm),
    /// The timestamp as a date.
    Date(Pattern),
    Headers(Format),
}

/// Something of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Topic,
    Key,
    Value,
}

/// How bytes are written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextForm {
    Plain,
    Hex,
    Base64,
    /// Without padding.
    Base64Raw,
    /// Written only.
    Unpack(Unpacking),
    /// Read only: one value of JSON, wherever it ends.
    Json,
}

/// Something that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Size(Text),
    Headers,
    Partition,
    Offset,
    Epoch,
    Count,
    Timestamp,
    TimestampKind,
}

/// How a number is written or read. Numbers that are wider than their form lose their upper part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberForm {
    Ascii,
    /// So many digits.
    Hex(usize),
    /// So many bytes.
    Big(usize),
    /// So many bytes.
    Little(usize),
    /// Written only.
    Bool,
    /// Read only: this number, which is not in the input.
    Exact(i64),
}

/// What a format is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Write,
    Read,
}

/// Reads a format that records shall be written by.
pub fn for_writing(text: &str) -> Result<Format, Refusal> {
    parse(text, Use::Write).map_err(|error| error.refusal(text, "`ottla consume --help` explains formats"))
}

/// Reads a format that records shall be read by; whether their ends can be found is left to `input`.
pub fn for_reading(text: &str) -> Result<Format, Refusal> {
    parse(text, Use::Read).map_err(|error| error.refusal(text, "`ottla produce --help` explains formats"))
}

fn parse(text: &str, purpose: Use) -> Result<Format, Wrong> {
    Parser { text, at: 0, purpose }.parts(false)
}

/// What is wrong with a format, and the byte where it is.
#[derive(Debug)]
struct Wrong {
    at: usize,
    reason: String,
}

impl Wrong {
    fn refusal(self, text: &str, hint: &str) -> Refusal {
        let character = text.get(..self.at).map_or(0, |before| before.chars().count()) + 1;
        Refusal::usage(format!("'{text}' is no format"))
            .detail(format_args!("At character {character}: {}", self.reason))
            .hint(hint)
    }
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    purpose: Use,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Parts up to the end, or for a header up to its closing brace, which is passed over.
    fn parts(&mut self, of_header: bool) -> Result<Format, Wrong> {
        let (mut parts, begin) = (Format::new(), self.at);
        loop {
            let at = self.at;
            let part = match self.take() {
                None if of_header => return Err(wrong(begin.saturating_sub(1), "this { is not closed")),
                None => return Ok(parts),
                Some('}') if of_header => return Ok(parts),
                Some('%') => self.percent(at, of_header)?,
                Some('\\') => Part::Literal(vec![self.escape(at)?]),
                Some(other) => Part::Literal(other.to_string().into_bytes()),
            };
            match (parts.last_mut(), part) {
                (Some(Part::Literal(before)), Part::Literal(more)) => before.extend(more),
                (_, part) => parts.push(part),
            }
        }
    }

    fn escape(&mut self, at: usize) -> Result<u8, Wrong> {
        match self.take() {
            Some('n') => Ok(b'\n'),
            Some('r') => Ok(b'\r'),
            Some('t') => Ok(b'\t'),
            Some('\\') => Ok(b'\\'),
            Some('x') => {
                let digits = self.rest().get(..2).filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
                self.at += 2;
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                byte.ok_or_else(|| wrong(at, "\\x is not followed by two hexadecimal digits"))
            }
            Some(other) => Err(wrong(at, format!("\\{other} is none of \\n, \\r, \\t, \\\\, \\xNN"))),
            None => Err(wrong(at, "a \\ stands at the end; \\\\ is one as such")),
        }
    }

    /// What stands behind a percent sign, which is at `at`.
    fn percent(&mut self, at: usize, of_header: bool) -> Result<Part, Wrong> {
        let letter = self.take().ok_or_else(|| wrong(at, "a % stands at the end; %% is one as such"))?;
        if of_header && !matches!(letter, 'k' | 'v' | 'K' | 'V' | '%' | '{' | '}') {
            return Err(wrong(at, format!("%{letter} is none of %k, %v, %K, %V of a header")));
        }
        match letter {
            '%' | '{' | '}' => Ok(Part::Literal(letter.to_string().into_bytes())),
            't' => self.text_part(Text::Topic),
            'k' => self.text_part(Text::Key),
            'v' => self.text_part(Text::Value),
            'T' => self.number_part(Number::Size(Text::Topic)),
            'K' => self.number_part(Number::Size(Text::Key)),
            'V' => self.number_part(Number::Size(Text::Value)),
            'H' => self.number_part(Number::Headers),
            'p' => self.number_part(Number::Partition),
            'h' => match self.take() {
                Some('{') => self.parts(true).map(Part::Headers),
                _ => Err(wrong(at, "%h needs a format in braces, such as %h{%k=%v }")),
            },
            'd' => self.date_part(at),
            'o' | 'e' | 'i' | 'a' if self.purpose == Use::Read => {
                Err(wrong(at, format!("%{letter} is decided by the cluster and cannot be read")))
            }
            'o' => self.number_part(Number::Offset),
            'e' => self.number_part(Number::Epoch),
            'i' => self.number_part(Number::Count),
            'a' => match self.modifier()? {
                Some((_, "timestamp-type")) => Ok(Part::Number(Number::TimestampKind, NumberForm::Ascii)),
                Some((form_at, text)) if text.starts_with("timestamp-type;") => {
                    let form = text.trim_start_matches("timestamp-type;");
                    Ok(Part::Number(Number::TimestampKind, self.number_form(form, form_at)?))
                }
                _ => Err(wrong(at, "%a has one attribute here: %a{timestamp-type}")),
            },
            'x' | 'y' | '[' | ']' | '|' => {
                Err(wrong(at, format!("%{letter} of rpk is not known to this client")))
            }
            other => Err(wrong(at, format!("%{other} is no part of a record; %% is a percent sign"))),
        }
    }

    /// The text in braces and where it begins, if there are braces.
    fn modifier(&mut self) -> Result<Option<(usize, &'a str)>, Wrong> {
        let Some(inner) = self.rest().strip_prefix('{') else { return Ok(None) };
        let at = self.at;
        match inner.split_once('}') {
            Some((text, _)) => {
                self.at += text.len() + 2;
                Ok(Some((at + 1, text)))
            }
            None => Err(wrong(at, "this { is not closed")),
        }
    }

    /// `{name[…]}` with any number of `[`, `{`, `(` or `#`: what is wrapped. `None` where there is another modifier.
    fn wrapped(&mut self, name: &str) -> Result<Option<(usize, &'a str)>, Wrong> {
        let Some(behind) = self.rest().strip_prefix('{').and_then(|rest| rest.strip_prefix(name)) else {
            return Ok(None);
        };
        let at = self.at;
        let (open, close) = match behind.chars().next() {
            Some('[') => ('[', "]"),
            Some('{') => ('{', "}"),
            Some('(') => ('(', ")"),
            Some('#') => ('#', "#"),
            _ => return Err(wrong(at, format!("{name} needs brackets: {{{name}[...]}}"))),
        };
        let inner = behind.trim_start_matches(open);
        let wrappers = behind.len() - inner.len();
        let end = close.repeat(wrappers) + "}";
        let length = inner.find(&end).ok_or_else(|| wrong(at, format!("'{end}' is missing")))?;
        let begin = at + 1 + name.len() + wrappers;
        self.at = begin + length + end.len();
        Ok(inner.get(..length).map(|inner| (begin, inner)))
    }

    fn text_part(&mut self, text: Text) -> Result<Part, Wrong> {
        if let Some((at, inner)) = self.wrapped("unpack")? {
            if self.purpose == Use::Read {
                return Err(wrong(at, "{unpack} is for writing only"));
            }
            let unpacking = Unpacking::parse(inner).map_err(|reason| wrong(at, reason))?;
            return Ok(Part::Text(text, TextForm::Unpack(unpacking)));
        }
        let Some((at, name)) = self.modifier()? else { return Ok(Part::Text(text, TextForm::Plain)) };
        let form = match (name, self.purpose) {
            ("hex", _) => TextForm::Hex,
            ("base64", _) => TextForm::Base64,
            ("base64raw", _) => TextForm::Base64Raw,
            ("json", Use::Read) => TextForm::Json,
            (other, Use::Write) => {
                return Err(wrong(at, format!("'{other}' is none of hex, base64, base64raw, unpack[...]")));
            }
            (other, Use::Read) => {
                return Err(wrong(at, format!("'{other}' is none of hex, base64, base64raw, json")));
            }
        };
        Ok(Part::Text(text, form))
    }

    fn number_part(&mut self, number: Number) -> Result<Part, Wrong> {
        let form = match self.modifier()? {
            None => NumberForm::Ascii,
            Some((at, name)) => self.number_form(name, at)?,
        };
        Ok(Part::Number(number, form))
    }

    fn number_form(&self, name: &str, at: usize) -> Result<NumberForm, Wrong> {
        let bytes = |bits: &str| match bits {
            "8" => Some(1),
            "16" => Some(2),
            "32" => Some(4),
            "64" => Some(8),
            _ => None,
        };
        let digits = |bits: &str| if bits == "4" { Some(1) } else { bytes(bits).map(|bytes| bytes * 2) };
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let form = match name {
            "ascii" => Some(NumberForm::Ascii),
            "byte" => Some(NumberForm::Big(1)),
            "bool" if self.purpose == Use::Write => Some(NumberForm::Bool),
            _ if is_number && self.purpose == Use::Read => name.parse().ok().map(NumberForm::Exact),
            _ => {
                let hex = name.strip_prefix("hex").and_then(digits).map(NumberForm::Hex);
                let big = name.strip_prefix("big").and_then(bytes).map(NumberForm::Big);
                hex.or(big).or(name.strip_prefix("little").and_then(bytes).map(NumberForm::Little))
            }
        };
        form.ok_or_else(|| {
            let more = if self.purpose == Use::Write { "bool" } else { "a number" };
            let known = "ascii, byte, hexN, bigN, littleN with N of 8, 16, 32, 64";
            wrong(at, format!("'{name}' is none of {known}, {more}"))
        })
    }

    fn date_part(&mut self, at: usize) -> Result<Part, Wrong> {
        let pattern = if let Some((at, inner)) = self.wrapped("strftime")? {
            Some(Pattern::of_strftime(inner).map_err(|reason| wrong(at, reason))?)
        } else if let Some((_, inner)) = self.wrapped("go")? {
            Some(Pattern::of_go(inner))
        } else if self.rest().starts_with("{iso}") {
            self.at += "{iso}".len();
            Some(Pattern::iso())
        } else {
            None
        };
        match pattern {
            Some(_) if self.purpose == Use::Read => Err(wrong(at, "%d is read in milliseconds only")),
            Some(pattern) => Ok(Part::Date(pattern)),
            None => self.number_part(Number::Timestamp),
        }
    }
}

fn wrong(at: usize, reason: impl Into<String>) -> Wrong {
    Wrong { at, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_cut_into_its_parts() {
        assert_eq!(
            for_writing("a%k{hex}\\t%V{big32}%h{%k=%v{base64}%}}%%\\x00").unwrap(),
            [
                Part::Literal(b"a".to_vec()),
                Part::Text(Text::Key, TextForm::Hex),
                Part::Literal(b"\t".to_vec()),
                Part::Number(Number::Size(Text::Value), NumberForm::Big(4)),
                Part::Headers(vec![
                    Part::Text(Text::Key, TextForm::Plain),
                    Part::Literal(b"=".to_vec()),
                    Part::Text(Text::Value, TextForm::Base64),
                    Part::Literal(b"}".to_vec()),
                ]),
                Part::Literal(b"%\0".to_vec()),
            ]
        );
        let four_sized = for_reading("%K{4}%k%v{json}").unwrap();
        assert_eq!(four_sized[0], Part::Number(Number::Size(Text::Key), NumberForm::Exact(4)));
        assert_eq!(four_sized[2], Part::Text(Text::Value, TextForm::Json));
        assert_eq!(
            for_writing("%d{strftime###[%F]###}").unwrap(),
            [Part::Date(Pattern::of_strftime("[%F]").unwrap())]
        );
    }

    #[test]
    fn what_is_no_format_is_refused_with_its_place() {
        let place = |refusal: Refusal| {
            let text = refusal.to_string();
            let (_, behind) = text.split_once("detail: At character ").unwrap();
            let (place, reason) = behind.split_once(": ").unwrap();
            (place.parse::<usize>().unwrap(), reason.lines().next().unwrap().to_owned())
        };
        for (text, at, reason) in [
            ("%", 1, "A % stands at the end; %% is one as such."),
            ("é%z", 2, "%z is no part of a record; %% is a percent sign."),
            ("%k %v{", 6, "This { is not closed."),
            ("%k{octal}", 4, "'octal' is none of hex, base64, base64raw, unpack[...]."),
            (
                "%p{big24}",
                4,
                "'big24' is none of ascii, byte, hexN, bigN, littleN with N of 8, 16, 32, 64, bool.",
            ),
            ("%h", 1, "%h needs a format in braces, such as %h{%k=%v }."),
            ("%h{%k", 3, "This { is not closed."),
            ("%h{%t}", 4, "%t is none of %k, %v, %K, %V of a header."),
            ("ab\\q", 3, "\\q is none of \\n, \\r, \\t, \\\\, \\xNN."),
            ("\\", 1, "A \\ stands at the end; \\\\ is one as such."),
            ("\\x0", 1, "\\x is not followed by two hexadecimal digits."),
            ("\\x+1", 1, "\\x is not followed by two hexadecimal digits."),
            ("%d{strftime[%Q]}", 13, "%Q is no field of strftime that is known here."),
            ("%d{strftime[%F}", 3, "']}' is missing."),
            ("%v{unpack[z]}", 11, "'z' is none of < > x b B h H i I q Q c . s $."),
            ("%a", 1, "%a has one attribute here: %a{timestamp-type}."),
            ("%x", 1, "%x of rpk is not known to this client."),
        ] {
            let (got, said) = place(for_writing(text).unwrap_err());
            assert_eq!((got, said.to_lowercase()), (at, reason.to_lowercase()), "{text}");
        }
        for (text, at) in [("%v %o\\n", 4), ("%d{iso} %v\\n", 1), ("%v{unpack[b]}\\n", 11), ("%V{bool}%v", 4)]
        {
            assert_eq!(place(for_reading(text).unwrap_err()).0, at, "{text}");
        }
    }

    /// All texts of up to four characters of those that mean something.
    #[test]
    fn no_text_is_too_odd_to_be_refused() {
        let alphabet = ["%", "{", "}", "[", "#", "\\", "x", "0", "h", "k", "v", "d", "go", "unpack", "é"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer =
                texts.iter().flat_map(|text| alphabet.iter().map(move |more| format!("{text}{more}")));
            texts = longer.collect();
            let is_format = |text: &&String| for_writing(text).is_ok() | for_reading(text).is_ok();
            let formats = texts.iter().filter(is_format).count();
            assert!(0 < formats && formats < texts.len());
        }
    }
}
