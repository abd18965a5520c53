//! 128-bit identifiers in Kafka's text form: base64url without padding, 22 characters.
//!
//! Owns: `Uuid`, its parsing and printing. Does not own: randomness (`env`).
//!
//! Source: Kafka protocol guide, type UUID.

use std::fmt;
use std::str::FromStr;

/// A 128-bit identifier, big endian. All zero bits mean "none".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UuidParseError {
    #[error("'{text}' has {got} characters; an id has 22 (base64url of 16 bytes)")]
    Length { text: String, got: usize },
    #[error("'{text}' has the character '{character}', which base64url does not have")]
    Character { text: String, character: char },
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of an id: 16 bytes in base64 without padding.
const TEXT_LENGTH: usize = 22;

impl Uuid {
    /// The identifier that stands for "none".
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// An identifier from its bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    /// An identifier of version 4 from 16 random bytes, as `java.util.UUID.randomUUID` makes them.
    pub const fn version_4(mut random: [u8; 16]) -> Uuid {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        Uuid(random)
    }

    /// The bytes, most significant first.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Whether this stands for "none".
    pub fn is_zero(self) -> bool {
        self == Uuid::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for at in 0..TEXT_LENGTH {
            // 22 characters hold 132 bits; the last four are padding.
            let shift = 122_i32 - 6 * i32::try_from(at).unwrap_or(0);
            let index = if shift >= 0 { bits >> shift } else { bits << -shift } & 0x3f;
            let byte = ALPHABET[usize::try_from(index).unwrap_or(0)];
            write!(f, "{}", char::from(byte))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl FromStr for Uuid {
    type Err = UuidParseError;

    /// Reads 22 base64url characters; two `=` of padding behind them are allowed, as in Kafka.
    fn from_str(text: &str) -> Result<Uuid, UuidParseError> {
        let body = text.strip_suffix("==").unwrap_or(text);
        if body.chars().count() != TEXT_LENGTH {
            return Err(UuidParseError::Length { text: text.to_owned(), got: body.chars().count() });
        }
        let mut bits: u128 = 0;
        for (at, character) in body.chars().enumerate() {
            let index = ALPHABET
                .iter()
                .position(|known| char::from(*known) == character)
                .ok_or_else(|| UuidParseError::Character { text: text.to_owned(), character })?;
            let index = u128::try_from(index).unwrap_or(0);
            // The last character carries two bits of the id and four of padding.
            bits = if at + 1 == TEXT_LENGTH { (bits << 2) | (index >> 4) } else { (bits << 6) | index };
        }
        Ok(Uuid(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_printed_as_kafka_prints_it() {
        let bytes =
            [0x7e, 0xad, 0x75, 0x0e, 0x9a, 0xf8, 0x4d, 0x37, 0xa0, 0xbe, 0x0f, 0xd0, 0x8c, 0xb4, 0x68, 0x57];
        let id = Uuid::from_bytes(bytes);
        assert_eq!(id.to_string(), "fq11Dpr4TTegvg_QjLRoVw");
        assert_eq!("fq11Dpr4TTegvg_QjLRoVw".parse(), Ok(id));
        assert_eq!("fq11Dpr4TTegvg_QjLRoVw==".parse(), Ok(id));
    }

    #[test]
    fn a_text_of_another_length_or_alphabet_is_refused() {
        assert!(matches!("abc".parse::<Uuid>(), Err(UuidParseError::Length { got: 3, .. })));
        assert!(matches!(
            "fq11Dpr4TTegvg/QjLRoVw".parse::<Uuid>(),
            Err(UuidParseError::Character { character: '/', .. })
        ));
    }
}
