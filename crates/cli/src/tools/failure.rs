//! Failures in the form in which Kafka's tools show them: as Java's exceptions.
//!
//! Owns: class, message and cause of a failure; log lines of Java tools; how most tools end after a failure.
//! Does not own: which failures there are (`ottla_client`).
//!
//! Stack traces have no counterpart here and are left out.
//!
//! Source: `Errors` of Kafka 4.3.1 (`exceptions.tsv`).

use std::fmt;

use ottla_client::admin::ListGroupsError;
use ottla_client::config::ConfigError;
use ottla_client::error::{CallError, ErrorCode, ServerError};
use ottla_env::time;
use ottla_model::Timestamp;
use ottla_model::calendar::{DAY_MS, date_of};

use crate::jopt::OptError;
use crate::terminal::Terminal;

const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";

/// One exception and what caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: String,
    pub message: Option<String>,
    pub cause: Option<Box<Failure>>,
}

impl Failure {
    pub fn new(class: &str, message: impl Into<String>) -> Failure {
        Failure { class: class.to_owned(), message: Some(message.into()), cause: None }
    }

    /// An exception without a message.
    pub fn silent(class: &str) -> Failure {
        Failure { class: class.to_owned(), message: None, cause: None }
    }

    /// `java.lang.IllegalArgumentException`
    pub fn illegal_argument(message: impl Into<String>) -> Failure {
        Failure::new(ILLEGAL_ARGUMENT, message)
    }

    /// Whether it is about an argument, not about what was tried.
    pub fn is_illegal_argument(&self) -> bool {
        self.class == ILLEGAL_ARGUMENT
    }

    /// `java.lang.RuntimeException`
    pub fn runtime(message: impl Into<String>) -> Failure {
        Failure::new("java.lang.RuntimeException", message)
    }

    /// What Java prints of a failure that nobody caught. The tool ends with exit code 1.
    pub fn uncaught(&self) -> String {
        format!("Exception in thread \"main\" {self}")
    }

    /// The failure as the cause of another one.
    pub fn causing(self, class: &str, message: impl Into<String>) -> Failure {
        Failure { class: class.to_owned(), message: Some(message.into()), cause: Some(Box::new(self)) }
    }

    /// The failure as Java's futures wrap it.
    pub fn in_execution(self) -> Failure {
        let message = self.headline();
        self.causing("java.util.concurrent.ExecutionException", message)
    }

    /// The failure inside one that Java code need not declare.
    pub fn in_runtime(self) -> Failure {
        let message = self.headline();
        self.causing("java.lang.RuntimeException", message)
    }

    /// What Java's `getMessage` gives.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or("null")
    }

    /// The failure in its first line only, without causes.
    pub fn headline(&self) -> String {
        match &self.message {
            Some(message) => format!("{}: {message}", self.class),
            None => self.class.clone(),
        }
    }
}

/// Full name of the exception for a code.
pub fn class_of(code: ErrorCode) -> String {
    let rows = include_str!("exceptions.tsv").lines().filter_map(|row| row.split_once('\t'));
    let class = rows.into_iter().find(|(name, _)| *name == code.name()).map(|(_, class)| class);
    format!("org.apache.kafka.common.{}", class.unwrap_or("errors.UnknownServerException"))
}

/// The exception for a configuration that is refused.
pub fn of_config(error: &ConfigError) -> Failure {
    Failure::new("org.apache.kafka.common.config.ConfigException", error.to_string())
}

impl From<&ServerError> for Failure {
    fn from(error: &ServerError) -> Failure {
        Failure::new(&class_of(error.code), error.message())
    }
}

impl From<&CallError> for Failure {
    fn from(error: &CallError) -> Failure {
        let class = match error {
            CallError::Unsupported { .. } | CallError::TooOld { .. } => "UnsupportedVersionException",
            CallError::NoNode { .. } | CallError::TimedOut { .. } => "TimeoutException",
            CallError::Connect { .. } | CallError::Lost { .. } => "DisconnectException",
            CallError::Rejected(refusal) => return Failure::from(refusal),
            CallError::Malformed { .. } | CallError::Unwritable { .. } | CallError::Closed => {
                return Failure::new("org.apache.kafka.common.KafkaException", error.to_string());
            }
        };
        Failure::new(&format!("org.apache.kafka.common.errors.{class}"), error.to_string())
    }
}

impl From<&OptError> for Failure {
    fn from(error: &OptError) -> Failure {
        let failure = Failure::new(error.class(), error.to_string());
        let OptError::NotANumber { text, .. } = error else { return failure };
        let number = Failure::new("java.lang.NumberFormatException", format!("For input string: \"{text}\""));
        let message = number.to_string();
        let reflection = number.causing("joptsimple.internal.ReflectionException", message);
        Failure { cause: Some(Box::new(reflection)), ..failure }
    }
}

