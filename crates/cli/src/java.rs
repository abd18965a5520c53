//! What a tool of Kafka prints when an exception ends it.
//!
//! Owns: the first line of Java's report. The stack trace below it has no counterpart here and is left out.
//! Does not own: which exception it would have been.

use std::fmt;

/// An exception that nobody caught: the tool ends with exit code 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncaught {
    /// The full name of the class.
    pub class: &'static str,
    pub message: String,
}

impl Uncaught {
    pub fn new(class: &'static str, message: impl Into<String>) -> Uncaught {
        Uncaught { class, message: message.into() }
    }

    /// `java.lang.RuntimeException`
    pub fn runtime(message: impl Into<String>) -> Uncaught {
        Uncaught::new("java.lang.RuntimeException", message)
    }

    /// `java.lang.IllegalArgumentException`
    pub fn illegal_argument(message: impl Into<String>) -> Uncaught {
        Uncaught::new("java.lang.IllegalArgumentException", message)
    }
}

impl fmt::Display for Uncaught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exception in thread \"main\" {}: {}", self.class, self.message)
    }
}

impl std::error::Error for Uncaught {}
