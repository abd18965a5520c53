//! Records read from input: by a format of the percent language, or as lines of JSON.
//!
//! Owns: cutting a stream of bytes into records, and where in it a record begins.
//! Does not own: the language (`format`), the JSON (`json`).
//!
//! A text ends where the literal behind it begins, or after as many bytes as a size before it said (of the text as
//! such: two digits each for `{hex}`), or by itself (`{json}`). Where the format ends in a text and a literal, that
//! literal may be missing at the end of the input, as the end of a last line often is. `%h{…}` is read as often as `%H`
//! before it said.

use std::io::{self, BufRead, Read};

use ottla_protocol::codec::base64;

use super::format::{Format, Number, NumberForm, Part, Text, TextForm};
use super::{NewRecord, json};
use crate::own::refusal::Refusal;

/// Most bytes of one text of the input: no broker takes a larger record, and a wrong size ends here.
const TEXT_BYTES_MAX: usize = 1 << 30;
/// Most headers of one record; more are a wrong number.
const HEADERS_MAX: i64 = 1 << 20;

/// How input is cut into records.
#[derive(Clone, Debug)]
pub enum Input {
    Format(Format),
    /// A record each line; empty lines are passed over.
    Json,
}

impl Input {
    /// A format, if records can be read by it. `text` is what was typed.
    pub fn of_format(format: Format, text: &str) -> Result<Input, Refusal> {
        check(&format, false).map_err(|reason| {
            Refusal::usage(format!("records cannot be read by the format '{text}'"))
                .detail(reason)
                .hint("Such as '%v\\n', '%k %v\\n', or '%K{big32}%k%V{big32}%v'")
        })?;
        Ok(Input::Format(format))
    }

    /// Whether each record says its topic.
    pub fn has_topic(&self) -> bool {
        match self {
            Input::Json => true,
            Input::Format(format) => format.iter().any(|part| matches!(part, Part::Text(Text::Topic, _))),
        }
    }
}

/// An end must be found for each text, and a record needs something to be made of.
fn check(format: &Format, of_header: bool) -> Result<(), String> {
    let mut sized = Vec::new();
    let mut counted = false;
    for (at, part) in format.iter().enumerate() {
        match part {
            Part::Literal(_) | Part::Number(_, _) | Part::Date(_) => {}
            Part::Text(_, TextForm::Json) => {}
            Part::Text(text, _) => {
                let ends = matches!(format.get(at + 1), Some(Part::Literal(_))) || sized.contains(text);
                if !ends {
                    let letter = letter_of(*text);
                    return Err(format!("%{letter} has neither a text behind it nor its size before it"));
                }
            }
            Part::Headers(inner) if counted => check(inner, true)?,
            Part::Headers(_) => return Err("%h has no %H before it".to_owned()),
        }
        if let Part::Number(number, _) = part {
            match number {
                Number::Size(text) => sized.push(*text),
                Number::Headers => counted = true,
                Number::Partition
                | Number::Timestamp
                | Number::Offset
                | Number::Epoch
                | Number::Count
                | Number::TimestampKind => {}
            }
        }
    }
    let has = |text: Text| format.iter().any(|part| matches!(part, Part::Text(it, _) if *it == text));
    match has(Text::Key) || (has(Text::Value) && !of_header) {
        true => Ok(()),
        false if of_header => Err("the format of a header has no %k".to_owned()),
        false => Err("it has no %v and no %k".to_owned()),
    }
}

fn letter_of(text: Text) -> char {
    match text {
        Text::Topic => 't',
        Text::Key => 'k',
        Text::Value => 'v',
    }
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line on which it begins, from 1.
    pub line: u64,
    pub reason: String,
}

impl Unreadable {
    /// As it is told.
    pub fn refusal(self) -> Refusal {
        Refusal::failed(format!("the input cannot be read at line {}", self.line)).detail(self.reason)
    }
}

/// Records of a stream, one after the other.
pub struct Records<R> {
    input: Input,
    from: Counted<R>,
}

impl<R: BufRead> Records<R> {
    pub fn new(input: Input, from: R) -> Records<R> {
        Records { input, from: Counted { from, lines: 0, bytes: 0 } }
    }

