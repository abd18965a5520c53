//! Log levels that only the tests read, under Kafka's names.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_server::loggers::{LogControl, LogLevel, Loggers};
use parking_lot::Mutex;

/// The level of each logger; `None` for one that has its parent's.
#[derive(Debug)]
struct Levels(Mutex<BTreeMap<String, Option<LogLevel>>>);

impl LogControl for Levels {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let levels = self.0.lock();
        let root = levels["root"].unwrap();
        levels.iter().map(|(name, level)| (name.clone(), level.unwrap_or(root))).collect()
    }

    fn set(&self, logger: &str, level: Option<LogLevel>) {
        self.0.lock().insert(logger.to_owned(), level);
    }
}

/// Loggers of these names, all at WARN, and the root.
pub fn loggers<'a>(names: impl Iterator<Item = &'a str>) -> Loggers {
    let mut levels: BTreeMap<String, Option<LogLevel>> = names.map(|name| (name.to_owned(), None)).collect();
    levels.insert("root".to_owned(), Some(LogLevel::Warn));
    Loggers::new(Arc::new(Levels(Mutex::new(levels))))
}
