//! Lines of input as records: `LineMessageReader` of Kafka's console producer.
//!
//! Owns: its properties, and cutting a line into headers, key and value.
//! Does not own: where lines come from, sending.
//!
//! Source: `kafka-console-producer.sh` of Kafka 4.3.1 (`tests/data/console.txt`).

use ottla_client::config::Properties;

use super::super::failure::Failure;

/// What a line is cut at, and what stands for null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineReader {
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    null_marker: Option<String>,
    line_number: u64,
}

/// A record as a line tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<LineHeader>,
}

/// Key and value.
pub type LineHeader = (Vec<u8>, Option<Vec<u8>>);

impl LineReader {
    /// Reads the properties; others are passed over, as Kafka's reader does.
    pub fn new(properties: &Properties) -> Result<LineReader, Failure> {
        let is_true =
            |name: &str| properties.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let text =
            |name: &str, default: &str| properties.get(name).map_or(default, String::as_str).to_owned();
        let reader = LineReader {
            parse_key: is_true("parse.key"),
            parse_headers: is_true("parse.headers"),
            ignore_error: is_true("ignore.error"),
            key_separator: text("key.separator", "\t"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            null_marker: properties.get("null.marker").cloned(),
            line_number: 0,
        };
        reader.check()?;
        Ok(reader)
    }

    /// Two marks that are equal could not be told apart in a line.
    fn check(&self) -> Result<(), Failure> {
        let key = ("key.separator", Some(self.key_separator.as_str()));
        let delimiter = ("headers.delimiter", Some(self.headers_delimiter.as_str()));
        let separator = ("headers.separator", Some(self.headers_separator.as_str()));
        let key_separator = ("headers.key.separator", Some(self.headers_key_separator.as_str()));
        let null = ("null.marker", self.null_marker.as_deref());
        let pairs = [
            (delimiter, separator),
            (delimiter, key_separator),
            (separator, key_separator),
            (null, key),
            (null, separator),
            (null, delimiter),
            (null, key_separator),
        ];
        match pairs.into_iter().find(|((_, a), (_, b))| a == b) {
            Some(((a, _), (b, _))) => Err(refusal(format!("{a} and {b} may not be equal"))),
            None => Ok(()),
        }
    }

    /// Cuts the next line.
    pub fn read(&mut self, line: &[u8]) -> Result<LineRecord, Failure> {
        self.line_number += 1;
        let (headers, rest) = match self.parse_headers {
            true => self.cut(line, (line, &self.headers_delimiter), "headers delimiter")?,
            false => (None, line),
        };
        let (key, value) = match self.parse_key {
            true => self.cut(line, (rest, &self.key_separator), "key separator")?,
            false => (None, rest),
        };
        let headers = match headers {
            Some(headers) if !self.is_null(headers) => self.headers(headers)?,
            Some(_) | None => Vec::new(),
        };
        let unless_null = |bytes: &[u8]| (!self.is_null(bytes)).then(|| bytes.to_vec());
        Ok(LineRecord { key: key.and_then(unless_null), value: unless_null(value), headers })
    }

    /// What stands before `mark`, and what behind; everything behind where the mark is missing and may be.
    fn cut<'a>(
        &self,
        line: &[u8],
        (rest, mark): (&'a [u8], &str),
        name: &str,
    ) -> Result<(Option<&'a [u8]>, &'a [u8]), Failure> {
        match find(rest, mark.as_bytes()) {
            Some(at) => Ok((Some(&rest[..at]), &rest[at + mark.len()..])),
            None if self.ignore_error => Ok((None, rest)),
            None => Err(refusal(format!(
                "No {name} found on line number {}: '{}'",
                self.line_number,
                String::from_utf8_lossy(line)
            ))),
        }
    }

    fn headers(&self, text: &[u8]) -> Result<Vec<LineHeader>, Failure> {
        let mut headers = Vec::new();
        for pair in split(text, self.headers_separator.as_bytes()) {
            let mark = self.headers_key_separator.as_bytes();
            let (key, value) = match find(pair, mark) {
                Some(at) => (&pair[..at], Some(&pair[at + mark.len()..])),
                None if self.ignore_error => (pair, None),
                None => {
                    return Err(refusal(format!(
                        "No header key separator found in pair '{}' on line number {}",
                        String::from_utf8_lossy(pair),
                        self.line_number
                    )));
                }
            };
            if self.is_null(key) {
                let marker = self.null_marker.as_deref().unwrap_or_default();
                return Err(refusal(format!(
                    "Header keys should not be equal to the null marker '{marker}' as they can't be null"
                )));
            }
            let value = value.filter(|value| !self.is_null(value)).map(<[u8]>::to_vec);
            headers.push((key.to_vec(), value));
        }
        Ok(headers)
    }

    fn is_null(&self, bytes: &[u8]) -> bool {
        self.null_marker.as_deref().is_some_and(|marker| marker.as_bytes() == bytes)
    }
}

fn refusal(message: String) -> Failure {
    Failure::new("org.apache.kafka.common.KafkaException", message)
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    if mark.is_empty() {
        return Some(0);
    }
    text.windows(mark.len()).position(|window| window == mark)
}

fn split<'a>(text: &'a [u8], mark: &'a [u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = find(rest, mark).filter(|_| !mark.is_empty()) {
        parts.push(&rest[..at]);
        rest = &rest[at + mark.len()..];
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Result<LineReader, String> {
        let properties =
            properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LineReader::new(&properties).map_err(|failure| failure.message().to_owned())
    }

