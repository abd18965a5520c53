//! Typed reading of broker keys from the layers of a node.
//!
//! Owns: the step from a declared key to a Rust type.
//! Does not own: which keys are read (`broker`, `listeners`, `rules`).
//!
//! Asking for a key as another type than it is declared with is a mistake in this crate, so it panics; the test of
//! `broker` reads every key that is ever asked for.

use std::time::Duration;

use super::{ConfigError, Layers, Value};

/// Reads the effective values of one node.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub layers: &'a Layers,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Result<Option<Value>, ConfigError> {
        self.layers.value(name)
    }

    /// The value of a key that has a default.
    fn present(&self, name: &str) -> Result<Value, ConfigError> {
        let value = self.value(name)?;
        Ok(value.unwrap_or_else(|| panic!("{name} has neither a value nor a default")))
    }

    pub fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        let value = self.present(name)?;
        let Value::Boolean(value) = value else { panic!("{name} is not a BOOLEAN") };
        Ok(value)
    }

    /// An INT, SHORT or LONG.
    pub fn number(&self, name: &str) -> Result<i64, ConfigError> {
        let value = self.present(name)?;
        Ok(value.as_integer().unwrap_or_else(|| panic!("{name} is not a number")))
    }

    /// A number that may be absent.
    pub fn optional_number(&self, name: &str) -> Result<Option<i64>, ConfigError> {
        Ok(self.value(name)?.and_then(|value| value.as_integer()))
    }

    /// A number that the key's check keeps at or above 0; a negative one counts as 0.
    pub fn count(&self, name: &str) -> Result<u64, ConfigError> {
        Ok(u64::try_from(self.number(name)?).unwrap_or(0))
    }

    /// The same in 32 bits.
    pub fn count_u32(&self, name: &str) -> Result<u32, ConfigError> {
        Ok(u32::try_from(self.count(name)?).unwrap_or(u32::MAX))
    }

    /// Milliseconds; a negative number counts as none at all.
    pub fn millis(&self, name: &str) -> Result<Duration, ConfigError> {
        Ok(Duration::from_millis(self.count(name)?))
    }

    /// Milliseconds where a negative number means "never".
    pub fn optional_millis(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        Ok(u64::try_from(self.number(name)?).ok().map(Duration::from_millis))
    }

    /// A DOUBLE.
    pub fn double(&self, name: &str) -> Result<f64, ConfigError> {
        let value = self.present(name)?;
        let Value::Double(value) = value else { panic!("{name} is not a DOUBLE") };
        Ok(value)
    }

    pub fn text(&self, name: &str) -> Result<String, ConfigError> {
        Ok(self.present(name)?.to_string())
    }

    pub fn optional_text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        Ok(self.value(name)?.map(|value| value.to_string()))
    }

    pub fn list(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        Ok(self.optional_list(name)?.unwrap_or_default())
    }

    pub fn optional_list(&self, name: &str) -> Result<Option<Vec<String>>, ConfigError> {
        Ok(self.value(name)?.map(|value| value.items().to_vec()))
    }

    /// Whether somebody set the key.
    pub fn is_set(&self, name: &str) -> bool {
        self.layers.is_set(name)
    }
}
