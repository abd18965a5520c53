//! Checked values of configuration keys.
//!
//! Owns: reading a text as Kafka's `ConfigDef` reads it, with Kafka's messages.
//! Does not own: which keys there are (`key`), what a value means (the typed configurations).

use std::fmt;

use super::ConfigError;
use super::consumer::OffsetReset;
use super::key::{Key, Kind, Valid};

/// The value of a key after its type and its limits were checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not given, and without a default.
    Null,
    /// Of type `BOOLEAN`.
    Boolean(bool),
    /// Any of Kafka's SHORT, INT and LONG.
    Integer(i64),
    /// Of type `DOUBLE`.
    Decimal(f64),
    /// STRING, CLASS and PASSWORD.
    Text(String),
    /// Of type `LIST`.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => value.fmt(f),
            Value::Integer(value) => value.fmt(f),
            Value::Decimal(value) => write!(f, "{value:?}"),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => write!(f, "[{}]", items.join(", ")),
        }
    }
}

/// Reads `text` as a value of `key`.
pub(super) fn parse(key: &Key, text: &str) -> Result<Value, ConfigError> {
    let value = read(key, text)?;
    check(key, &value)?;
    Ok(value)
}

fn invalid(key: &Key, value: impl fmt::Display, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { key: key.name, value: value.to_string(), reason: reason.into() }
}

/// Reads the type; the message names the text as it was given, as Kafka's does.
fn read(key: &Key, text: &str) -> Result<Value, ConfigError> {
    let trimmed = text.trim();
    let number = |name: &str| invalid(key, text, format!("Not a number of type {name}"));
    match key.kind {
        Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
        Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
        Kind::Boolean => Err(invalid(key, text, "Expected value to be either true or false")),
        Kind::Short => integer::<i16>(trimmed).ok_or_else(|| number("SHORT")),
        Kind::Int => integer::<i32>(trimmed).ok_or_else(|| number("INT")),
        Kind::Long => integer::<i64>(trimmed).ok_or_else(|| number("LONG")),
        Kind::Double => match trimmed.parse::<f64>() {
            Ok(value) => Ok(Value::Decimal(value)),
            Err(_) => Err(number("DOUBLE")),
        },
        Kind::Text | Kind::Class | Kind::Password => Ok(Value::Text(trimmed.to_owned())),
        Kind::List => Ok(Value::List(list_of(trimmed))),
    }
}

fn integer<T: std::str::FromStr + Into<i64>>(text: &str) -> Option<Value> {
    text.parse::<T>().ok().map(|value| Value::Integer(value.into()))
}

/// Items between commas; the second of two equal items is dropped, as Kafka does with a warning.
fn list_of(text: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    if text.is_empty() {
        return items;
    }
    for item in text.split(',').map(str::trim) {
        if !items.iter().any(|known| known == item) {
            items.push(item.to_owned());
        }
    }
    items
}

fn check(key: &Key, value: &Value) -> Result<(), ConfigError> {
    match (&key.valid, value) {
        (Valid::NonEmpty, Value::Text(text)) if text.is_empty() => {
            Err(invalid(key, text, "String must be non-empty"))
        }
        (Valid::List, Value::List(items)) if items.iter().any(String::is_empty) => {
            Err(ConfigError::EmptyElement { key: key.name })
        }
        (Valid::OneOf(choices), Value::Text(text)) if !choices.contains(&text.as_str()) => {
            Err(invalid(key, text, format!("String must be one of: {}", choices.join(", "))))
        }
        (Valid::OneOfAnyCase(choices), Value::Text(text)) if !has_any_case(choices, text) => {
            let choices = choices.join(", ");
            Err(invalid(key, text, format!("String must be one of (case insensitive): {choices}")))
        }
        (Valid::Either(choices), Value::Text(text)) if !has_any_case(choices, text) => {
            let rule = format!("The value must either be '{}'.", choices.join("' or '"));
            Err(enum_refusal(key, text, &rule))
        }
        (Valid::OffsetReset, Value::Text(text)) if OffsetReset::parse(text).is_none() => {
            let rule = "The value must be either 'earliest', 'latest', 'none' or of the format \
                        'by_duration:<PnDTnHnMn.nS.>'.";
            Err(enum_refusal(key, text, rule))
        }
        (Valid::Range { .. }, Value::Integer(number)) => check_integer(key, *number),
        (Valid::Range { min, max, .. }, Value::Decimal(number)) => check_decimal(key, *number, (min, *max)),
        _ => Ok(()),
    }
}

fn has_any_case(choices: &[&str], text: &str) -> bool {
    choices.iter().any(|choice| choice.eq_ignore_ascii_case(text))
}

fn enum_refusal(key: &Key, text: &str, rule: &str) -> ConfigError {
    invalid(key, text, format!("Invalid value `{text}` for configuration {}. {rule}", key.name))
}

fn check_integer(key: &Key, number: i64) -> Result<(), ConfigError> {
    let Valid::Range { min, max, or } = &key.valid else { return Ok(()) };
    let bound = |text: &str| text.parse::<i64>().ok();
    let below = bound(min).is_some_and(|min| number < min);
    let above = max.and_then(bound).is_some_and(|max| number > max);
    match (or, max) {
        (Some(or), _) if bound(or) == Some(number) => Ok(()),
        (Some(or), Some(max)) if below || above => {
            Err(invalid(key, number, format!("Value must be between {min} and {max} or equal to {or}")))
        }
        _ if below => Err(invalid(key, number, format!("Value must be at least {min}"))),
        (_, Some(max)) if above => Err(invalid(key, number, format!("Value must be no more than {max}"))),
        _ => Ok(()),
    }
}

fn check_decimal(key: &Key, number: f64, (min, max): (&str, Option<&str>)) -> Result<(), ConfigError> {
    let bound = |text: &str| text.parse::<f64>().ok();
    if bound(min).is_some_and(|min| number < min) {
        return Err(invalid(key, Value::Decimal(number), format!("Value must be at least {min}")));
    }
    match max {
        Some(max) if bound(max).is_some_and(|max| number > max) => {
            Err(invalid(key, Value::Decimal(number), format!("Value must be no more than {max}")))
        }
        _ => Ok(()),
    }
}
