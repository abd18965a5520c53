//! The log of the process: where events go, in which form, and which of them.
//!
//! Owns: the loggers and their levels, setting up the log.
//! Does not own: the events (every crate's own), what operators may change (`ottla_server::loggers`).
//!
//! A logger is a module: `ottla_server`, `ottla_server::connection`. It has a level of its own or that of the nearest
//! module above it, at last that of `root`. A crate is known from the start, a module from its first event on.
//!
//! Source: requirements CFG-09, QS-03.

mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use ottla_server::loggers::{LogControl, LogLevel, ROOT};
use parking_lot::RwLock;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use line::OneLine;

/// Variable of the environment with the form of the log.
pub const FORMAT_VARIABLE: &str = "OTTLA_LOG_FORMAT";
/// Variable of the environment with levels: `warn,ottla_server=debug`.
pub const LEVELS_VARIABLE: &str = "OTTLA_LOG";

/// The crates with events of their own.
const CRATES: [&str; 9] = [
    "ottla_client",
    "ottla",
    "ottla_coordinator",
    "ottla_env",
    "ottla_metadata",
    "ottla_protocol",
    "ottla_replication",
    "ottla_server",
    "ottla_storage",
];

/// The form of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A line for people.
    #[default]
    Text,
    /// A line of JSON.
    Json,
}

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Stdout,
    Stderr,
}

/// How the log is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    pub format: Format,
    pub target: Target,
    pub levels: Levels,
}

/// Why the log cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoggingError {
    #[error("{origin}: '{value}' is no form of the log: text and json are")]
    Format { origin: &'static str, value: String },
    #[error("{origin}: '{value}' is no log level: TRACE, DEBUG, INFO, WARN, ERROR, FATAL and OFF are")]
    Level { origin: &'static str, value: String },
}

/// Which levels the loggers have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    root: LogLevel,
    /// Loggers with a level of their own.
    own: BTreeMap<String, LogLevel>,
}

impl Format {
    /// Reads `text` or `json`; an error names `origin` as the place where it stands.
    pub fn from_name(name: &str, origin: &'static str) -> Result<Format, LoggingError> {
        match name {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            other => Err(LoggingError::Format { origin, value: other.to_owned() }),
        }
    }
}

impl Levels {
    /// One level for all loggers.
    pub fn all(root: LogLevel) -> Levels {
        Levels { root, own: BTreeMap::new() }
    }

    /// Adds levels in the form `debug,ottla_storage=warn`: of all loggers, of one.
    pub fn with(mut self, text: &str) -> Result<Levels, LoggingError> {
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (logger, level) = part.split_once('=').unwrap_or((ROOT, part));
            let level = level.trim();
            let unknown = || LoggingError::Level { origin: LEVELS_VARIABLE, value: level.to_owned() };
            let level = LogLevel::from_name(level).ok_or_else(unknown)?;
            self.set(logger.trim(), Some(level));
        }
        Ok(self)
    }

    fn set(&mut self, logger: &str, level: Option<LogLevel>) {
        match (logger, level) {
            (ROOT, Some(level)) => self.root = level,
            // The root always has a level.
            (ROOT, None) => {}
            (_, Some(level)) => drop(self.own.insert(logger.to_owned(), level)),
            (_, None) => drop(self.own.remove(logger)),
        }
    }

    /// The level of the logger or of the nearest one above it.
    fn of(&self, logger: &str) -> LogLevel {
        let mut name = logger;
        loop {
            if let Some(level) = self.own.get(name) {
                return *level;
            }
            match name.rsplit_once("::") {
                Some((above, _)) => name = above,
                None => return self.root,
            }
        }
    }

    /// The most talkative level of any logger.
    fn most(&self) -> LogLevel {
        self.own.values().copied().fold(self.root, LogLevel::max)
    }
}

/// The levels of this process's loggers, changeable at any time.
#[derive(Debug)]
pub struct Loggers {
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    levels: Levels,
    /// Loggers that exist, whether they have a level of their own or not.
    known: BTreeSet<String>,
}

impl Loggers {
    fn new(levels: Levels) -> Loggers {
        let known = CRATES.into_iter().map(str::to_owned).collect();
        Loggers { state: RwLock::new(State { levels, known }) }
    }

    /// Whether events of a logger and level are let through; the logger is known from now on.
    fn meet(&self, logger: &str, level: tracing::Level) -> bool {
        let mut known = self.state.read();
        if !known.known.contains(logger) {
            drop(known);
            self.state.write().known.insert(logger.to_owned());
            known = self.state.read();
        }
        LevelFilter::from_level(level) <= filter_of(known.levels.of(logger))
    }
}

impl LogControl for Loggers {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let state = self.state.read();
        let names = state.known.iter().chain(state.levels.own.keys());
        let levels = names.map(|name| (name.clone(), state.levels.of(name)));
        levels.chain([(ROOT.to_owned(), state.levels.root)]).collect()
    }

    fn set(&self, logger: &str, level: Option<LogLevel>) {
        self.state.write().levels.set(logger, level);
        // Every place that writes events asks again whether they are let through.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Lets events through by the levels of [`Loggers`]. A place that writes events asks once and then remembers.
struct Gate(Arc<Loggers>);

impl<S: Subscriber> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.meet(metadata.target(), *metadata.level()) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.meet(metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(filter_of(self.0.state.read().levels.most()))
    }
}

