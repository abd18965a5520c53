//! Files of JSON that tools are given.
//!
//! Owns: reading a text and its fields, in the words in which Kafka's tools refuse them.
//! Does not own: which fields a file has (each tool).
//!
//! Source: behaviour of Jackson 2.21 and of `Json` in Kafka 4.3.1's tools (`tests/data/delete-records.txt`).

use std::io;

use serde::Deserialize;
use serde_json::{Deserializer, Map, Value};

use super::failure::Failure;

/// The first value of a text; what stands behind it is passed over.
pub fn parse(text: &str) -> Option<Value> {
    Value::deserialize(&mut Deserializer::from_str(text)).ok()
}

/// A file that cannot be read.
pub fn unreadable(path: &str, error: &io::Error) -> Failure {
    let (class, text) = if error.kind() == io::ErrorKind::NotFound {
        ("java.nio.file.NoSuchFileException", path.to_owned())
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        ("java.nio.file.AccessDeniedException", path.to_owned())
    } else if error.kind() == io::ErrorKind::IsADirectory {
        ("java.io.IOException", "Is a directory".to_owned())
    } else {
        ("java.io.IOException", error.to_string())
    };
    Failure::new(class, text)
}

pub fn object(json: &Value) -> Result<&Map<String, Value>, Failure> {
    json.as_object().ok_or_else(|| expected("JSON object", json))
}

pub fn array(json: &Value) -> Result<&[Value], Failure> {
    json.as_array().map(Vec::as_slice).ok_or_else(|| expected("JSON array", json))
}

pub fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Failure> {
    fields.get(name).ok_or_else(|| mapping(format!("No such field exists: `{name}`")))
}

pub fn text(json: &Value) -> Result<&str, Failure> {
    json.as_str().ok_or_else(|| expected("`String` value", json))
}

pub fn integer(json: &Value) -> Result<i32, Failure> {
    let number = json.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| expected("`Integer` value", json))
}

pub fn expected(what: &str, got: &Value) -> Failure {
    mapping(format!("Expected {what}, received {got}"))
}

fn mapping(message: String) -> Failure {
    Failure::new("com.fasterxml.jackson.databind.JsonMappingException", message)
}
