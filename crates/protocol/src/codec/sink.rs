//! The order in which a message shows its fields: one walk serves the bytes and every other view.
//!
//! Owns: the trait `Sink` and the checks that all sinks share.
//! Does not own: what becomes of a field: bytes (`Writer`), JSON (`json`).
//!
//! A walk opens a struct, shows its plain fields in the order of the wire, then its tagged fields by ascending tag,
//! and closes the struct. Errors do not interrupt a walk: a sink keeps the first one, whoever began the walk asks for
//! it at the end. That halves the generated code and costs nothing where nothing fails.
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types"; KIP-482 for tagged fields.

use bytes::Bytes;
use ottla_model::Uuid;

use super::error::EncodeError;
use super::field::Field;

/// What is shown the fields of a message in one version. `name` is Kafka's name of the field in JSON, empty for
/// elements of arrays.
pub trait Sink {
    fn boolean(&mut self, name: &'static str, value: bool);
    fn int8(&mut self, name: &'static str, value: i8);
    fn int16(&mut self, name: &'static str, value: i16);
    fn uint16(&mut self, name: &'static str, value: u16);
    fn int32(&mut self, name: &'static str, value: i32);
    fn uint32(&mut self, name: &'static str, value: u32);
    fn int64(&mut self, name: &'static str, value: i64);
    fn float64(&mut self, name: &'static str, value: f64);
    fn uuid(&mut self, name: &'static str, value: Uuid);
    fn string(&mut self, name: &'static str, value: Option<&str>);
    fn bytes(&mut self, name: &'static str, value: Option<&Bytes>);

    /// An array of so many elements begins; null has no end.
    fn open_array(&mut self, name: &'static str, count: Option<usize>);
    fn close_array(&mut self);

    /// Whether the nullable struct shown next is there.
    fn marker(&mut self, name: &'static str, present: bool);
    /// Whether the nullable struct shown next, the value of a tag, is there.
    fn tagged_marker(&mut self, name: &'static str, present: bool);
    fn open_struct(&mut self, name: &'static str);
    /// The struct ends and has no known tags.
    fn close_struct(&mut self);

    /// The plain fields of the struct have been shown, its tagged fields follow.
    fn open_tags(&mut self);
    /// Whether the sink wants to see the field of this tag, knowing whether it has another value than its default.
    fn open_tag(&mut self, tag: u32, non_default: bool) -> bool;
    fn close_tag(&mut self);
    /// The tagged fields and the struct end. `names` has the fields in the order of the schema; it is empty
    /// where that is the order of the walk.
    fn close_tags(&mut self, names: &'static [&'static str]);

    /// Switches between compact and classic forms; returns what was set before.
    fn set_flexible(&mut self, flexible: bool) -> bool;
    /// Keeps the first error of the walk.
    fn fail(&mut self, error: EncodeError);
}

impl dyn Sink + '_ {
    /// This version lacks the field: fails if a value would be lost that must not go unnoticed.
    pub fn absent(&mut self, field: &'static str, non_default: bool, version: i16) {
        if non_default {
            self.fail(EncodeError::NotInVersion { field, version });
        }
    }

    /// This version of the field cannot be null: fails if it is.
    pub fn not_null(&mut self, field: &'static str, null: bool, version: i16) {
        if null {
            self.fail(EncodeError::Null { field, version });
        }
    }

    /// All elements of an array.
    pub fn array<T: Field>(&mut self, name: &'static str, elements: &[T], version: i16) {
        self.open_array(name, Some(elements.len()));
        for element in elements {
            element.walk(self, "", version);
        }
        self.close_array();
    }

    /// All elements of an array, or null.
    pub fn nullable_array<T: Field>(&mut self, name: &'static str, elements: Option<&[T]>, version: i16) {
        match elements {
            Some(elements) => self.array(name, elements, version),
            None => self.open_array(name, None),
        }
    }

    /// A struct behind a marker, or null.
    pub fn nullable_struct<T: Field>(&mut self, name: &'static str, value: Option<&T>, version: i16) {
        self.marker(name, value.is_some());
        if let Some(value) = value {
            value.walk(self, name, version);
        }
    }

    /// A nullable struct as the value of a tag.
    pub fn nullable_tagged_struct<T: Field>(&mut self, name: &'static str, value: Option<&T>, version: i16) {
        self.tagged_marker(name, value.is_some());
        if let Some(value) = value {
            value.walk(self, name, version);
        }
    }
}
