//! One event as one line of text.
//!
//! Owns: the layout `TIME LEVEL message name=value … (logger)`.
//! Does not own: which events there are, JSON.
//!
//! Invariants
//! - I1 an event is one line without control characters, whatever a client put into its values.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

/// The layout.
pub(super) struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut content = Content::default();
        event.record(&mut content);
        SystemTime.format_time(&mut line)?;
        writeln!(
            line,
            " {:<5} {}{} ({})",
            metadata.level(),
            content.message,
            content.fields,
            metadata.target()
        )
    }
}

/// What an event says.
#[derive(Default)]
struct Content {
    message: String,
    /// ` name=value` for each field.
    fields: String,
}

impl Content {
    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = without_control(value);
            return;
        }
        let plain = !value.is_empty()
            && !value.contains(|it: char| it.is_whitespace() || it.is_control() || it == '"');
        // Writing to a string cannot fail.
        let _ = match plain {
            true => write!(self.fields, " {}={value}", field.name()),
            false => write!(self.fields, " {}={value:?}", field.name()),
        };
    }
}

impl Visit for Content {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// I1
fn without_control(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character.is_control() {
            true => plain.extend(character.escape_debug()),
            false => plain.push(character),
        }
    }
    plain
}