    /// Bytes that were read so far.
    pub fn bytes(&self) -> u64 {
        self.from.bytes
    }

    /// The line that is read next, from 1.
    pub fn line(&self) -> u64 {
        self.from.lines + 1
    }

    /// The next record, or `None` at the end of the input.
    pub fn next(&mut self) -> Result<Option<NewRecord>, Unreadable> {
        let line = self.line();
        match &self.input {
            Input::Json => self.next_of_json(),
            Input::Format(format) => {
                read_one(format, &mut self.from).map_err(|reason| Unreadable { line, reason })
            }
        }
    }

    fn next_of_json(&mut self) -> Result<Option<NewRecord>, Unreadable> {
        loop {
            let line = self.line();
            let read = until(&mut self.from, b"\n").map_err(|reason| Unreadable { line, reason })?;
            let (Ended::AtEnd(text) | Ended::WithInput(text)) = &read;
            if !text.iter().all(u8::is_ascii_whitespace) {
                return json::read(text).map(Some).map_err(|reason| Unreadable { line, reason });
            }
            if let Ended::WithInput(_) = read {
                return Ok(None);
            }
        }
    }
}

fn read_one(format: &Format, from: &mut impl BufRead) -> Result<Option<NewRecord>, String> {
    if from.fill_buf().map_err(told)?.is_empty() {
        return Ok(None);
    }
    let mut reading = Reading { from, record: NewRecord::default(), sizes: Sizes::default() };
    reading.read(format, true)?;
    Ok(Some(reading.record))
}

/// A stream that counts what is taken out of it.
struct Counted<R> {
    from: R,
    lines: u64,
    bytes: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(into.len());
        into[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What is taken was looked at before, so it is in the buffer.
        if let Ok(ready) = self.from.fill_buf() {
            let ends = ready.iter().take(count).filter(|byte| **byte == b'\n').count();
            self.lines += u64::try_from(ends).unwrap_or(u64::MAX);
        }
        self.bytes += u64::try_from(count).unwrap_or(u64::MAX);
        self.from.consume(count);
    }
}

#[derive(Default)]
struct Sizes {
    topic: Option<i64>,
    key: Option<i64>,
    value: Option<i64>,
    headers: i64,
}

impl Sizes {
    fn of(&mut self, text: Text) -> &mut Option<i64> {
        match text {
            Text::Topic => &mut self.topic,
            Text::Key => &mut self.key,
            Text::Value => &mut self.value,
        }
    }
}

struct Reading<'a, R> {
    from: &'a mut R,
    record: NewRecord,
    sizes: Sizes,
}

