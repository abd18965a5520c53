//! Writing of Kafka's primitive types.
//!
//! Owns: the bytes of a message in one version.
//! Does not own: which field comes in which version (the generated `messages`), frames.
//!
//! Invariants
//! - I1 `open` holds the places of the counts and sizes that are still to be filled in, innermost last; it is empty
//!   outside of a walk.
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types"; KIP-482.

use bytes::Bytes;
use ottla_model::Uuid;

use super::error::EncodeError;
use super::reader::STRING_BYTES_MAX;
use super::sink::Sink;

/// Most elements of an array or bytes of a byte field: their number is an int32.
const COUNT_MAX: usize = 0x7fff_ffff;

/// Bytes of a message being written.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    flexible: bool,
    open: Vec<usize>,
    error: Option<EncodeError>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// An empty writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer::on(Vec::with_capacity(bytes))
    }

    /// A writer that goes on behind what is in `bytes`.
    pub fn on(bytes: Vec<u8>) -> Writer {
        Writer { bytes, ..Writer::default() }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Ends the writing.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    /// Ends the writing.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }

    /// Whether compact forms and tagged fields are being written.
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Switches between compact (flexible versions) and classic forms; returns what was set before.
    pub fn set_flexible(&mut self, flexible: bool) -> bool {
        std::mem::replace(&mut self.flexible, flexible)
    }

    /// Appends bytes as they are.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One byte.
    pub fn put_i8(&mut self, value: i8) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Two bytes, big endian.
    pub fn put_i16(&mut self, value: i16) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Four bytes, big endian.
    pub fn put_i32(&mut self, value: i32) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Eight bytes, big endian.
    pub fn put_i64(&mut self, value: i64) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Sixteen bytes.
    pub fn put_uuid(&mut self, value: Uuid) {
        self.put_slice(&value.bytes());
    }

    /// An unsigned LEB128 integer.
    pub fn put_unsigned_varint(&mut self, value: u32) {
        let (bytes, length) = leb128(value);
        self.put_slice(&bytes[..length]);
    }

    /// A length or count in the form of byte fields and arrays: int32, or compact; null is −1 or 0.
    pub fn put_count(&mut self, name: &'static str, count: Option<usize>) {
        let number = match count {
            Some(length) if length > COUNT_MAX => {
                self.fail(EncodeError::TooLong { field: name, length, max: COUNT_MAX });
                return;
            }
            Some(length) => i32::try_from(length).unwrap_or(i32::MAX),
            None => -1,
        };
        if self.flexible {
            self.put_unsigned_varint(number.wrapping_add(1).cast_unsigned());
        } else {
            self.put_i32(number);
        }
    }

    /// A string, or null.
    pub fn put_str(&mut self, name: &'static str, value: Option<&str>) {
        let number = match value.map(str::len) {
            Some(length) if length > STRING_BYTES_MAX => {
                self.fail(EncodeError::TooLong { field: name, length, max: STRING_BYTES_MAX });
                return;
            }
            Some(length) => i16::try_from(length).unwrap_or(i16::MAX),
            None => -1,
        };
        if self.flexible {
            self.put_unsigned_varint(u32::from(number.wrapping_add(1).cast_unsigned()));
        } else {
            self.put_i16(number);
        }
        self.put_slice(value.unwrap_or_default().as_bytes());
    }

    /// The tagged fields of a struct that has none: a zero in flexible versions, else nothing.
    pub fn put_no_tags(&mut self) {
        if self.flexible {
            self.put_i8(0);
        }
    }

    /// So many zero bytes, to be filled in by the caller.
    pub(crate) fn put_zeroes(&mut self, count: usize) -> &mut [u8] {
        let at = self.bytes.len();
        self.bytes.resize(at.saturating_add(count), 0);
        self.bytes.get_mut(at..).unwrap_or(&mut [])
    }

    /// The last bytes that were written.
    pub(crate) fn last(&self, count: usize) -> &[u8] {
        self.bytes.get(self.bytes.len().saturating_sub(count)..).unwrap_or(&[])
    }

    /// Takes back what was written behind the first `len` bytes.
    pub(crate) fn shorten(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// The first error of what was written by hand.
    pub(crate) fn take_error(&mut self) -> Result<(), EncodeError> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Runs a walk and answers its first error; then nothing of it has been written.
    pub(super) fn written(&mut self, walk: &mut dyn FnMut(&mut Writer)) -> Result<(), EncodeError> {
        let before = self.bytes.len();
        walk(self);
        match self.error.take() {
            None => Ok(()),
            Some(error) => {
                self.bytes.truncate(before);
                self.open.clear();
                Err(error)
            }
        }
    }
}

/// The bytes of an unsigned LEB128 integer and how many there are.
fn leb128(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut length = 0;
    loop {
        let [.., low] = value.to_be_bytes();
        value >>= 7;
        bytes[length] = if value == 0 { low } else { low | 0x80 };
        length += 1;
        if value == 0 {
            return (bytes, length);
        }
    }
}

impl Sink for Writer {
    fn boolean(&mut self, _name: &'static str, value: bool) {
        self.put_i8(i8::from(value));
    }

    fn int8(&mut self, _name: &'static str, value: i8) {
        self.put_i8(value);
    }

    fn int16(&mut self, _name: &'static str, value: i16) {
        self.put_i16(value);
    }

    fn uint16(&mut self, _name: &'static str, value: u16) {
        self.put_slice(&value.to_be_bytes());
    }

    fn int32(&mut self, _name: &'static str, value: i32) {
        self.put_i32(value);
    }

    fn uint32(&mut self, _name: &'static str, value: u32) {
        self.put_slice(&value.to_be_bytes());
    }

    fn int64(&mut self, _name: &'static str, value: i64) {
        self.put_i64(value);
    }

    fn float64(&mut self, _name: &'static str, value: f64) {
        self.put_slice(&value.to_be_bytes());
    }

    fn uuid(&mut self, _name: &'static str, value: Uuid) {
        self.put_uuid(value);
    }

    fn string(&mut self, name: &'static str, value: Option<&str>) {
        self.put_str(name, value);
    }

    fn bytes(&mut self, name: &'static str, value: Option<&Bytes>) {
        self.put_count(name, value.map(Bytes::len));
        if let Some(value) = value {
            self.put_slice(value);
        }
    }

    fn open_array(&mut self, name: &'static str, count: Option<usize>) {
        self.put_count(name, count);
    }

    fn close_array(&mut self) {}

    fn marker(&mut self, _name: &'static str, present: bool) {
        self.put_i8(if present { 1 } else { -1 });
    }

    fn tagged_marker(&mut self, _name: &'static str, present: bool) {
        self.put_i8(i8::from(present));
    }

    fn open_struct(&mut self, _name: &'static str) {}

    fn close_struct(&mut self) {
        self.put_no_tags();
    }

    /// Leaves a byte for the number of tags. No schema has more than 127 in one struct.
    fn open_tags(&mut self) {
        self.open.push(self.bytes.len());
        self.put_no_tags();
    }

    /// Leaves a byte for the size of the value; `close_tag` makes room if it takes more.
    fn open_tag(&mut self, tag: u32, non_default: bool) -> bool {
        if non_default {
            if let Some(count) = self.open.last().and_then(|at| self.bytes.get_mut(*at)) {
                *count += 1;
            }
            self.put_unsigned_varint(tag);
            self.open.push(self.bytes.len());
            self.put_i8(0);
        }
        non_default
    }

    fn close_tag(&mut self) {
        let Some(at) = self.open.pop() else { return };
        let size = self.bytes.len() - at - 1;
        let Ok(size) = u32::try_from(size) else {
            self.fail(EncodeError::TooLong { field: "tagged field", length: size, max: COUNT_MAX });
            return;
        };
        let (bytes, length) = leb128(size);
        self.bytes.splice(at..=at, bytes.into_iter().take(length));
    }

    fn close_tags(&mut self, _names: &'static [&'static str]) {
        self.open.pop();
    }

    fn set_flexible(&mut self, flexible: bool) -> bool {
        Writer::set_flexible(self, flexible)
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Reader;

    #[test]
    fn an_unsigned_varint_takes_as_many_bytes_as_it_needs() {
        let cases = [(0, 1), (0x7f, 1), (0x80, 2), (0x3fff, 2), (0x4000, 3), (0x1f_ffff, 3), (u32::MAX, 5)];
        for (value, length) in cases {
            let mut w = Writer::new();
            w.put_unsigned_varint(value);
            assert_eq!((w.len(), Reader::new(w.as_slice()).unsigned_varint()), (length, Ok(value)));
        }
    }

    #[test]
    fn a_tag_makes_room_for_the_size_of_its_value() {
        for length in [0_usize, 125, 126, 127, 128, 16_000, 20_000] {
            let text = "x".repeat(length);
            let mut w = Writer::new();
            w.set_flexible(true);
            w.open_tags();
            assert!(w.open_tag(3, true) && !w.open_tag(4, false));
            w.put_str("text", Some(&text));
            w.close_tag();
            assert!(w.open_tag(5, true));
            w.put_i8(9);
            w.close_tag();
            w.close_tags(&[]);

            let mut r = Reader::new(w.as_slice());
            r.set_flexible(true);
            let mut found = Vec::new();
            r.tags(&mut |r, tag| {
                found.push((tag, if tag == 3 { r.str()?.len() } else { usize::from(r.i8()? == 9) }));
                Ok(true)
            })
            .unwrap();
            assert_eq!((found, r.remaining()), (vec![(3, length), (5, 1)], 0));
        }
    }

    #[test]
    fn classic_and_compact_forms_differ() {
        let written = |flexible: bool| {
            let mut w = Writer::new();
            w.set_flexible(flexible);
            w.put_str("s", Some("ab"));
            w.put_str("s", None);
            w.put_count("c", Some(2));
            w.put_count("c", None);
            w.put_no_tags();
            w.into_vec()
        };
        assert_eq!(written(false), [0, 2, b'a', b'b', 0xff, 0xff, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(written(true), [3, b'a', b'b', 0, 3, 0, 0]);
    }
}
