//! A partition that nobody uses: its log rests, and is woken at the first use.
//!
//! Owns: waking the log, what follows when that fails, looking whether it may rest again.
//! Does not own: whether a log can rest and what is kept of it (`storage`), when to look (`janitor`).
//!
//! Source: performance design 4.10.

use std::error::Error;
use std::io;
use std::sync::Arc;

use ottla_env::time::wall_now;
use ottla_storage::{KeptLog, Log, LogOptions};

use super::{Partition, State, opened_mut};

impl Partition {
    /// The log for a use; `None` once the directory failed or the replica was removed.
    pub(super) fn log_in<'a>(&self, state: &'a mut State) -> Option<&'a mut Log> {
        state.is_used = true;
        self.wake(state);
        opened_mut(&mut state.log)
    }

    /// Opens the log where it rests. Where its files are not what they were, the directory has failed.
    pub(super) fn wake(&self, state: &mut State) {
        let Some(KeptLog::Resting(resting)) = &state.log else { return };
        let options = LogOptions {
            config: Arc::clone(&self.settings.load().log),
            now: wall_now(),
            // The janitor expires producers of open logs.
            producer_expiration_ms: i64::MAX,
        };
        match self.directory.files().wake_log((&self.id, self.topic_id), resting, &options) {
            Ok(log) => state.log = Some(log.into()),
            Err(error) => {
                state.log = None;
                state.replica.on_offline();
                self.settle(state);
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                self.failed(&io::Error::other(format!("{error}{cause}")));
            }
        }
    }

    /// Puts the log to rest where nobody asked for it since the last call.
    pub fn rest_if_unused(&self) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_used, false) {
            return;
        }
        if let Some(log) = &mut state.log {
            log.rest();
        }
    }
}