/// Ottla's events end at ERROR, so a logger of level FATAL lets nothing through.
fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off | LogLevel::Fatal => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// What the environment says of the log, over these levels.
pub fn from_environment(levels: Levels) -> Result<(Option<Format>, Levels), LoggingError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let format =
        variable(FORMAT_VARIABLE).map(|name| Format::from_name(&name, FORMAT_VARIABLE)).transpose()?;
    let levels = levels.with(&variable(LEVELS_VARIABLE).unwrap_or_default())?;
    Ok((format, levels))
}

/// Sets up the log of this process, for the rest of its life. Panics are events of it from now on.
pub fn start(setup: Setup) -> Arc<Loggers> {
    let loggers = Arc::new(Loggers::new(setup.levels));
    let writer = match setup.target {
        Target::Stdout => BoxMakeWriter::new(io::stdout),
        Target::Stderr => BoxMakeWriter::new(io::stderr),
    };
    let subscriber =
        tracing_subscriber::registry().with(Gate(Arc::clone(&loggers))).with(form(setup.format, writer));
    // Only a second start in one process could fail here, and then the first log stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(thread, place, "panic: {}", panic.payload_as_str().unwrap_or("without a message"));
    }));
    loggers
}

fn form<S>(format: Format, writer: BoxMakeWriter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        Format::Text => Box::new(layer.event_format(OneLine)),
        Format::Json => {
            Box::new(layer.json().flatten_event(true).with_current_span(false).with_span_list(false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// What was written.
    #[derive(Clone, Default)]
    struct Written(Arc<parking_lot::Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        /// The lines since the last call, without the time.
        fn lines(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock());
            String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
        }

        fn texts(&self) -> Vec<String> {
            self.lines().iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
        }
    }

    fn with_log(format: Format, levels: &str, test: impl FnOnce(&Loggers, &Written)) {
        let loggers = Arc::new(Loggers::new(Levels::all(LogLevel::Info).with(levels).unwrap()));
        let written = Written::default();
        let writer = written.clone();
        let form = form(format, BoxMakeWriter::new(move || writer.clone()));
        let subscriber = tracing_subscriber::registry().with(Gate(Arc::clone(&loggers))).with(form);
        tracing::subscriber::with_default(subscriber, || test(&loggers, &written));
    }

    #[test]
    fn an_event_is_one_line_with_its_fields() {
        with_log(Format::Text, "", |_, written| {
            tracing::info!(target: "ottla_server", path = %"/a b", count = 3, "two\nlines");
            tracing::warn!(target: "ottla_server", reason = "torn\u{1b}[31m", "plain");
            assert_eq!(
                written.texts(),
                [
                    r#"INFO  two\nlines path="/a b" count=3 (ottla_server)"#,
                    r#"WARN  plain reason="torn\u{1b}[31m" (ottla_server)"#
                ]
            );
        });
    }

    #[test]
    fn in_json_an_event_is_one_object() {
        with_log(Format::Json, "", |_, written| {
            tracing::error!(target: "ottla_storage", bytes = 7, "torn \"end\"\n");
            let [line] = written.lines().try_into().unwrap();
            let (_, rest) = line.split_once(',').unwrap();
            assert!(line.starts_with(r#"{"timestamp":""#), "{line}");
            let expected =
                r#""level":"ERROR","message":"torn \"end\"\n","bytes":7,"target":"ottla_storage"}"#;
            assert_eq!(rest, expected);
        });
    }

    /// CFG-09
    #[test]
    fn a_level_can_be_changed_at_run_time() {
        with_log(Format::Text, "", |loggers, written| {
            let talk = || {
                tracing::debug!(target: "ottla_server::test::inner", "debug");
                tracing::info!(target: "ottla_server::test::inner", "info");
                written.texts().iter().map(|text| text[..5].trim().to_owned()).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(talk(), "INFO");
            assert_eq!(loggers.levels()["ottla_server::test::inner"], LogLevel::Info);
            loggers.set("ottla_server::test", Some(LogLevel::Debug));
            assert_eq!(talk(), "DEBUG INFO");
            loggers.set("ottla_server::test::inner", Some(LogLevel::Fatal));
            assert_eq!(talk(), "");
            loggers.set("ottla_server::test::inner", None);
            loggers.set("ottla_server::test", None);
            loggers.set(ROOT, Some(LogLevel::Trace));
            assert_eq!(talk(), "DEBUG INFO");
        });
    }

    /// CFG-09
    #[test]
    fn a_logger_has_the_level_of_the_nearest_one_above_it() {
        let levels = Levels::all(LogLevel::Warn).with("a=debug, a::b=off,, error").unwrap();
        for (logger, level) in [
            ("a", LogLevel::Debug),
            ("a::x", LogLevel::Debug),
            ("a::b", LogLevel::Off),
            ("a::b::c", LogLevel::Off),
            ("ab", LogLevel::Error),
        ] {
            assert_eq!(levels.of(logger), level, "{logger}");
        }
        assert_eq!(levels.most(), LogLevel::Debug);
    }

    #[test]
    fn a_wrong_level_or_form_is_told_with_what_is_allowed() {
        let error = Levels::all(LogLevel::Info).with("ottla_server=loud").unwrap_err().to_string();
        assert_eq!(
            error,
            "OTTLA_LOG: 'loud' is no log level: TRACE, DEBUG, INFO, WARN, ERROR, FATAL and OFF are"
        );
        let error = Format::from_name("xml", "--log-format").unwrap_err().to_string();
        assert_eq!(error, "--log-format: 'xml' is no form of the log: text and json are");
    }
}
