//! Reading of Kafka's primitive types from borrowed bytes.
//!
//! Owns: the position, every check of a length or a count against the bytes left, and the account of the memory
//! that decoded values may take.
//! Does not own: which field comes in which version (the generated `messages`), framing.
//!
//! Invariants
//! - I1 `at <= bytes.len()`;
//! - I2 nothing is allocated before `allowance` has been charged for it, so a hostile message costs at most
//!   `ALLOWANCE_FACTOR` times its size and `ALLOWANCE_BASE` bytes.
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types"; KIP-482.

use bytes::Bytes;
use ottla_model::Uuid;
use ottla_mutant::mutant;

use super::error::DecodeError;
use super::field::Field;

/// Bytes of memory that decoded values may take for each byte of input. Kafka's densest honest messages (lists of
/// short names) stay below six.
pub const ALLOWANCE_FACTOR: usize = 8;

/// Bytes of memory that the values of any message may take whatever its size: small messages need no account. Four
/// KiB are left of 64 for the message itself, which the reader does not see.
pub const ALLOWANCE_BASE: usize = 60 * 1024;

/// Longest string in bytes: its length must fit into an int16, in compact form too.
pub const STRING_BYTES_MAX: usize = 0x7fff;

/// Bytes a 32-bit variable-length integer takes at most.
const VARINT_BYTES_MAX: usize = 5;

/// A cursor over the bytes of one message. Cheap to clone: a clone reads on independently.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    shared: Option<&'a Bytes>,
    flexible: bool,
    allowance: usize,
}

