//! Values of config keys: their types, how Kafka reads them from text, and how it prints them.
//!
//! Owns: `Kind`, `Value`, parsing per type, Java's way to print a double.
//! Does not own: which values a key allows (`check`), which keys there are (`keys`).
//!
//! Source: behaviour of `ConfigDef.parseType` and `convertToString` of Kafka 4.3.1, recorded in
//! `tests/data/config-verdicts.tsv`.

use std::collections::BTreeSet;
use std::fmt;

use super::ConfigError;

/// Type of a key, as DescribeConfigs tells it (CFG-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    /// Kafka's name of the type, upper case as it stands in error messages.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }

    /// The number of the type in DescribeConfigs; 0 stands for a key nobody declared.
    pub const fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    /// Whether values of this type are never shown (CFG-03).
    pub const fn is_sensitive(self) -> bool {
        matches!(self, Kind::Password)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A secret. It prints as Kafka's placeholder, so that it cannot reach a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A value in the type of its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Boolean(bool),
    String(String),
    Int(i32),
    Short(i16),
    Long(i64),
    Double(f64),
    List(Vec<String>),
    Class(String),
    Password(Password),
}

impl Value {
    /// Reads `text` as a value of `kind`. `name` stands in the error only.
    pub fn parse(name: &str, text: &str, kind: Kind) -> Result<Value, ConfigError> {
        let trimmed = java_trim(text);
        let not_a_number = || ConfigError::not_a_number(name, text, kind);
        match kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => {
                Err(ConfigError::invalid(name, text, "Expected value to be either true or false"))
            }
            Kind::String => Ok(Value::String(trimmed.to_owned())),
            Kind::Int => trimmed.parse().map(Value::Int).map_err(|_| not_a_number()),
            Kind::Short => trimmed.parse().map(Value::Short).map_err(|_| not_a_number()),
            Kind::Long => trimmed.parse().map(Value::Long).map_err(|_| not_a_number()),
            Kind::Double => parse_double(trimmed).map(Value::Double).ok_or_else(not_a_number),
            Kind::List => Ok(Value::List(split_list(trimmed))),
            Kind::Class if is_known_class(trimmed) => Ok(Value::Class(trimmed.to_owned())),
            Kind::Class => {
                Err(ConfigError::invalid(name, text, &format!("Class {text} could not be found.")))
            }
            Kind::Password => Ok(Value::Password(Password(trimmed.to_owned()))),
        }
    }
}

impl Value {
    /// A number of whatever width, or `None` for a value that is not one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(i64::from(*value)),
            Value::Short(value) => Some(i64::from(*value)),
            Value::Long(value) => Some(*value),
            Value::Boolean(_)
            | Value::String(_)
            | Value::Double(_)
            | Value::List(_)
            | Value::Class(_)
            | Value::Password(_) => None,
        }
    }

    /// The items of a list; none for a value that is not one.
    pub fn items(&self) -> &[String] {
        if let Value::List(items) = self { items } else { &[] }
    }

    /// Drops every item of a list that an earlier one equals.
    pub(crate) fn keep_first_of_equal_items(&mut self) {
        if let Value::List(items) = self {
            let mut seen = BTreeSet::new();
            items.retain(|item| seen.insert(item.clone()));
        }
    }
}

impl fmt::Display for Value {
    /// Prints the value as DescribeConfigs does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => value.fmt(f),
            Value::String(text) | Value::Class(text) => f.write_str(text),
            Value::Int(value) => value.fmt(f),
            Value::Short(value) => value.fmt(f),
            Value::Long(value) => value.fmt(f),
            Value::Double(value) => f.write_str(&java_double(*value)),
            Value::List(items) => f.write_str(&items.join(",")),
            Value::Password(_) => f.write_str("[hidden]"),
        }
    }
}

/// Java classes whose work this process does itself. Any other class cannot be found here, which is what
/// Kafka, too, says of a class that is not on its class path.
const KNOWN_CLASSES: [&str; 4] = [
    "org.apache.kafka.common.metrics.JmxReporter",
    "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
];

fn is_known_class(name: &str) -> bool {
    KNOWN_CLASSES.contains(&name)
}

/// Cuts off what Java's `String.trim` cuts off: every character up to the space, control characters too.
pub fn java_trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// Splits at commas and the white space around them; an empty text is the empty list.
pub fn split_list(text: &str) -> Vec<String> {
    let trimmed = java_trim(text);
    if trimmed.is_empty() {
        return Vec::new();
    }
    trimmed.split(',').map(|item| item.trim_matches(is_regex_space).to_owned()).collect()
}

/// White space as Java's regular expressions know it.
fn is_regex_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// Reads a double as Java does: decimal, with an optional suffix `d` or `f`; `NaN` and `Infinity` as written.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let size = match unsigned {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        digits => {
            let digits = digits.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(digits);
            // Rust also reads `inf` and `nan`, which Java does not; a number has none of these letters.
            let plain =
                digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
            if !plain || digits.starts_with(['+', '-']) {
                return None;
            }
            digits.parse().ok()?
        }
    };
    Some(if negative { -size } else { size })
}

/// Prints a double as Java does: at least one digit behind the point, scientific from 10⁷ and below 10⁻³.
pub fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}.0E{exponent}"),
        None => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_printed_as_java_prints_them() {
        let cases = [
            (0.5, "0.5"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(java_double(value), text);
        }
    }

    #[test]
    fn doubles_are_read_as_java_reads_them() {
        for (text, value) in [("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("1d", 1.0), ("-2F", -2.0)] {
            assert_eq!(parse_double(text), Some(value), "{text}");
        }
        assert!(parse_double("NaN").is_some_and(f64::is_nan));
        assert_eq!(parse_double("-Infinity"), Some(f64::NEG_INFINITY));
        for text in ["", "inf", "nan", "infinity", "1_000", "+-1", "e5", "1 2", "d"] {
            assert_eq!(parse_double(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_is_split_at_commas_and_the_space_around_them() {
        assert_eq!(split_list("  "), Vec::<String>::new());
        assert_eq!(split_list(" a , b,c "), ["a", "b", "c"]);
        assert_eq!(split_list("a,,b"), ["a", "", "b"]);
        assert_eq!(split_list("a,"), ["a", ""]);
    }

    #[test]
    fn a_password_never_prints_itself() {
        let value = Value::parse("ssl.key.password", "hunter2", Kind::Password);
        assert_eq!(format!("{value:?}"), "Ok(Password([hidden]))");
        assert_eq!(value.unwrap().to_string(), "[hidden]");
    }
}
