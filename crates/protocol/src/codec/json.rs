//! A message as JSON text, in the form of Kafka's tools (`kafka-dump-log`) and of its own JSON converters.
//!
//! Owns: the text: order and names of fields, how bytes, ids, floats and null are shown.
//! Does not own: which field is in which version (the generated `messages`).
//!
//! | value | JSON |
//! |---|---|
//! | integers | number |
//! | float64 | number as Java prints a double: `0.0`, `105889.7`, `1.0E10` |
//! | uuid | base64url without padding, 22 characters |
//! | bytes, records | base64 with padding |
//! | null | `null` |
//! | struct | fields of the version, in the order of the schema; a tagged field only if it is not its default |
//!
//! Source: output of Kafka 4.3.1's `kafka-dump-log` and of its generated converters.

use std::fmt::Write as _;

use bytes::Bytes;
use ottla_model::Uuid;

use super::base64::encode as base64;
use super::error::EncodeError;
use super::sink::Sink;

/// Which tagged fields are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Those that hold another value than their default, as Kafka shows them.
    NonDefault,
    /// All that the version has.
    All,
}

/// The JSON text of what `walk` shows.
pub fn view(tags: Tags, walk: &mut dyn FnMut(&mut dyn Sink)) -> Result<String, EncodeError> {
    let mut sink = JsonSink { text: String::new(), tags, open: Vec::new(), error: None };
    walk(&mut sink);
    match sink.error {
        None => Ok(sink.text),
        Some(error) => Err(error),
    }
}

/// A struct being shown: where the text of each of its fields begins.
#[derive(Default)]
struct Open {
    fields: Vec<(&'static str, usize)>,
}

struct JsonSink {
    text: String,
    tags: Tags,
    /// Structs being shown, innermost last. Arrays have no entry: their elements have no names.
    open: Vec<Open>,
    error: Option<EncodeError>,
}

impl JsonSink {
    /// Begins a field or, with an empty name, an element.
    fn key(&mut self, name: &'static str) {
        if !self.text.is_empty() && !self.text.ends_with(['{', '[', ':']) {
            self.text.push(',');
        }
        if name.is_empty() {
            return;
        }
        let at = self.text.len();
        if let Some(open) = self.open.last_mut() {
            open.fields.push((name, at));
            self.quoted(name);
            self.text.push(':');
        }
    }

    fn plain(&mut self, name: &'static str, value: impl std::fmt::Display) {
        self.key(name);
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{value}");
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                control if control < ' ' => {
                    let _ = write!(self.text, "\\u{:04X}", u32::from(control));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }
}

impl Sink for JsonSink {
    fn boolean(&mut self, name: &'static str, value: bool) {
        self.plain(name, value);
    }

    fn int8(&mut self, name: &'static str, value: i8) {
        self.plain(name, value);
    }

    fn int16(&mut self, name: &'static str, value: i16) {
        self.plain(name, value);
    }

    fn uint16(&mut self, name: &'static str, value: u16) {
        self.plain(name, value);
    }

    fn int32(&mut self, name: &'static str, value: i32) {
        self.plain(name, value);
    }

    fn uint32(&mut self, name: &'static str, value: u32) {
        self.plain(name, value);
    }

    fn int64(&mut self, name: &'static str, value: i64) {
        self.plain(name, value);
    }

    fn float64(&mut self, name: &'static str, value: f64) {
        let text = java_double(value);
        if value.is_finite() {
            self.plain(name, text);
        } else {
            self.key(name);
            self.quoted(&text);
        }
    }

    fn uuid(&mut self, name: &'static str, value: Uuid) {
        self.key(name);
        self.quoted(&value.to_string());
    }

    fn string(&mut self, name: &'static str, value: Option<&str>) {
        match value {
            None => self.plain(name, "null"),
            Some(value) => {
                self.key(name);
                self.quoted(value);
            }
        }
    }

    fn bytes(&mut self, name: &'static str, value: Option<&Bytes>) {
        self.string(name, value.map(|bytes| base64(bytes)).as_deref());
    }

    fn open_array(&mut self, name: &'static str, count: Option<usize>) {
        self.plain(name, if count.is_some() { "[" } else { "null" });
    }

    fn close_array(&mut self) {
        self.text.push(']');
    }

    fn marker(&mut self, name: &'static str, present: bool) {
        if !present {
            self.plain(name, "null");
        }
    }

    fn tagged_marker(&mut self, name: &'static str, present: bool) {
        self.marker(name, present);
    }

    fn open_struct(&mut self, name: &'static str) {
        self.plain(name, "{");
        self.open.push(Open::default());
    }

    fn close_struct(&mut self) {
        self.open.pop();
        self.text.push('}');
    }

    fn open_tags(&mut self) {}

    fn open_tag(&mut self, _tag: u32, non_default: bool) -> bool {
        non_default || self.tags == Tags::All
    }

    fn close_tag(&mut self) {}

    /// Puts the fields into the order of the schema, where tagged ones stand between the others.
    fn close_tags(&mut self, names: &'static [&'static str]) {
        let fields = self.open.pop().unwrap_or_default().fields;
        let Some((_, first)) = fields.first() else {
            self.text.push('}');
            return;
        };
        let body = self.text.split_off(*first);
        let ends = fields.iter().skip(1).map(|(_, at)| at - first).chain([body.len()]);
        let mut parts: Vec<(Option<usize>, &str)> = Vec::with_capacity(fields.len());
        for ((name, at), end) in fields.iter().zip(ends) {
            let place = names.iter().position(|known| known == name);
            parts.push((place, body[at - first..end].trim_end_matches(',')));
        }
        parts.sort_by_key(|(place, _)| *place);
        for (index, (_, part)) in parts.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.text.push_str(part);
        }
        self.text.push('}');
    }

    fn set_flexible(&mut self, flexible: bool) -> bool {
        flexible
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

/// A double as `Double.toString` of Java prints it.
pub fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_printed_as_java_prints_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (105_889.700_877_850_61, "105889.70087785061"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-2.5e10, "-2.5E10"),
            (0.001, "0.001"),
            (0.000_25, "2.5E-4"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(java_double(value), text);
        }
    }

    #[test]
    fn bytes_are_base64_with_padding() {
        let cases: [(&[u8], &str); 5] =
            [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (&[0xfb, 0xff], "+/8=")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn text_is_escaped_and_fields_come_in_the_order_of_the_schema() {
        let shown = view(Tags::NonDefault, &mut |w| {
            w.open_struct("");
            w.string("b", Some("a\"\\\n\u{1}é,"));
            w.open_array("c", Some(2));
            w.int8("", 1);
            w.int8("", 2);
            w.close_array();
            w.open_tags();
            if w.open_tag(0, true) {
                w.boolean("a", true);
                w.close_tag();
            }
            assert!(!w.open_tag(1, false));
            w.close_tags(&["a", "b", "d", "c"]);
        });
        assert_eq!(shown.as_deref(), Ok("{\"a\":true,\"b\":\"a\\\"\\\\\\n\\u0001é,\",\"c\":[1,2]}"));
    }
}
