//! Log levels of this process, which operators see and change as configs of resource type 8 (`BROKER_LOGGER`).
//!
//! Owns: what such a config looks like, which changes are accepted, Kafka's words for the others.
//! Does not own: the log itself: whoever sets it up implements [`LogControl`] (`cli`); permissions and node ids
//! (`handlers`).
//!
//! Invariants
//! - I1 either all changes of a request are made or none.
//!
//! A change lasts as long as the process and is not recorded anywhere. `OFF` can be seen but, as in Kafka, not set.
//!
//! Source: KIP-412, requirement CFG-09; `facts/describe-configs/broker-logger-*.json` and the refusals of Kafka 4.3.1.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ottla_metadata::config::{Asked, Entry, Source};
use ottla_metadata::controller::{ConfigChange, ResourceChange};
use ottla_protocol::ErrorCode;

use crate::config_resources::{Refusal, ResourceKind};

/// Name of the logger whose level all others have that have none of their own.
pub const ROOT: &str = "root";

/// Which events a logger lets through: those of its level and of all levels before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    Off,
    /// Ottla has no events of this level, so it lets nothing through.
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    const ALL: [LogLevel; 7] = [
        LogLevel::Off,
        LogLevel::Fatal,
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ];

    /// The name as Kafka's tools show it.
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Off => "OFF",
            LogLevel::Fatal => "FATAL",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }

    /// Reads a name, in capital or small letters.
    pub fn from_name(name: &str) -> Option<LogLevel> {
        LogLevel::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The log of the process, as far as its levels go.
pub trait LogControl: Send + Sync + fmt::Debug {
    /// Every logger with the level it has, by itself or from the one above; [`ROOT`] is among them.
    fn levels(&self) -> BTreeMap<String, LogLevel>;
    /// Gives a logger, one of [`LogControl::levels`], a level of its own or takes it away.
    fn set(&self, logger: &str, level: Option<LogLevel>);
}

/// The loggers of the process; none where nobody gave a control.
#[derive(Clone, Debug, Default)]
pub struct Loggers {
    control: Option<Arc<dyn LogControl>>,
}

/// One accepted change.
struct Change<'a> {
    logger: &'a str,
    level: Option<LogLevel>,
}

impl Loggers {
    pub fn new(control: Arc<dyn LogControl>) -> Loggers {
        Loggers { control: Some(control) }
    }

    /// The levels as configs, by name.
    pub fn describe(&self, asked: &Asked) -> Vec<Entry> {
        let wanted = |name: &str| match asked {
            Asked::All => true,
            Asked::Names(names) => names.iter().any(|asked| asked == name),
        };
        let levels = self.levels().into_iter().filter(|(name, _)| wanted(name));
        let entry = |(name, level): (String, LogLevel)| Entry {
            name,
            value: Some(level.name().to_owned()),
            source: Source::DynamicBrokerLogger,
            is_sensitive: false,
            is_read_only: false,
            kind: None,
            synonyms: Vec::new(),
            documentation: String::new(),
        };
        levels.map(entry).collect()
    }

    /// Changes levels, or only says whether they could be changed. I1
    pub fn alter(&self, change: &ResourceChange, validate_only: bool) -> Result<(), Refusal> {
        let changes = match change {
            ResourceChange::Some(changes) => changes,
            // AlterConfigs, unlike its successor, knows nothing of loggers.
            ResourceChange::All(_) => {
                let kind = ResourceKind::BrokerLogger.code();
                return Err(invalid_request(format!("Unknown resource type {kind}")));
            }
        };
        check_request(changes)?;
        let known = self.levels();
        let accepted = changes.iter().map(|change| check(change, &known)).collect::<Result<Vec<_>, _>>()?;
        let Some(control) = self.control.as_ref().filter(|_| !validate_only) else { return Ok(()) };
        for Change { logger, level } in accepted {
            control.set(logger, level);
            let level = level.map_or("that of its parent", LogLevel::name);
            tracing::warn!(logger, level, "log level changed");
        }
        Ok(())
    }

    fn levels(&self) -> BTreeMap<String, LogLevel> {
        self.control.as_ref().map(|control| control.levels()).unwrap_or_default()
    }
}

