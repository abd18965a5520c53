//! Requests: from JSON to the bytes of a version.
//!
//! Owns: defaults, the forms of fields, the header and the frame. Does not own: record batches (`batches`).
//!
//! | in JSON | becomes |
//! |---|---|
//! | a field that is missing | its default |
//! | a field the version lacks | nothing |
//! | number in a field of any width | its low bytes |
//! | string in a field of bytes | its UTF-8 |
//! | `{"hex": "…"}` in a field of bytes or records | these bytes |
//! | array of batches in a field of records | see `batches` |
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types"; KIP-482.

use serde_json::Value;

use crate::batches;
use crate::schema::{Field, Plain, Request, Type};

/// The bytes of a request's body.
pub fn body(request: &Request, version: i16, json: &Value) -> Result<Vec<u8>, String> {
    let mut encoder = Encoder { out: Vec::new(), version, flexible: request.flexible.contains(version) };
    encoder.fields(&request.fields, json).map_err(|error| format!("{}: {error}", request.name))?;
    Ok(encoder.out)
}

/// A frame around header and body.
pub fn frame(key: i16, (version, flexible): (i16, bool), correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(key.to_be_bytes());
    payload.extend(version.to_be_bytes());
    payload.extend(correlation_id.to_be_bytes());
    payload.extend(4_i16.to_be_bytes());
    payload.extend(b"diff");
    if flexible {
        payload.push(0);
    }
    payload.extend(body);
    framed(&payload)
}

/// The length in front of a payload.
pub fn framed(payload: &[u8]) -> Vec<u8> {
    let length = i32::try_from(payload.len()).unwrap_or(i32::MAX);
    [&length.to_be_bytes()[..], payload].concat()
}

struct Encoder {
    out: Vec<u8>,
    version: i16,
    flexible: bool,
}

impl Encoder {
    fn fields(&mut self, fields: &[Field], json: &Value) -> Result<(), String> {
        let given = json.as_object().ok_or_else(|| format!("{json} is no struct"))?;
        if let Some(name) = given.keys().find(|name| fields.iter().all(|field| field.name != **name)) {
            return Err(format!("there is no field {name}"));
        }
        let there = || fields.iter().filter(|field| field.versions.contains(self.version));
        let tagged: Vec<&Field> = there().filter(|field| field.tag.is_some() && self.flexible).collect();
        let plain: Vec<&Field> = there().filter(|field| field.tag.is_none()).collect();
        for field in plain {
            let value = given.get(&field.name).cloned().unwrap_or_else(|| default(field));
            self.value(field, &value).map_err(|error| format!("{}: {error}", field.name))?;
        }
        if self.flexible {
            self.tags(&tagged, given)?;
        }
        Ok(())
    }

    /// Tagged fields are written where the JSON has them.
    fn tags(&mut self, tagged: &[&Field], given: &serde_json::Map<String, Value>) -> Result<(), String> {
        let mut sent: Vec<(u32, &Field, &Value)> =
            tagged.iter().filter_map(|field| Some((field.tag?, *field, given.get(&field.name)?))).collect();
        sent.sort_by_key(|(tag, ..)| *tag);
        self.varint(sent.len());
        for (tag, field, value) in sent {
            self.varint(usize::try_from(tag).unwrap_or(0));
            let mut inner = Encoder { out: Vec::new(), version: self.version, flexible: true };
            inner.value(field, value).map_err(|error| format!("{}: {error}", field.name))?;
            self.varint(inner.out.len());
            self.out.extend(inner.out);
        }
        Ok(())
    }

    fn value(&mut self, field: &Field, value: &Value) -> Result<(), String> {
        if !field.is_array {
            return self.element(field, value);
        }
        match value {
            Value::Null => self.count(None),
            Value::Array(elements) => {
                self.count(Some(elements.len()));
                for element in elements {
                    self.element(field, element)?;
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return Err(format!("{value} is no array"));
            }
        }
        Ok(())
    }

    fn element(&mut self, field: &Field, value: &Value) -> Result<(), String> {
        match &field.ty {
            Type::Plain(plain) => self.plain(*plain, value),
            Type::Struct(fields) if !field.is_array && field.nullable.contains(self.version) => {
                let marker: i8 = if value.is_null() { -1 } else { 1 };
                self.out.extend(marker.to_be_bytes());
                if value.is_null() { Ok(()) } else { self.fields(fields, value) }
            }
            Type::Struct(fields) => self.fields(fields, value),
        }
    }

    fn plain(&mut self, plain: Plain, value: &Value) -> Result<(), String> {
        let wrong = || format!("{value} is no {plain:?}");
        match plain {
            Plain::Bool => self.out.push(u8::from(value.as_bool().ok_or_else(wrong)?)),
            Plain::Int { bytes } => {
                // A value that was to be kept from an answer and was not is text; it is sent as 0.
                let number = if value.is_string() { 0 } else { value.as_i64().ok_or_else(wrong)? };
                self.out.extend(&number.to_be_bytes()[8 - bytes..]);
            }
            Plain::Float64 => self.out.extend(value.as_f64().ok_or_else(wrong)?.to_be_bytes()),
            Plain::Uuid => self.out.extend(uuid(value.as_str().ok_or_else(wrong)?)),
            Plain::String => match value {
                Value::Null => self.string(None),
                Value::String(text) => self.string(Some(text)),
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return Err(wrong()),
            },
            Plain::Bytes | Plain::Records => match bytes_of(value)? {
                None => self.count(None),
                Some(bytes) => {
                    self.count(Some(bytes.len()));
                    self.out.extend(bytes);
                }
            },
        }
        Ok(())
    }

    fn string(&mut self, text: Option<&str>) {
        if self.flexible {
            self.varint(text.map_or(0, |text| text.len() + 1));
        } else {
            let length = text.map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX));
            self.out.extend(length.to_be_bytes());
        }
        self.out.extend(text.unwrap_or_default().as_bytes());
    }

    fn count(&mut self, count: Option<usize>) {
        if self.flexible {
            self.varint(count.map_or(0, |count| count + 1));
        } else {
            let number = count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX));
            self.out.extend(number.to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value > 0x7f {
            self.out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.out.push(u8::try_from(value).unwrap_or(0));
    }
}

