//! What values a key allows, and Kafka's words where one is refused.
//!
//! Owns: the checks that look at one value. Does not own: checks between keys (`topic`, `node`).
//!
//! Source: behaviour of the validators of Kafka 4.3.1, recorded in `tests/data/config-verdicts.tsv`.

use std::fmt;

use super::duration::is_iso_duration;
use super::endpoint::{parse_server, parse_voter};
use super::{ConfigError, Value};

/// Which values a key allows. `Display` prints them as Kafka's reference does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// A double from 0 to the bound, both included. `NaN` passes, as in Kafka.
    Fraction(f64),
    /// −1 or 1 to 9.
    GzipLevel,
    OneOf(&'static [&'static str]),
    OneOfIgnoringCase(&'static [&'static str]),
    NonEmptyText,
    NonNullText,
    /// A list without empty items; may it be empty as a whole?
    List(Emptiness),
    /// The same, of these items only.
    ListOf(&'static [&'static str], Emptiness),
    /// `id@host:port,...`
    Voters,
    /// `host:port,...`
    BootstrapServers,
    /// `*` or `partition:broker,...`
    ThrottledReplicas,
    /// `earliest`, `latest` or `by_duration:` and a duration of ISO 8601.
    OffsetReset,
}

/// Whether a list may have no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptiness {
    MayBeEmpty,
    NotEmpty,
}

impl Check {
    /// Whether a repeated item of a list is dropped before the check.
    pub(crate) const fn wants_distinct_items(&self) -> bool {
        matches!(self, Check::List(_) | Check::ListOf(..))
    }

    /// Refuses a value that the key `name` does not allow.
    pub fn ensure(&self, name: &str, value: &Value) -> Result<(), ConfigError> {
        match self {
            Check::Any | Check::NonNullText => Ok(()),
            Check::AtLeast(min) => ensure_range(name, value, *min, None),
            Check::Between(min, max) => ensure_range(name, value, *min, Some(*max)),
            Check::Fraction(max) => ensure_fraction(name, value, *max),
            Check::GzipLevel => ensure_gzip_level(name, value),
            Check::OneOf(allowed) => ensure_one_of(name, &value.to_string(), allowed),
            Check::OneOfIgnoringCase(allowed) => ensure_one_of_ignoring_case(name, value, allowed),
            Check::NonEmptyText => ensure_non_empty(name, value),
            Check::List(emptiness) => ensure_list(name, value, &[], *emptiness),
            Check::ListOf(allowed, emptiness) => ensure_list(name, value, allowed, *emptiness),
            Check::Voters => ensure_voters(name, value),
            Check::BootstrapServers => ensure_bootstrap_servers(name, value),
            Check::ThrottledReplicas => ensure_throttled_replicas(name, value),
            Check::OffsetReset => ensure_offset_reset(name, value),
        }
    }
}

fn refuse(name: &str, value: &impl fmt::Display, reason: &str) -> Result<(), ConfigError> {
    Err(ConfigError::invalid(name, &value.to_string(), reason))
}

fn ensure_range(name: &str, value: &Value, min: i64, max: Option<i64>) -> Result<(), ConfigError> {
    let Some(number) = value.as_integer() else { return Ok(()) };
    if number < min {
        return refuse(name, value, &format!("Value must be at least {min}"));
    }
    match max {
        Some(max) if number > max => refuse(name, value, &format!("Value must be no more than {max}")),
        _ => Ok(()),
    }
}

fn ensure_fraction(name: &str, value: &Value, max: f64) -> Result<(), ConfigError> {
    let Value::Double(number) = value else { return Ok(()) };
    if *number < 0.0 {
        return refuse(name, value, "Value must be at least 0");
    }
    if *number > max {
        return refuse(name, value, &format!("Value must be no more than {max}"));
    }
    Ok(())
}

fn ensure_gzip_level(name: &str, value: &Value) -> Result<(), ConfigError> {
    match value.as_integer() {
        Some(-1 | 1..=9) | None => Ok(()),
        Some(_) => refuse(name, value, "Value must be between 1 and 9 or equal to -1"),
    }
}

fn ensure_one_of(name: &str, text: &str, allowed: &[&str]) -> Result<(), ConfigError> {
    if allowed.contains(&text) {
        return Ok(());
    }
    refuse(name, &text, &format!("String must be one of: {}", allowed.join(", ")))
}

