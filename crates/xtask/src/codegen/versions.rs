//! Ranges of versions, as schemas write them: `3`, `0-12`, `9+`, `none`.
//!
//! Owns: parsing, intersection, and the Rust condition that a version lies in a range.
//! Does not own: which ranges a schema has (`schema`).

use std::fmt;
use std::str::FromStr;

/// A range of versions, both ends included; empty if `first` is above `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

impl Versions {
    /// No version.
    pub const NONE: Versions = Versions { first: 0, last: -1 };

    /// Whether the range has no version.
    pub fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// Versions in both ranges.
    pub fn and(self, other: Versions) -> Versions {
        let both = Versions { first: self.first.max(other.first), last: self.last.min(other.last) };
        if both.is_empty() { Versions::NONE } else { both }
    }

    /// The smallest range that has the versions of both.
    pub fn hull(self, other: Versions) -> Versions {
        if self.is_empty() {
            other
        } else if other.is_empty() {
            self
        } else {
            Versions { first: self.first.min(other.first), last: self.last.max(other.last) }
        }
    }

    /// Whether every version of `other` is in this range.
    pub fn covers(self, other: Versions) -> bool {
        self.and(other) == other
    }

    /// The Rust condition that version `v`, known to be within `context`, is in this range; `None` if it always is.
    pub fn condition(self, context: Versions) -> Option<String> {
        let range = self.and(context);
        if range.is_empty() {
            return Some("false".to_owned());
        }
        match (range.first > context.first, range.last < context.last) {
            (false, false) => None,
            (true, false) => Some(format!("v >= {}", range.first)),
            (false, true) => Some(format!("v <= {}", range.last)),
            (true, true) => Some(format!("({}..={}).contains(&v)", range.first, range.last)),
        }
    }

    /// The Rust condition that version `v`, known to be within `context`, is not in this range; `None` if it always
    /// is, `Some("true")` if it never is.
    pub fn outside(self, context: Versions) -> Option<String> {
        let range = self.and(context);
        if range.is_empty() {
            return Some("true".to_owned());
        }
        match (range.first > context.first, range.last < context.last) {
            (false, false) => None,
            (true, false) => Some(format!("v < {}", range.first)),
            (false, true) => Some(format!("v > {}", range.last)),
            (true, true) => Some(format!("!({}..={}).contains(&v)", range.first, range.last)),
        }
    }
}

impl FromStr for Versions {
    type Err = String;

    fn from_str(text: &str) -> Result<Versions, String> {
        let number = |text: &str| text.parse::<i16>().map_err(|_| format!("'{text}' is no version"));
        if text == "none" {
            return Ok(Versions::NONE);
        }
        if let Some(first) = text.strip_suffix('+') {
            return Ok(Versions { first: number(first)?, last: i16::MAX });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(Versions { first: number(first)?, last: number(last)? })
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            f.write_str("none")
        } else if self.last == i16::MAX {
            write!(f, "{}+", self.first)
        } else if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(text: &str) -> Versions {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_condition_asks_only_what_the_context_leaves_open() {
        let cases = [
            ("0+", "3-9", None, None),
            ("5+", "3-9", Some("v >= 5"), Some("v < 5")),
            ("0-7", "3-9", Some("v <= 7"), Some("v > 7")),
            ("5-7", "3-9", Some("(5..=7).contains(&v)"), Some("!(5..=7).contains(&v)")),
            ("0-2", "3-9", Some("false"), Some("true")),
            ("none", "3-9", Some("false"), Some("true")),
        ];
        for (range, context, inside, outside) in cases {
            let (range, context) = (versions(range), versions(context));
            assert_eq!(range.condition(context).as_deref(), inside, "{range} in {context}");
            assert_eq!(range.outside(context).as_deref(), outside, "{range} in {context}");
        }
    }

    #[test]
    fn a_range_is_printed_as_it_is_written() {
        for text in ["none", "3", "0-12", "9+"] {
            assert_eq!(versions(text).to_string(), text);
        }
        assert_eq!(versions("0-3").hull(versions("5")).to_string(), "0-5");
        assert!(versions("0+").covers(versions("2-3")) && !versions("1+").covers(versions("0-3")));
        for text in ["", "+", "a-b", "1-"] {
            assert!(text.parse::<Versions>().is_err(), "{text}");
        }
    }
}
