//! Which records are printed, and how.
//!
//! Owns: the choice of a form, `--grep`. Does not own: the forms (`record`).

use ottla_client::consumer::ConsumerRecord;
use regex::bytes::Regex;

use super::{Flags, Form};
use crate::own::record::{format, json, text};
use crate::own::refusal::Refusal;

const DEFAULT_FORMAT: &str = "%v\\n";

/// How records are printed.
pub struct Printing {
    style: Style,
    grep: Option<Regex>,
    count: u64,
}

enum Style {
    Text(format::Format),
    Json(json::Layout),
}

impl Printing {
    pub fn of_flags(flags: &Flags) -> Result<Printing, Refusal> {
        let style = match (flags.output, flags.format.as_deref()) {
            // The word is rpk's name of this form.
            (None | Some(Form::Json), Some("json")) | (Some(Form::Json), None) => {
                Style::Json(json::Layout::Lines)
            }
            (Some(Form::Pretty), None) => Style::Json(json::Layout::Pretty),
            (Some(Form::Json | Form::Pretty), Some(_)) => {
                return Err(Refusal::usage("--format and --output json contradict each other")
                    .hint("A format is for --output text, which is the default"));
            }
            (None | Some(Form::Text), text) => {
                Style::Text(format::for_writing(text.unwrap_or(DEFAULT_FORMAT))?)
            }
        };
        let grep = match &flags.grep {
            None => None,
            Some(pattern) => Some(Regex::new(pattern).map_err(|error| Refusal::no_regex(pattern, &error))?),
        };
        Ok(Printing { style, grep, count: 0 })
    }

    /// Records that were written so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends a record, if it is wanted.
    pub fn write(&mut self, record: &ConsumerRecord, out: &mut Vec<u8>) {
        if !self.grep.as_ref().is_none_or(|pattern| is_match(pattern, record)) {
            return;
        }
        self.count += 1;
        match &self.style {
            Style::Text(format) => text::write(format, (record, self.count), out),
            Style::Json(layout) => json::write(*layout, record, out),
        }
    }
}

fn is_match(pattern: &Regex, record: &ConsumerRecord) -> bool {
    let is_in = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| pattern.is_match(bytes));
    let of_header = record.headers.iter().any(|it| is_in(Some(&it.key)) || is_in(it.value.as_deref()));
    is_in(record.key.as_deref()) || is_in(record.value.as_deref()) || of_header
}