fn ensure_one_of_ignoring_case(name: &str, value: &Value, allowed: &[&str]) -> Result<(), ConfigError> {
    let text = value.to_string();
    if allowed.iter().any(|item| item.eq_ignore_ascii_case(&text)) {
        return Ok(());
    }
    refuse(name, value, &format!("String must be one of (case insensitive): {}", allowed.join(", ")))
}

fn ensure_non_empty(name: &str, value: &Value) -> Result<(), ConfigError> {
    if value.to_string().is_empty() {
        return refuse(name, value, "String must be non-empty");
    }
    Ok(())
}

fn ensure_list(name: &str, value: &Value, allowed: &[&str], empty: Emptiness) -> Result<(), ConfigError> {
    let items = value.items();
    if items.is_empty() && empty == Emptiness::NotEmpty {
        let valid = match allowed {
            [] => "any non-empty value".to_owned(),
            _ => format!("[{}]", allowed.join(", ")),
        };
        let text = format!("Configuration '{name}' must not be empty. Valid values include: {valid}");
        return Err(ConfigError::Rule(text));
    }
    for item in items {
        if item.is_empty() {
            return Err(ConfigError::Rule(format!("Configuration '{name}' values must not be empty.")));
        }
        if !allowed.is_empty() {
            ensure_one_of(name, item, allowed)?;
        }
    }
    Ok(())
}

fn ensure_voters(name: &str, value: &Value) -> Result<(), ConfigError> {
    value.items().iter().try_for_each(|item| parse_voter(name, item).map(|_| ()))
}

fn ensure_bootstrap_servers(name: &str, value: &Value) -> Result<(), ConfigError> {
    value.items().iter().try_for_each(|item| parse_server(name, item).map(|_| ()))
}

fn ensure_throttled_replicas(name: &str, value: &Value) -> Result<(), ConfigError> {
    let is_replica = |item: &String| match item.split_once(':') {
        Some((partition, broker)) => all_digits(partition) && all_digits(broker),
        None => item.is_empty(),
    };
    let items = value.items();
    if items.iter().all(is_replica) || items == ["*"] {
        return Ok(());
    }
    let text = format!(
        "{name} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    refuse(name, &format!("[{}]", items.join(", ")), &text)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn ensure_offset_reset(name: &str, value: &Value) -> Result<(), ConfigError> {
    let text = value.to_string();
    let legal = match text.strip_prefix("by_duration:") {
        Some(duration) => is_iso_duration(duration),
        None => matches!(text.as_str(), "earliest" | "latest"),
    };
    if legal {
        return Ok(());
    }
    let reason = format!(
        "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' or of \
         the format 'by_duration:<PnDTnHnMn.nS>'."
    );
    refuse(name, value, &reason)
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Check::Any => Ok(()),
            Check::AtLeast(min) => write!(f, "[{min},...]"),
            Check::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Check::Fraction(max) => write!(f, "[0,...,{max}]"),
            Check::GzipLevel => f.write_str("[1,...,9] or -1"),
            Check::OneOf(allowed) => write!(f, "[{}]", allowed.join(", ")),
            Check::OneOfIgnoringCase(allowed) => write!(f, "(case insensitive) [{}]", allowed.join(", ")),
            Check::NonEmptyText => f.write_str("non-empty string"),
            Check::NonNullText => f.write_str("non-null string"),
            Check::List(Emptiness::MayBeEmpty) => f.write_str("a list"),
            Check::List(Emptiness::NotEmpty) => f.write_str("a non-empty list"),
            Check::ListOf(allowed, Emptiness::MayBeEmpty) => write!(f, "any of [{}]", allowed.join(", ")),
            Check::ListOf(allowed, Emptiness::NotEmpty) => {
                write!(f, "at least one of [{}]", allowed.join(", "))
            }
            Check::Voters => f.write_str("id@host:port, ..."),
            Check::BootstrapServers => f.write_str("host:port, ..."),
            Check::ThrottledReplicas => {
                f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],... or *")
            }
            Check::OffsetReset => f.write_str("latest, earliest or by_duration:PnDTnHnMn.nS"),
        }
    }
}
