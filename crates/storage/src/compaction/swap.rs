//! Putting a compacted segment in the place of those it was made of.
//!
//! Owns: the steps on disk and their order. Does not own: the log's list of segments (`log`).
//!
//! The log reads from the new segment at once; the names follow in this order, each step durable before the next:
//!
//! | step | a crash leaves | the next start |
//! |---|---|---|
//! | – | `.cleaned` beside the old ones | removes `.cleaned` |
//! | 1 `.cleaned` → `.swap` | some of both | removes both, or goes on from `.swap` |
//! | 2 old ones → `.deleted`, the lowest first | `.swap`, the later ones of the old | removes those that `.swap` covers, and renames it |
//! | 3 `.swap` → final | some of both | renames the rest |
//!
//! The lowest goes first, so that what a crash leaves of the old ones is the end of them: whatever it holds stood behind
//! all that is gone. These are Kafka's names and steps; a start of Kafka finishes them as well.
//!
//! Source: requirement LOG-04; KAFKA-6264.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::file_cache::SegmentFiles;
use crate::log::RemovedFiles;

/// A segment that was replaced, with its size. Its producer snapshot may stay in use.
#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) size: u64,
    pub(crate) keeps_snapshot: bool,
}

/// The names of a compacted segment. Run it without the log's lock, then hand it back to the log.
#[derive(Debug)]
#[must_use]
pub struct SwapJob {
    new: Arc<SegmentFiles>,
    /// The lowest first.
    old: Vec<Old>,
    is_done: Mutex<bool>,
}

impl SwapJob {
    pub(crate) fn new(new: Arc<SegmentFiles>, old: Vec<Old>) -> SwapJob {
        SwapJob { new, old, is_done: Mutex::new(false) }
    }

    /// Does the work, unless it was done. An error means that the data directory has failed.
    pub fn run(&self) -> io::Result<()> {
        let mut is_done = self.is_done.lock();
        if *is_done {
            return Ok(());
        }
        match self.rename() {
            // Of a log that is out of use the directory may be gone by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.new.directory.is_left() => {}
            renamed => renamed?,
        }
        *is_done = true;
        Ok(())
    }

    fn rename(&self) -> io::Result<()> {
        self.new.mark_swap()?;
        for old in &self.old {
            old.files.mark_replaced(old.keeps_snapshot)?;
            old.files.close();
        }
        let directory = &self.new.directory;
        directory.disk().sync_dir(&directory.path())?;
        self.new.mark_live()
    }

    /// The files that were replaced, once it was run.
    pub(crate) fn removed(&self) -> RemovedFiles {
        RemovedFiles::replaced(self.old.iter().map(|old| (Arc::clone(&old.files), old.size)).collect())
    }
}
