//! Bytes of keys, values and headers as text: Kafka's deserializers, by the names of their classes.
//!
//! Owns: the classes of `org.apache.kafka.common.serialization` and what their objects look like when printed.
//! Does not own: where the text goes (`formatter`).
//!
//! Source: behaviour of Kafka 4.3.1.

use super::super::failure::Failure;

const PACKAGE: &str = "org.apache.kafka.common.serialization.";

/// A known class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deserializer {
    /// Text; what is not UTF-8 is replaced.
    Text,
    /// `org.apache.kafka.common.utils.Bytes`: printable characters as they are, others as `\xNN`.
    Bytes,
    Boolean,
    Short,
    Int,
    Long,
    Float,
    Double,
    Uuid,
    Void,
}

impl Deserializer {
    /// The class with this name; a name without package is taken for one of Kafka's.
    pub fn of_class(class: &str) -> Option<Deserializer> {
        match class.strip_prefix(PACKAGE).unwrap_or(class) {
            "StringDeserializer" => Some(Deserializer::Text),
            "BytesDeserializer" => Some(Deserializer::Bytes),
            "BooleanDeserializer" => Some(Deserializer::Boolean),
            "ShortDeserializer" => Some(Deserializer::Short),
            "IntegerDeserializer" => Some(Deserializer::Int),
            "LongDeserializer" => Some(Deserializer::Long),
            "FloatDeserializer" => Some(Deserializer::Float),
            "DoubleDeserializer" => Some(Deserializer::Double),
            "UUIDDeserializer" => Some(Deserializer::Uuid),
            "VoidDeserializer" => Some(Deserializer::Void),
            _ => None,
        }
    }

    /// The object as Java prints it.
    pub fn text_of(self, bytes: &[u8]) -> Result<String, Failure> {
        match self {
            Deserializer::Text => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Deserializer::Bytes => Ok(escaped(bytes)),
            Deserializer::Boolean => match bytes {
                [0] => Ok("false".to_owned()),
                [1] => Ok("true".to_owned()),
                [_] => Err(refusal(
                    "Unexpected byte received by BooleanDeserializer: ".to_owned() + &escaped(bytes),
                )),
                _ => Err(wrong_size("BooleanDeserializer", 1)),
            },
            Deserializer::Short => {
                sized(bytes, "ShortDeserializer").map(|bytes| i16::from_be_bytes(bytes).to_string())
            }
            Deserializer::Int => {
                sized(bytes, "IntegerDeserializer").map(|bytes| i32::from_be_bytes(bytes).to_string())
            }
            Deserializer::Long => {
                sized(bytes, "LongDeserializer").map(|bytes| i64::from_be_bytes(bytes).to_string())
            }
            Deserializer::Float => sized(bytes, "FloatDeserializer")
                .map(|bytes| java_float(f64::from(f32::from_be_bytes(bytes)), true)),
            Deserializer::Double => {
                sized(bytes, "DoubleDeserializer").map(|bytes| java_float(f64::from_be_bytes(bytes), false))
            }
            Deserializer::Uuid => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_lowercase()),
                Err(_) => Err(refusal("Error parsing data into UUID".to_owned())),
            },
            Deserializer::Void => {
                Err(Failure::illegal_argument("Data should be null for a VoidDeserializer."))
            }
        }
    }
}

fn refusal(message: String) -> Failure {
    Failure::new("org.apache.kafka.common.errors.SerializationException", message)
}

fn wrong_size(class: &str, size: usize) -> Failure {
    refusal(format!("Size of data received by {class} is not {size}"))
}

fn sized<const N: usize>(bytes: &[u8], class: &str) -> Result<[u8; N], Failure> {
    bytes.try_into().map_err(|_| wrong_size(class, N))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            byte => text.push_str(&format!("\\x{byte:02X}")),
        }
    }
    text
}

/// Java's `toString` of a float: at least one digit behind the point, powers of ten outside of 10⁻³ to 10⁷.
fn java_float(value: f64, is_single: bool) -> String {
    if value.is_nan() || value.is_infinite() {
        return if value.is_nan() {
            "NaN".to_owned()
        } else {
            format!("{}Infinity", if value < 0.0 { "-" } else { "" })
        };
    }
    let digits = |value: f64| match is_single {
        // The shortest digits that give the same number depend on its width.
        #[allow(clippy::cast_possible_truncation, reason = "the value was a single before")]
        true => format!("{:?}", value as f32),
        false => format!("{value:?}"),
    };
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return digits(value);
    }
    let scientific = match is_single {
        #[allow(clippy::cast_possible_truncation, reason = "the value was a single before")]
        true => format!("{:E}", value as f32),
        false => format!("{value:E}"),
    };
    let (mantissa, exponent) = scientific.split_once('E').unwrap_or((&scientific, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(class: &str, bytes: &[u8]) -> String {
        let deserializer = Deserializer::of_class(class).unwrap();
        deserializer.text_of(bytes).unwrap_or_else(|failure| failure.message().to_owned())
    }

    #[test]
    fn numbers_are_printed_as_java_prints_them() {
        assert_eq!(
            text("org.apache.kafka.common.serialization.LongDeserializer", &[0, 0, 0, 0, 0, 0, 1, 0]),
            "256"
        );
        assert_eq!(text("LongDeserializer", b"abc"), "Size of data received by LongDeserializer is not 8");
        assert_eq!(text("DoubleDeserializer", &1.0_f64.to_be_bytes()), "1.0");
        assert_eq!(text("DoubleDeserializer", &1e10_f64.to_be_bytes()), "1.0E10");
        assert_eq!(text("DoubleDeserializer", &1.5e-5_f64.to_be_bytes()), "1.5E-5");
        assert_eq!(text("FloatDeserializer", &0.1_f32.to_be_bytes()), "0.1");
        assert_eq!(text("BooleanDeserializer", &[1]), "true");
    }

    #[test]
    fn bytes_that_cannot_be_printed_are_escaped() {
        assert_eq!(text("BytesDeserializer", b"a\\\x00\xff"), "a\\x5C\\x00\\xFF");
    }

    #[test]
    fn a_class_of_somebody_else_is_not_known() {
        assert_eq!(Deserializer::of_class("no.such.Class"), None);
    }
}