impl<R: BufRead> Reading<'_, R> {
    fn read(&mut self, format: &Format, may_end: bool) -> Result<(), String> {
        let mut parts = format.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(bytes) => self.literal(bytes)?,
                Part::Number(number, form) => self.number(*number, *form)?,
                Part::Text(text, TextForm::Json) => {
                    let bytes = json_value(self.from)?;
                    self.text(*text, bytes)?;
                }
                Part::Text(text, form) => {
                    let bytes = match (self.sizes.of(*text).take(), parts.peek()) {
                        (Some(size), _) => self.sized(size, form)?,
                        (None, Some(Part::Literal(end))) => {
                            parts.next();
                            let is_last = may_end && parts.peek().is_none();
                            match until(self.from, end)? {
                                Ended::AtEnd(bytes) => bytes,
                                Ended::WithInput(bytes) if is_last => bytes,
                                Ended::WithInput(_) => return Err(missing(end)),
                            }
                        }
                        (None, _) => return Err("the format does not say where a text ends".to_owned()),
                    };
                    self.text(*text, decoded(bytes, form)?)?;
                }
                Part::Headers(inner) => {
                    for _ in 0..self.sizes.headers {
                        self.header(inner)?;
                    }
                }
                Part::Date(_) => return Err("%d is read in milliseconds only".to_owned()),
            }
        }
        Ok(())
    }

    fn text(&mut self, text: Text, bytes: Vec<u8>) -> Result<(), String> {
        match text {
            Text::Key => self.record.key = Some(bytes),
            Text::Value => self.record.value = Some(bytes),
            Text::Topic => {
                let name = String::from_utf8(bytes).map_err(|_| "the topic is no UTF-8".to_owned())?;
                self.record.topic = Some(name).filter(|name| !name.is_empty());
            }
        }
        Ok(())
    }

    fn number(&mut self, number: Number, form: NumberForm) -> Result<(), String> {
        let got = read_number(self.from, form)?;
        match number {
            Number::Size(text) => *self.sizes.of(text) = Some(got),
            Number::Headers if got > HEADERS_MAX => return Err(format!("{got} headers are too many")),
            Number::Headers => self.sizes.headers = got,
            Number::Partition => {
                let partition = i32::try_from(got).map_err(|_| format!("{got} is no partition"))?;
                self.record.partition = Some(partition);
            }
            Number::Timestamp => self.record.timestamp = Some(got),
            // These are not in formats that are read.
            Number::Offset | Number::Epoch | Number::Count | Number::TimestampKind => {}
        }
        Ok(())
    }

    /// A header is read like a record of its own.
    fn header(&mut self, format: &Format) -> Result<(), String> {
        let mut reading =
            Reading { from: &mut *self.from, record: NewRecord::default(), sizes: Sizes::default() };
        reading.read(format, false)?;
        let header = reading.record;
        self.record.headers.push((header.key.unwrap_or_default(), header.value));
        Ok(())
    }

    fn literal(&mut self, expected: &[u8]) -> Result<(), String> {
        let got = exactly(self.from, expected.len())?;
        match got == expected {
            true => Ok(()),
            false => {
                let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
                Err(format!("'{}' stands where '{}' should", text(&got), text(expected)))
            }
        }
    }

    fn sized(&mut self, size: i64, form: &TextForm) -> Result<Vec<u8>, String> {
        let size = usize::try_from(size).ok().filter(|size| *size <= TEXT_BYTES_MAX);
        let size = size.ok_or(format!("a size is above {TEXT_BYTES_MAX}"))?;
        let written = match form {
            TextForm::Plain | TextForm::Json | TextForm::Unpack(_) => size,
            TextForm::Hex => size * 2,
            TextForm::Base64 => size.div_ceil(3) * 4,
            TextForm::Base64Raw => (size * 4).div_ceil(3),
        };
        exactly(self.from, written)
    }
}

fn told(error: io::Error) -> String {
    format!("it cannot be read: {error}")
}

fn missing(end: &[u8]) -> String {
    format!("the input ends before a '{}'", end.escape_ascii())
}

/// A text that ends where it should, or with the input.
enum Ended {
    AtEnd(Vec<u8>),
    WithInput(Vec<u8>),
}

/// The bytes before `end`, which is passed over.
fn until(from: &mut impl BufRead, end: &[u8]) -> Result<Ended, String> {
    let last = end.last().copied().unwrap_or_default();
    let mut bytes = Vec::new();
    loop {
        let limit = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX);
        let got = from.take(limit).read_until(last, &mut bytes).map_err(told)?;
        if bytes.ends_with(end) {
            bytes.truncate(bytes.len() - end.len());
            return Ok(Ended::AtEnd(bytes));
        }
        if got == 0 {
            return Ok(Ended::WithInput(bytes));
        }
        if bytes.len() >= TEXT_BYTES_MAX {
            return Err(format!("a text has more than {TEXT_BYTES_MAX} bytes"));
        }
    }
}

fn exactly(from: &mut impl BufRead, count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(count).unwrap_or(u64::MAX);
    from.take(limit).read_to_end(&mut bytes).map_err(told)?;
    match bytes.len() == count {
        true => Ok(bytes),
        false => Err("the input ends in the middle of a record".to_owned()),
    }
}

fn peek(from: &mut impl BufRead) -> Result<Option<u8>, String> {
    Ok(from.fill_buf().map_err(told)?.first().copied())
}