    /// `headers|key|value`, with `-` for null.
    fn cut(properties: &[(&str, &str)], line: &str) -> Result<String, String> {
        let record = reader(properties)?.read(line.as_bytes());
        let record = record.map_err(|failure| failure.message().to_owned())?;
        let text = |bytes: Option<&Vec<u8>>| {
            bytes.map_or("-".to_owned(), |bytes| String::from_utf8(bytes.clone()).unwrap())
        };
        let headers: Vec<String> = record
            .headers
            .iter()
            .map(|(key, value)| format!("{}={}", text(Some(key)), text(value.as_ref())))
            .collect();
        Ok(format!("{}|{}|{}", headers.join(","), text(record.key.as_ref()), text(record.value.as_ref())))
    }

    const KEY: (&str, &str) = ("parse.key", "true");
    const HEADERS: (&str, &str) = ("parse.headers", "true");

    #[test]
    fn a_line_is_a_value_unless_it_is_to_be_cut() {
        assert_eq!(cut(&[], "a\tb").unwrap(), "|-|a\tb");
        assert_eq!(cut(&[KEY], "a\tb\tc").unwrap(), "|a|b\tc");
        assert_eq!(cut(&[KEY, ("key.separator", "::")], "a::b").unwrap(), "|a|b");
        assert_eq!(cut(&[HEADERS, KEY], "h1:a,h2:b\tk\tv").unwrap(), "h1=a,h2=b|k|v");
    }

    #[test]
    fn a_missing_mark_is_refused_with_the_line_unless_that_is_ignored() {
        let refused = cut(&[KEY, ("key.separator", ":")], "nokey").unwrap_err();
        assert_eq!(refused, "No key separator found on line number 1: 'nokey'");
        let lenient = ("ignore.error", "true");
        assert_eq!(cut(&[KEY, lenient], "nokey").unwrap(), "|-|nokey");
        assert_eq!(cut(&[HEADERS, lenient], "h\tv").unwrap(), "h=-|-|v");
        let refused = cut(&[HEADERS], "h\tv").unwrap_err();
        assert_eq!(refused, "No header key separator found in pair 'h' on line number 1");
    }

    #[test]
    fn the_null_marker_stands_for_null_everywhere_but_in_header_keys() {
        let null = ("null.marker", "NULL");
        assert_eq!(cut(&[KEY, null], "k\tNULL").unwrap(), "|k|-");
        assert_eq!(cut(&[KEY, null], "NULL\tv").unwrap(), "|-|v");
        assert_eq!(cut(&[HEADERS, null], "NULL\tv").unwrap(), "|-|v");
        assert_eq!(cut(&[HEADERS, null], "h:NULL\tv").unwrap(), "h=-|-|v");
        assert!(
            cut(&[HEADERS, null], "NULL:x\tv").unwrap_err().starts_with("Header keys should not be equal")
        );
    }

    #[test]
    fn marks_that_are_equal_are_refused() {
        let refused = reader(&[("headers.separator", ":")]).unwrap_err();
        assert_eq!(refused, "headers.separator and headers.key.separator may not be equal");
        assert_eq!(
            reader(&[("null.marker", "\t")]).unwrap_err(),
            "null.marker and key.separator may not be equal"
        );
    }
}