/// The failure of an admin operation: the refusal of the cluster, or no answer.
#[macro_export]
macro_rules! operation_failure {
    ($error:expr) => {
        match ($error).answer() {
            Ok(refusal) => $crate::tools::failure::Failure::from(refusal),
            Err(unanswered) => $crate::tools::failure::Failure::from(unanswered),
        }
    };
}

impl fmt::Display for Failure {
    /// `class: message`, with each cause on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(cause) = &self.cause {
            write!(f, "\nCaused by: {cause}")?;
        }
        Ok(())
    }
}

/// Why groups are not listed. All brokers are asked, so it begins with finding them.
pub fn groups_not_listed(error: &ListGroupsError) -> Failure {
    let failure = crate::operation_failure!(error);
    match error {
        ListGroupsError::Call(CallError::NoNode { .. }) => failure
            .causing("org.apache.kafka.common.KafkaException", "Failed to find brokers to send ListGroups"),
        ListGroupsError::Call(_) | ListGroupsError::Refused(_) => failure,
    }
}

/// Why a tool did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Kafka's tool says the sentence alone.
    Terse(String),
    /// Kafka's tool shows the exception.
    Failed(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        Problem::Failed(failure)
    }
}

impl From<&OptError> for Problem {
    fn from(error: &OptError) -> Problem {
        Failure::from(error).into()
    }
}

/// An exception that a tool catches last of all: its message, then itself. The tool ends with the exit code.
pub fn crash(terminal: &mut Terminal<'_>, failure: &Failure) -> u8 {
    terminal.err_line(failure.message());
    terminal.err_line(failure);
    1
}

/// Says what went wrong, as most tools do it. The tool ends with the exit code.
pub fn end(terminal: &mut Terminal<'_>, ended: Result<(), Problem>) -> u8 {
    match ended {
        Ok(()) => 0,
        Err(Problem::Terse(sentence)) => {
            terminal.err_line(sentence);
            1
        }
        Err(Problem::Failed(failure)) => crash(terminal, &failure),
    }
}

/// Writes a line of a Java tool's log to standard error.
pub fn log(terminal: &mut Terminal<'_>, level: &str, message: impl fmt::Display, logger: &str) {
    terminal.err_line(format_args!("[{}] {level} {message} ({logger})", log_time(time::wall_now())));
}

/// The line that Kafka's admin client logs when a broker refuses something for one partition.
pub fn log_handler(
    terminal: &mut Terminal<'_>,
    (client_id, api): (&str, &str),
    partition: &str,
    code: ErrorCode,
) {
    let text = format!(
        "[AdminClient clientId={client_id}] {api} request for topic partition {partition} failed due to an unexpected \
         error {code}"
    );
    log(terminal, "ERROR", text, &format!("org.apache.kafka.clients.admin.internals.{api}Handler"));
}

/// A name that no topic can have, refused as the cluster would refuse it. `client` is what the log calls the client.
pub fn invalid_topic(terminal: &mut Terminal<'_>, client: &str, topic: &str) -> Failure {
    let text = format!("[{client}] Metadata response reported invalid topics [{topic}]");
    log(terminal, "ERROR", text, "org.apache.kafka.clients.Metadata");
    Failure::new("org.apache.kafka.common.errors.InvalidTopicException", format!("Invalid topics: [{topic}]"))
}

/// `2026-11-22 15:08:49,872`, in UTC.
pub fn log_time(at: Timestamp) -> String {
    let (days, millis) = (at.millis().div_euclid(DAY_MS), at.millis().rem_euclid(DAY_MS));
    let (year, month, day) = date_of(days);
    let seconds = millis / 1000;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02},{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        millis % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_has_the_time_as_java_writes_it() {
        assert_eq!(log_time(Timestamp::from_millis(0)), "1970-01-01 00:00:00,000");
        assert_eq!(log_time(Timestamp::from_millis(1_795_360_129_872)), "2026-11-22 15:08:49,872");
        assert_eq!(log_time(Timestamp::from_millis(951_825_600_001)), "2000-02-29 12:00:00,001");
        assert_eq!(log_time(Timestamp::from_millis(-1)), "1969-12-31 23:59:59,999");
    }

    #[test]
    fn a_refusal_has_the_name_of_its_exception() {
        let error = ServerError { code: ErrorCode::TopicAlreadyExists, detail: Some("it is".to_owned()) };
        let failure = Failure::from(&error);
        assert_eq!(failure.to_string(), "org.apache.kafka.common.errors.TopicExistsException: it is");
        let wrapped = failure.in_execution();
        assert_eq!(
            wrapped.to_string(),
            "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.TopicExistsException: it is\n\
             Caused by: org.apache.kafka.common.errors.TopicExistsException: it is"
        );
        assert_eq!(class_of(ErrorCode::InvalidRecord), "org.apache.kafka.common.InvalidRecordException");
    }
}
