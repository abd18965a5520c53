//! Failures as Ottla's own commands tell them to people.
//!
//! Owns: the three lines of a failure, the exit codes.
//! Does not own: which failures there are (`ottla_client`), the exceptions of Kafka's tools (`tools::failure`).
//!
//! ```text
//! error: topic orders was not created
//! detail: The cluster answers TOPIC_ALREADY_EXISTS (36): Topic 'orders' already exists.
//! hint: With --if-not-exists this is no error.
//! ```
//!
//! | Exit code | Means |
//! |---|---|
//! | 0 | what was asked for is done |
//! | 1 | it failed, wholly or for some of the things that were named |
//! | 2 | the command line makes no sense; nothing was tried |
//! | 130, 143 | SIGINT, SIGTERM ended it |

use std::fmt::{self, Display};

use ottla_client::config::ConfigError;
use ottla_client::error::{CallError, ServerError};
use ottla_env::task::Signal;

use crate::terminal::{Terminal, exit_code_of};

/// Something failed.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;

/// One failure: what was attempted, why it did not happen, what may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Lower case, no full stop.
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    code: u8,
}

impl Refusal {
    /// Something that was tried and failed.
    pub fn failed(message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), detail: None, hint: None, code: FAILED }
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Refusal {
        Refusal { code: USAGE, ..Refusal::failed(message) }
    }

    /// A signal ended it, which is no error; `message` says how far it came.
    pub fn ended_by(signal: Signal, message: impl Into<String>) -> Refusal {
        Refusal { code: exit_code_of(signal), ..Refusal::failed(message) }
    }

    /// Adds why, as a sentence; a full stop is added where there is none.
    #[must_use]
    pub fn detail(self, sentence: impl Display) -> Refusal {
        Refusal { detail: Some(as_sentence(sentence.to_string())), ..self }
    }

    /// Adds one more sentence to why.
    #[must_use]
    pub fn detail_more(self, sentence: &str) -> Refusal {
        let sentence = as_sentence(sentence.to_owned());
        let before = self.detail.map(|before| before + " ").unwrap_or_default();
        Refusal { detail: Some(before + &sentence), ..self }
    }

    /// Adds what may help, as a sentence.
    #[must_use]
    pub fn hint(self, sentence: impl Display) -> Refusal {
        Refusal { hint: Some(as_sentence(sentence.to_string())), ..self }
    }

    /// Adds the names that may have been meant, or else what helps.
    #[must_use]
    pub fn reminding(self, near: &[&str], otherwise: &str) -> Refusal {
        match near {
            [] => self.hint(otherwise),
            [one] => self.hint(format_args!("Did you mean '{one}'?")),
            several => self.hint(format_args!("Did you mean one of {}?", several.join(", "))),
        }
    }

    /// A text that is no regular expression; the last line of the error says why.
    pub fn no_regex(text: &str, error: &regex::Error) -> Refusal {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Refusal::usage(format!("'{text}' is no regular expression")).detail(last)
    }

    /// The cluster said no.
    pub fn by_cluster(message: impl Into<String>, error: &ServerError) -> Refusal {
        let (name, number) = (error.code.name(), error.code.number());
        // A message may be empty; the words of the code always say something.
        let said = Some(error.message()).filter(|said| !said.is_empty()).unwrap_or(error.code.message());
        Refusal::failed(message)
            .detail(format_args!("The cluster answers {name} ({number}): {said}"))
            .hint(format_args!("`ottla explain {name}` says what that means and what to do"))
    }

    /// The cluster did not answer.
    pub fn no_answer(message: impl Into<String>, error: &CallError) -> Refusal {
        let refusal = Refusal::failed(message);
        match error {
            CallError::NoNode { .. } => refusal
                .detail("No node of the cluster could be reached in time")
                .hint("Check the address: --bootstrap, OTTLA_BOOTSTRAP, or `ottla context show`"),
            CallError::Unsupported { .. } | CallError::TooOld { .. } => {
                refusal.detail(error).hint("The cluster is too old for this, or has it switched off")
            }
            CallError::TimedOut { .. }
            | CallError::Connect { .. }
            | CallError::Lost { .. }
            | CallError::Malformed { .. }
            | CallError::Unwritable { .. }
            | CallError::Rejected(_)
            | CallError::Closed => refusal.detail(capitalized(&error.to_string())),
        }
    }

    /// Tells it on standard error and answers the exit code.
    pub fn tell(&self, terminal: &mut Terminal<'_>) -> u8 {
        terminal.err_line(self);
        self.code
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self.code, FAILED | USAGE) { "error" } else { "ended" };
        write!(f, "{kind}: {}", self.message)?;
        for (name, sentence) in [("detail", &self.detail), ("hint", &self.hint)] {
            if let Some(sentence) = sentence {
                write!(f, "\n{name}: {sentence}")?;
            }
        }
        Ok(())
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Refusal {
        let refusal = Refusal::usage("the settings of the connection are not valid").detail(&error);
        match error {
            ConfigError::Address { .. } | ConfigError::Port { .. } | ConfigError::EmptyList { .. } => {
                refusal.hint("An address is host:port, several are divided by commas")
            }
            ConfigError::Missing { .. }
            | ConfigError::Invalid { .. }
            | ConfigError::EmptyElement { .. }
            | ConfigError::Contradiction(_)
            | ConfigError::TooManyInFlight { .. }
            | ConfigError::GroupInstanceId(_)
            | ConfigError::UnknownAssignor { .. }
            | ConfigError::Unsupported { .. } => refusal,
        }
    }
}

/// A refusal made of an admin operation's error: an answer that says no, or none.
#[macro_export]
macro_rules! admin_refusal {
    ($error:expr, $($message:tt)*) => {{
        let error = &$error;
        match error.answer() {
            Ok(said) => $crate::own::refusal::Refusal::by_cluster(format!($($message)*), said),
            Err(call) => $crate::own::refusal::Refusal::no_answer(format!($($message)*), call),
        }
    }};
}

fn as_sentence(text: String) -> String {
    let text = capitalized(text.trim_end());
    if text.ends_with(['.', '!', '?']) { text } else { text + "." }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use ottla_client::error::ErrorCode;

    use super::*;

    #[test]
    fn a_failure_is_one_line_each_for_what_why_and_help() {
        let refusal = Refusal::by_cluster("topic t was not created", &ErrorCode::TopicAlreadyExists.into());
        assert_eq!(
            refusal.to_string(),
            "error: topic t was not created\n\
             detail: The cluster answers TOPIC_ALREADY_EXISTS (36): Topic with this name already exists.\n\
             hint: `ottla explain TOPIC_ALREADY_EXISTS` says what that means and what to do."
        );
        let silent = ServerError { code: ErrorCode::TopicAlreadyExists, detail: Some(String::new()) };
        assert_eq!(Refusal::by_cluster("topic t was not created", &silent), refusal);
        assert_eq!(Refusal::usage("no").code, 2);
    }
}