fn read_number(from: &mut impl BufRead, form: NumberForm) -> Result<i64, String> {
    let number = match form {
        NumberForm::Exact(number) => Some(number),
        NumberForm::Ascii => {
            let mut digits = String::new();
            // A number that is too long is refused below.
            while let Some(digit) = peek(from)?.filter(|byte| byte.is_ascii_digit() && digits.len() <= 20) {
                digits.push(char::from(digit));
                from.consume(1);
            }
            digits.parse().ok()
        }
        NumberForm::Hex(digits) => {
            let digits = exactly(from, digits)?;
            let text = String::from_utf8(digits).ok();
            text.and_then(|text| i64::from_str_radix(&text, 16).ok())
        }
        NumberForm::Big(width) => of_big(&exactly(from, width)?),
        NumberForm::Little(width) => {
            let bytes: Vec<u8> = exactly(from, width)?.into_iter().rev().collect();
            of_big(&bytes)
        }
        NumberForm::Bool => None,
    };
    number.filter(|number| *number >= 0).ok_or_else(|| "no number stands where one should".to_owned())
}

/// An unsigned number of at most eight bytes.
fn of_big(bytes: &[u8]) -> Option<i64> {
    let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    i64::try_from(number).ok()
}

/// One value of JSON as it stands there, with what is inside of its brackets. Blanks before it are passed over.
fn json_value(from: &mut impl BufRead) -> Result<Vec<u8>, String> {
    while peek(from)?.is_some_and(|byte| byte.is_ascii_whitespace()) {
        from.consume(1);
    }
    let (mut bytes, mut depth, mut in_text, mut is_escaped) = (Vec::new(), 0usize, false, false);
    while let Some(byte) = peek(from)? {
        let is_outside = depth == 0 && !in_text;
        if is_outside && !bytes.is_empty() && !is_of_word(byte) {
            break;
        }
        if bytes.len() >= TEXT_BYTES_MAX {
            return Err(format!("a text has more than {TEXT_BYTES_MAX} bytes"));
        }
        from.consume(1);
        bytes.push(byte);
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_closed = matches!(byte, b'"' | b'}' | b']') && depth == 0 && !in_text;
        if is_closed {
            break;
        }
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
        .map_err(|error| format!("'{}' is no JSON: {error}", shortened(&bytes)))?;
    Ok(bytes)
}

/// Whether a number, `true`, `false` or `null` may have it.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn shortened(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    let text = bytes.escape_ascii().to_string();
    if text.len() > SHOWN { text.chars().take(SHOWN).chain("...".chars()).collect() } else { text }
}