/// What Kafka checks of every resource before it looks at its kind.
fn check_request(changes: &[ConfigChange]) -> Result<(), Refusal> {
    let distinct: BTreeSet<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    if distinct.len() < changes.len() {
        return Err(invalid_request("Error due to duplicate config keys"));
    }
    let lacks_value =
        |change: &&ConfigChange| change.operation != operation::DELETE && change.value.is_none();
    let lacking: Vec<&str> = changes.iter().filter(lacks_value).map(|change| change.key.as_str()).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(invalid_request(format!("Null value not supported for : {}", lacking.join(", "))))
}

fn check<'a>(change: &'a ConfigChange, known: &BTreeMap<String, LogLevel>) -> Result<Change<'a>, Refusal> {
    let logger = change.key.as_str();
    let ensure_known = || match known.contains_key(logger) {
        true => Ok(()),
        false => Err(invalid_config(format!("Logger {logger} does not exist!"))),
    };
    match change.operation {
        operation::SET => {
            ensure_known()?;
            let level = change.value.as_deref().unwrap_or_default();
            settable(level).map(|level| Change { logger, level: Some(level) }).ok_or_else(|| {
                invalid_config(format!(
                    "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log \
                     levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
                ))
            })
        }
        operation::DELETE => {
            ensure_known()?;
            if logger == ROOT {
                let message = format!("Removing the log level of the {ROOT} logger is not allowed");
                return Err(invalid_request(message));
            }
            Ok(Change { logger, level: None })
        }
        operation::APPEND => Err(not_allowed("APPEND operation")),
        operation::SUBTRACT => Err(not_allowed("SUBTRACT operation")),
        other => Err(not_allowed(&format!("Unknown operation type {other}"))),
    }
}

/// The level with exactly this name, if it can be set.
fn settable(name: &str) -> Option<LogLevel> {
    LogLevel::from_name(name).filter(|level| level.name() == name && *level != LogLevel::Off)
}

/// Numbers of the operations of IncrementalAlterConfigs.
mod operation {
    pub const SET: i8 = 0;
    pub const DELETE: i8 = 1;
    pub const APPEND: i8 = 2;
    pub const SUBTRACT: i8 = 3;
}

fn not_allowed(what: &str) -> Refusal {
    invalid_request(format!("{what} is not allowed for the BROKER_LOGGER resource"))
}