fn bytes_of(value: &Value) -> Result<Option<Vec<u8>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.as_bytes().to_vec())),
        Value::Array(batches) => {
            let bytes: Result<Vec<Vec<u8>>, String> = batches.iter().map(batches::bytes).collect();
            Ok(Some(bytes?.concat()))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            match value.get("hex").and_then(Value::as_str).and_then(unhex) {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(format!("{value} is no bytes")),
            }
        }
    }
}

/// The bytes of an even number of hex digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    Some(digits?.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).collect())
}

/// The hex digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sixteen bytes of 22 base64url characters; zeroes for any other text.
fn uuid(text: &str) -> [u8; 16] {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits: u128 = 0;
    if text.len() != 22 {
        return [0; 16];
    }
    for (at, character) in text.bytes().enumerate() {
        let digit = DIGITS.iter().position(|known| *known == character).unwrap_or(0);
        let digit = u128::try_from(digit).unwrap_or(0);
        // 22 digits have 132 bits: of the last one the upper two count.
        bits = if at == 21 { bits << 2 | digit >> 4 } else { bits << 6 | digit };
    }
    bits.to_be_bytes()
}

/// What a missing field is sent as.
pub fn default(field: &Field) -> Value {
    let text = field.default.as_deref();
    if text == Some("null") {
        return Value::Null;
    }
    if field.is_array {
        return Value::Array(Vec::new());
    }
    match &field.ty {
        Type::Struct(_) => Value::Object(serde_json::Map::new()),
        Type::Plain(Plain::Bool) => Value::Bool(text == Some("true")),
        Type::Plain(Plain::Int { .. }) => Value::from(number(text.unwrap_or("0"))),
        Type::Plain(Plain::Float64) => Value::from(0.0),
        Type::Plain(Plain::Uuid | Plain::String | Plain::Bytes | Plain::Records) => {
            Value::from(text.unwrap_or_default())
        }
    }
}

fn number(text: &str) -> i64 {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::codec::MessageInfo;
    use ottla_protocol::codec::json::Tags;
    use ottla_protocol::{ApiKey, Reader};
    use serde_json::json;

    use super::*;
    use crate::schema;

    /// Every request in every version: what this encoder writes, the product's decoder reads to the last byte.
    #[test]
    fn the_products_decoder_reads_every_request() {
        for request in schema::read_all(schema::directory()).unwrap().values() {
            let Some(info) = MessageInfo::by_name(&format!("{}Request", request.name)) else { continue };
            for version in info.versions() {
                let bytes = body(request, version, &json!({})).unwrap();
                let mut reader = Reader::new(&bytes);
                (info.decode)(&mut reader, version)
                    .unwrap_or_else(|error| panic!("{}: {error}", request.name));
                assert_eq!(reader.remaining(), 0, "{} {version}", request.name);
            }
        }
    }

    #[test]
    fn values_arrive_as_they_were_meant() {
        let all = schema::read_all(schema::directory()).unwrap();
        let id = "AAECAwQFBgcICQoLDA0ODw";
        let json = json!({"clusterId": "c", "maxWaitMs": 5, "topics": [
            {"topicId": id, "topic": "t", "partitions": [{"partition": 3, "fetchOffset": 7_i64 << 40}]}]});
        for version in 4..=18 {
            let bytes = body(&all[&ApiKey::Fetch.number()], version, &json).unwrap();
            let mut reader = Reader::new(&bytes);
            let info = MessageInfo::by_name("FetchRequest").unwrap();
            let text =
                (info.decode)(&mut reader, version).unwrap().to_json(version, Tags::NonDefault).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read.pointer("/topics/0/partitions/0/fetchOffset"), Some(&json!(7_i64 << 40)));
            let name = if version < 13 { ("/topics/0/topic", "t") } else { ("/topics/0/topicId", id) };
            assert_eq!(read.pointer(name.0), Some(&json!(name.1)));
            assert_eq!(read.get("clusterId").is_some(), version >= 12);
        }
    }
}