fn decoded(bytes: Vec<u8>, form: &TextForm) -> Result<Vec<u8>, String> {
    match form {
        TextForm::Plain | TextForm::Json | TextForm::Unpack(_) => Ok(bytes),
        TextForm::Base64 | TextForm::Base64Raw => {
            base64::decode(&bytes).ok_or_else(|| format!("'{}' is no base64", shortened(&bytes)))
        }
        TextForm::Hex => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let pair = |pair: &[u8]| match pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            };
            let read: Option<Vec<u8>> = bytes.chunks(2).map(pair).collect();
            read.ok_or_else(|| format!("'{}' is no hexadecimal text", shortened(&bytes)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format;
    use super::*;

    fn input(format: &str) -> Result<Input, Refusal> {
        Input::of_format(format::for_reading(format).unwrap(), format)
    }

    fn read(format: &str, bytes: &[u8]) -> Result<Vec<NewRecord>, Unreadable> {
        let mut records = Records::new(input(format).unwrap(), bytes);
        let mut read = Vec::new();
        while let Some(record) = records.next()? {
            read.push(record);
        }
        assert_eq!(records.bytes(), u64::try_from(bytes.len()).unwrap());
        Ok(read)
    }

    fn record(key: Option<&str>, value: &str) -> NewRecord {
        let bytes = |text: &str| text.as_bytes().to_vec();
        NewRecord { key: key.map(bytes), value: Some(bytes(value)), ..NewRecord::default() }
    }

    #[test]
    fn texts_end_at_the_literal_behind_them_or_after_their_size() {
        let is = |format: &str, bytes: &[u8], expected: &[NewRecord]| {
            assert_eq!(read(format, bytes).unwrap(), expected, "{format}");
        };
        is("%v\\n", b"a\n\nb", &[record(None, "a"), record(None, ""), record(None, "b")]);
        is("%k: %v\\r\\n", b"k: a\nb\r\n", &[record(Some("k"), "a\nb")]);
        is("%K{big16}%k%V{little32}%v", b"\0\x01k\x02\0\0\0vv", &[record(Some("k"), "vv")]);
        is("%K{1}%k%V{2}%v\\n", b"kvv\nlww\n", &[record(Some("k"), "vv"), record(Some("l"), "ww")]);
        is("%V %v,", b"3 a,b,2 cd,", &[record(None, "a,b"), record(None, "cd")]);
        is("%v{hex}\\n", b"6162\n", &[record(None, "ab")]);
        is("%V %v{hex}|%K %k{base64}\\n", b"2 6162|1 YQ==\n", &[record(Some("a"), "ab")]);
        is("%k{base64} %v\\n", b"Zm9v x\n", &[record(Some("foo"), "x")]);
        is("%K{1}%k{base64raw}%v\\n", b"YQx\n", &[record(Some("a"), "x")]);
        is(
            "%v{json}%k\\n",
            b"{\"a\":[\"}\\\"\"]} k\n-1.5 l\n",
            &[record(Some(" k"), "{\"a\":[\"}\\\"\"]}"), record(Some(" l"), "-1.5")],
        );
    }

    #[test]
    fn everything_of_a_record_can_be_read() {
        let full = read("%t %p %d %H %h{%k=%v,}%v\\n", b"t 3 99 2 a=1,b=,v\n").unwrap();
        let headers = vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), Some(Vec::new()))];
        let expected = NewRecord {
            topic: Some("t".to_owned()),
            partition: Some(3),
            timestamp: Some(99),
            headers,
            ..record(None, "v")
        };
        assert_eq!(full, [expected]);
    }

    #[test]
    fn input_that_does_not_fit_is_refused_with_its_line_and_the_reason() {
        for (format, bytes, line, reason) in [
            ("%K{big32}%k", b"\0\0\0\x05ab".as_slice(), 1, "the input ends in the middle"),
            ("%K{big64}%k", b"\x7f\xff\xff\xff\xff\xff\xff\xff", 1, "a size is above"),
            ("x%v\\n", b"xa\ny", 2, "'y' stands where 'x' should"),
            ("%k %v\\n", b"a b\n\nc", 2, "the input ends before a ' '"),
            ("%V %v,", b"1 a,\n\nb", 1, "no number stands"),
            ("%v{hex}\\n", b"61\n62\n6\n", 3, "'6' is no hexadecimal text"),
            ("%v{base64}\\n", b"Z\n", 1, "'Z' is no base64"),
            ("%v{json}\\n", b"[1]\n{\"a\"}\n", 2, "'{\\\"a\\\"}' is no JSON"),
            ("%H %h{%k,}%v\\n", b"9999999 ", 1, "9999999 headers are too many"),
        ] {
            let refusal = read(format, bytes).unwrap_err();
            assert!(refusal.reason.starts_with(reason), "{format}: {refusal:?}");
            assert_eq!(refusal.line, line, "{format}: {refusal:?}");
        }
        let lines = b"{\"value\":1}".as_slice();
        let spaced = [b"{\"value\":null}\n\n \n".as_slice(), lines].concat();
        let mut records = Records::new(Input::Json, spaced.as_slice());
        assert_eq!(records.next(), Ok(Some(NewRecord::default())));
        assert_eq!(records.next().unwrap_err().line, 4);
    }

    #[test]
    fn a_format_that_says_no_end_is_refused() {
        for (text, reason) in [
            ("%v", "%v has neither a text behind it nor its size before it"),
            ("%k%v\\n", "%k has neither"),
            ("%v%V", "%v has neither"),
            ("%h{%k=%v,}%v\\n", "%h has no %H before it"),
            ("%H%h{%v,}%v\\n", "The format of a header has no %k"),
            ("%p\\n", "It has no %v and no %k"),
            ("x", "It has no %v and no %k"),
        ] {
            let refusal = input(text).unwrap_err().to_string();
            assert!(refusal.contains(&format!("detail: {reason}")), "{text}: {refusal}");
        }
    }
}