fn invalid_request(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

fn invalid_config(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// Levels that only these tests read.
    #[derive(Debug)]
    struct Levels(Mutex<BTreeMap<String, Option<LogLevel>>>);

    impl LogControl for Levels {
        fn levels(&self) -> BTreeMap<String, LogLevel> {
            let levels = self.0.lock();
            let root = levels[ROOT].unwrap();
            levels.iter().map(|(name, level)| (name.clone(), level.unwrap_or(root))).collect()
        }

        fn set(&self, logger: &str, level: Option<LogLevel>) {
            self.0.lock().insert(logger.to_owned(), level);
        }
    }

    fn loggers() -> Loggers {
        let levels =
            [(ROOT, Some(LogLevel::Info)), ("ottla_server", None), ("ottla_storage", Some(LogLevel::Off))];
        let levels = levels.map(|(name, level)| (name.to_owned(), level));
        Loggers::new(Arc::new(Levels(Mutex::new(BTreeMap::from(levels)))))
    }

    fn shown(loggers: &Loggers) -> String {
        let entries = loggers.describe(&Asked::All);
        let text = |entry: &Entry| format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("-"));
        entries.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    /// `KEY OPERATION VALUE`, `-` for no value.
    fn change(text: &str) -> ConfigChange {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        let (key, operation, value) = (word(), word().parse().unwrap(), word());
        ConfigChange { key, operation, value: (value != "-").then_some(value) }
    }

    fn alter(loggers: &Loggers, texts: &[&str]) -> Result<(), Refusal> {
        loggers.alter(&ResourceChange::Some(texts.iter().map(|text| change(text)).collect()), false)
    }

    /// CFG-09: `facts/describe-configs/broker-logger-fresh.json`.
    #[test]
    fn a_logger_is_described_by_the_level_it_has() {
        let loggers = loggers();
        assert_eq!(shown(&loggers), "ottla_server=INFO ottla_storage=OFF root=INFO");
        let asked = loggers.describe(&Asked::Names(vec!["root".to_owned(), "nosuch".to_owned()]));
        let root = Entry {
            name: "root".to_owned(),
            value: Some("INFO".to_owned()),
            source: Source::DynamicBrokerLogger,
            is_sensitive: false,
            is_read_only: false,
            kind: None,
            synonyms: Vec::new(),
            documentation: String::new(),
        };
        assert_eq!(asked, [root]);
        assert_eq!(shown(&Loggers::default()), "");
    }

    /// CFG-09
    #[test]
    fn a_level_is_set_and_taken_away_again() {
        let loggers = loggers();
        alter(&loggers, &["ottla_server 0 DEBUG", "root 0 ERROR"]).unwrap();
        assert_eq!(shown(&loggers), "ottla_server=DEBUG ottla_storage=OFF root=ERROR");
        alter(&loggers, &["ottla_server 1 -", "ottla_storage 1 ignored"]).unwrap();
        assert_eq!(shown(&loggers), "ottla_server=ERROR ottla_storage=ERROR root=ERROR");
    }

    /// CFG-09: the words of RuntimeLoggerManager of Kafka 4.3.1 and, for the first two, of what comes before it.
    #[test]
    fn other_changes_are_refused_in_kafkas_words() {
        use ErrorCode::{InvalidConfig, InvalidRequest};
        let level = |name| {
            format!(
                "Cannot set the log level of root to {name} as it is not a supported log level. Valid log levels are \
                 DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
            )
        };
        let text = str::to_owned;
        for (changes, error, message) in [
            (vec!["root 0 INFO", "root 1 -"], InvalidRequest, text("Error due to duplicate config keys")),
            (vec!["root 0 -", "x 2 -"], InvalidRequest, text("Null value not supported for : root, x")),
            (vec!["nosuch 0 DEBUG"], InvalidConfig, text("Logger nosuch does not exist!")),
            (vec!["nosuch 1 -"], InvalidConfig, text("Logger nosuch does not exist!")),
            (vec!["root 0 BOGUS"], InvalidConfig, level("BOGUS")),
            (vec!["root 0 debug"], InvalidConfig, level("debug")),
            (vec!["root 0 OFF"], InvalidConfig, level("OFF")),
            (
                vec!["root 1 -"],
                InvalidRequest,
                text("Removing the log level of the root logger is not allowed"),
            ),
            (
                vec!["root 2 INFO"],
                InvalidRequest,
                text("APPEND operation is not allowed for the BROKER_LOGGER resource"),
            ),
            (
                vec!["root 3 INFO"],
                InvalidRequest,
                text("SUBTRACT operation is not allowed for the BROKER_LOGGER resource"),
            ),
            (
                vec!["root 9 INFO"],
                InvalidRequest,
                text("Unknown operation type 9 is not allowed for the BROKER_LOGGER resource"),
            ),
        ] {
            let refused = alter(&loggers(), &changes).unwrap_err();
            assert_eq!(refused, Refusal::new(error, message), "{changes:?}");
        }
        let all = ResourceChange::All(vec![("root".to_owned(), Some("INFO".to_owned()))]);
        let refused = loggers().alter(&all, false).unwrap_err();
        assert_eq!(refused, Refusal::new(InvalidRequest, "Unknown resource type 8"));
    }

    /// CFG-09
    #[test]
    fn nothing_changes_when_one_change_is_refused_or_all_are_only_checked() {
        let loggers = loggers();
        assert!(alter(&loggers, &["ottla_server 0 DEBUG", "nosuch 0 DEBUG"]).is_err());
        let checked = ResourceChange::Some(vec![change("ottla_server 0 DEBUG")]);
        assert_eq!(loggers.alter(&checked, true), Ok(()));
        assert_eq!(shown(&loggers), "ottla_server=INFO ottla_storage=OFF root=INFO");
    }
}
