//! Lines of JSON, as some of Kafka's tools print them.
//!
//! Owns: one object on one line, its fields in the order they are written; how texts are escaped.
//! Does not own: which fields there are (each tool).
//!
//! Source: behaviour of Jackson 2.21 in Kafka 4.3.1's tools.

use std::fmt::{Display, Write as _};

use super::java_number;

/// An object that is being written.
#[derive(Clone, Debug)]
pub struct Object(String);

impl Object {
    pub fn new() -> Object {
        Object("{".to_owned())
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_text(&mut self.0, name);
        self.0.push(':');
    }

    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Object {
        self.name(name);
        push_text(&mut self.0, text);
        self
    }

    #[must_use]
    pub fn text_or_null(self, name: &str, text: Option<&str>) -> Object {
        match text {
            Some(text) => self.text(name, text),
            None => self.plain(name, "null"),
        }
    }

    /// A whole number, a truth or what is JSON already.
    #[must_use]
    pub fn plain(mut self, name: &str, value: impl Display) -> Object {
        self.name(name);
        // Writing to a `String` does not fail.
        let _ = write!(self.0, "{value}");
        self
    }

    #[must_use]
    pub fn double(self, name: &str, number: f64) -> Object {
        let text = java_number::double(number);
        // JSON has no numbers that are none.
        if number.is_finite() { self.plain(name, text) } else { self.text(name, &text) }
    }

    #[must_use]
    pub fn array(self, name: &str, objects: impl IntoIterator<Item = Object>) -> Object {
        let objects: Vec<String> = objects.into_iter().map(Object::end).collect();
        self.plain(name, format_args!("[{}]", objects.join(",")))
    }

    /// The whole object.
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn push_text(line: &mut String, text: &str) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '\u{8}' => line.push_str("\\b"),
            '\u{c}' => line.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(line, "\\u{:04X}", u32::from(control));
            }
            plain => line.push(plain),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_the_order_they_are_written() {
        let inner = Object::new().text("topic", "t").plain("offset", 7);
        let line = Object::new()
            .plain("timestamp", 5)
            .text_or_null("key", None)
            .double("average", 0.5)
            .array("offsets", [inner.clone(), inner])
            .array("none", [])
            .plain("success", true)
            .end();
        let expected = "{\"timestamp\":5,\"key\":null,\"average\":0.5,\"offsets\":[{\"topic\":\"t\",\"offset\":7},\
                        {\"topic\":\"t\",\"offset\":7}],\"none\":[],\"success\":true}";
        assert_eq!(line, expected);
    }

    #[test]
    fn what_would_end_a_text_is_escaped() {
        let line = Object::new().text("v", "a\"b\\c\n\r\t\u{8}\u{c}\u{1f}ü/").double("n", f64::NAN).end();
        assert_eq!(line, "{\"v\":\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u001Fü/\",\"n\":\"NaN\"}");
    }
}