impl<'a> Reader<'a> {
    /// A reader of borrowed bytes; byte fields are copied out of them.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        let allowance = bytes.len().saturating_mul(ALLOWANCE_FACTOR).saturating_add(ALLOWANCE_BASE);
        Reader { bytes, at: 0, shared: None, flexible: false, allowance }
    }

    /// A reader of reference-counted bytes; records and zero-copy byte fields become slices of them.
    pub fn shared(bytes: &'a Bytes) -> Reader<'a> {
        Reader { shared: Some(bytes), ..Reader::new(bytes) }
    }

    /// Switches between compact (flexible versions) and classic forms of strings, byte fields and counts.
    /// Returns what was set before. `Message::decode` sets it from the version.
    pub fn set_flexible(&mut self, flexible: bool) -> bool {
        std::mem::replace(&mut self.flexible, flexible)
    }

    /// Whether compact forms and tagged fields are being read.
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next `length` bytes, borrowed.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest().get(..length) {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None => Err(self.unexpected_end(length)),
        }
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest().first_chunk::<N>() {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => Err(self.unexpected_end(N)),
        }
    }

    /// Kept out of line: the readers of numbers stay small enough to be inlined.
    #[cold]
    fn unexpected_end(&self, needed: usize) -> DecodeError {
        DecodeError::UnexpectedEnd { at: self.at, needed, left: self.remaining() }
    }

    /// One byte, signed.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.fixed().map(i8::from_be_bytes)
    }

    /// Two bytes, big endian, signed.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.fixed().map(i16::from_be_bytes)
    }

    /// Two bytes, big endian, unsigned.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// Four bytes, big endian, signed.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// Four bytes, big endian, unsigned.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Eight bytes, big endian, signed.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// Eight bytes, IEEE 754 binary64, big endian.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.fixed().map(f64::from_be_bytes)
    }

    /// One byte; anything but zero is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// Sixteen bytes, most significant first.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.fixed().map(Uuid::from_bytes)
    }

    /// An unsigned LEB128 integer of at most 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let at = self.at;
        let mut value = 0_u32;
        for index in 0..VARINT_BYTES_MAX {
            let [byte] = self.fixed::<1>()?;
            let bits = u32::from(byte & 0x7f);
            // The fifth byte has room for four bits only.
            if index + 1 == VARINT_BYTES_MAX && byte > 0x0f {
                break;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong { at, max: VARINT_BYTES_MAX })
    }

    /// A length or count in the form of byte fields and arrays: int32, or compact. `None` is null: as in Kafka, any
    /// negative number. A length beyond the bytes left is refused, since every element takes a byte at least.
    pub fn nullable_count(&mut self) -> Result<Option<usize>, DecodeError> {
        let at = self.at;
        let got = if self.flexible {
            self.unsigned_varint()?.checked_sub(1)
        } else {
            u32::try_from(self.i32()?).ok()
        };
        let Some(got) = got else { return Ok(None) };
        let left = self.remaining();
        match usize::try_from(got) {
            Ok(count) if count <= left || mutant!(unbounded_count) => Ok(Some(count)),
            _ => Err(DecodeError::CountOutOfRange { at, got, left }),
        }
    }

    /// As `nullable_count`, refusing null.
    pub fn count(&mut self) -> Result<usize, DecodeError> {
        let at = self.at;
        self.nullable_count()?.ok_or(DecodeError::Null { at })
    }

    /// A borrowed string, or null.
    pub fn nullable_str(&mut self) -> Result<Option<&'a str>, DecodeError> {
        let at = self.at;
        let length = if self.flexible {
            self.unsigned_varint()?.checked_sub(1).and_then(|length| usize::try_from(length).ok())
        } else {
            usize::try_from(self.i16()?).ok()
        };
        let Some(length) = length else { return Ok(None) };
        if length > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong { at, got: length, max: STRING_BYTES_MAX });
        }
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| DecodeError::NotUtf8 { at })
    }

    /// A borrowed string; null is refused.
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        let at = self.at;
        self.nullable_str()?.ok_or(DecodeError::Null { at })
    }

    /// An owned string, or null.
    pub fn nullable_string(&mut self) -> Result<Option<String>, DecodeError> {
        let borrowed = self.nullable_str()?;
        self.charge(borrowed.map_or(0, str::len), 1)?;
        Ok(borrowed.map(str::to_owned))
    }

    /// An owned string; null is refused.
    pub fn string(&mut self) -> Result<String, DecodeError> {
        let at = self.at;
        self.nullable_string()?.ok_or(DecodeError::Null { at })
    }

    /// The borrowed bytes of a byte field, or null.
    pub fn nullable_slice(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.nullable_count()? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// The bytes of a byte field as a copy, or null. A copy, because a small field kept for long must not keep a
    /// whole request in memory.
    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let borrowed = self.nullable_slice()?;
        self.charge(borrowed.map_or(0, <[u8]>::len), 1)?;
        Ok(borrowed.map(Bytes::copy_from_slice))
    }

    /// As `nullable_bytes`, refusing null.
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let at = self.at;
        self.nullable_bytes()?.ok_or(DecodeError::Null { at })
    }

    /// Record batches or another zero-copy byte field, or null: a slice of the shared bytes where there are any,
    /// else a copy.
    pub fn nullable_shared_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        match self.shared {
            Some(shared) => Ok(self.nullable_slice()?.map(|slice| shared.slice_ref(slice))),
            None => self.nullable_bytes(),
        }
    }

    /// As `nullable_shared_bytes`, refusing null.
    pub fn shared_bytes(&mut self) -> Result<Bytes, DecodeError> {
        let at = self.at;
        self.nullable_shared_bytes()?.ok_or(DecodeError::Null { at })
    }

    /// An array, or null.
    pub fn nullable_array<T: Field>(&mut self, version: i16) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.nullable_count()? else { return Ok(None) };
        self.charge(count, size_of::<T>())?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(self, version)?);
        }
        Ok(Some(elements))
    }

    /// An array; null is refused.
    pub fn array<T: Field>(&mut self, version: i16) -> Result<Vec<T>, DecodeError> {
        let at = self.at;
        self.nullable_array(version)?.ok_or(DecodeError::Null { at })
    }

    /// A struct behind a marker byte: negative is null.
    pub fn nullable_struct<T: Field>(&mut self, version: i16) -> Result<Option<T>, DecodeError> {
        if self.i8()? < 0 { Ok(None) } else { T::read(self, version).map(Some) }
    }

    /// A nullable struct that is the value of a tag: its marker is a varint, zero for null.
    pub fn nullable_tagged_struct<T: Field>(&mut self, version: i16) -> Result<Option<T>, DecodeError> {
        if self.unsigned_varint()? == 0 { Ok(None) } else { T::read(self, version).map(Some) }
    }

    /// Tagged fields of the struct just read; none in classic versions. `known` reads the value of a tag and answers
    /// whether it knows that tag; unknown ones are skipped.
    pub fn tags(
        &mut self,
        known: &mut dyn FnMut(&mut Reader<'a>, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let at = self.at;
            let size = self.unsigned_varint()?;
            // As in Kafka, a known value ends where its type ends, whatever size was declared; a tag may come twice, and
            // tags need not ascend.
            if !known(self, tag)? {
                let left = self.remaining();
                let declared = usize::try_from(size).ok().filter(|declared| *declared <= left);
                self.take(declared.ok_or(DecodeError::CountOutOfRange { at, got: size, left })?)?;
            }
        }
        Ok(())
    }

    /// The tagged fields of a struct that knows none.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(&mut |_, _| Ok(false))
    }

    /// The error of a known tag in a version that does not have it.
    pub fn tag_not_in_version(&self, tag: u32, version: i16) -> DecodeError {
        DecodeError::TagNotInVersion { at: self.at, tag, version }
    }

    /// Takes the memory for `count` values of `size` bytes from the allowance.
    pub(crate) fn charge(&mut self, count: usize, size: usize) -> Result<(), DecodeError> {
        match self.allowance.checked_sub(count.saturating_mul(size)) {
            Some(left) => {
                self.allowance = left;
                Ok(())
            }
            None => {
                let allowed =
                    self.bytes.len().saturating_mul(ALLOWANCE_FACTOR).saturating_add(ALLOWANCE_BASE);
                Err(DecodeError::TooManyValues { at: self.at, allowed })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian_and_varints_little() {
        let bytes = [0xff, 0xff, 0xfe, 0x80, 0, 0, 1, 0xac, 0x02, 0xff, 0xff, 0xff, 0xff, 0x0f];
        let mut r = Reader::new(&bytes);
        assert_eq!((r.i8(), r.i16(), r.i32()), (Ok(-1), Ok(-2), Ok(i32::MIN + 1)));
        assert_eq!((r.unsigned_varint(), r.unsigned_varint()), (Ok(300), Ok(u32::MAX)));
        assert_eq!(r.i8(), Err(DecodeError::UnexpectedEnd { at: 14, needed: 1, left: 0 }));
    }

    #[test]
    fn byte_fields_are_copied_and_records_are_slices_of_what_is_shared() {
        let shared = Bytes::from(vec![0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9, 0xff, 0xff, 0xff, 0xff]);
        let mut r = Reader::shared(&shared);
        let copied = r.bytes().unwrap();
        let sliced = r.nullable_shared_bytes().unwrap().unwrap();
        assert_eq!((&copied[..], &sliced[..]), (&[7, 8][..], &[9][..]));
        assert_eq!(sliced.as_ptr(), shared[10..].as_ptr(), "records are not copied");
        assert_ne!(copied.as_ptr(), shared[4..].as_ptr(), "a small field does not keep the request");
        assert_eq!(r.nullable_shared_bytes(), Ok(None));
    }

    #[test]
    fn the_allowance_is_charged_before_anything_is_allocated() {
        // A count of 20 000 that the bytes could hold, of elements that take 24 bytes each.
        let mut bytes = 20_000_i32.to_be_bytes().to_vec();
        bytes.resize(20_004, 0);
        let allowed = bytes.len() * ALLOWANCE_FACTOR + ALLOWANCE_BASE;
        let mut r = Reader::new(&bytes);
        assert_eq!(r.array::<String>(0), Err(DecodeError::TooManyValues { at: 4, allowed }));
        assert_eq!(Reader::new(&bytes).array::<i8>(0), Ok(vec![0; 20_000]));
    }
}
