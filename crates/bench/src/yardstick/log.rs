//! The yardstick's files: per partition a row of segments, preallocated, the oldest dropped.
//!
//! Owns: appending, where an offset lies, flushing by groups. Does not own: batches, requests.
//!
//! Invariants
//! - I1 all batches of a partition have the same size and the same number of records, so a position is calculated, not
//!   looked up;
//! - I2 no batch lies in two segments;
//! - I3 with `Flushed`, `flushed` never exceeds what a finished `fdatasync` covers.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use parking_lot::{Condvar, Mutex};
use rustix::fs::{FallocateFlags, fallocate};
use tokio::sync::watch;

use crate::Fallible;
use crate::system::{Durability, told};

/// Size of a segment, as the benchmark's topics have it.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Files that are flushed at once: a device does several at once.
const FLUSH_THREADS: usize = 4;
/// Beyond so many partitions, whole segments would fill the disk.
const PREALLOCATED_MAX: usize = 10;
/// Segments that wait for their flush or removal.
const CLOSED_MAX: usize = 64;

/// What is the same for all partitions.
#[derive(Clone, Copy, Debug)]
pub struct LogPlan {
    pub durability: Durability,
    /// Per partition, in whole segments.
    pub retention_bytes: u64,
}

/// All partitions, and who flushes them.
pub struct Logs {
    pub durability: Durability,
    partitions: Vec<Partition>,
    dirty: Mutex<Vec<usize>>,
    more: Condvar,
}

/// One partition's log.
pub struct Partition {
    state: Mutex<State>,
    /// The offset below which a consumer may read.
    readable: watch::Sender<i64>,
}

struct State {
    segments: VecDeque<Segment>,
    next_offset: i64,
    /// Bytes and records of a batch (I1).
    batch: (u64, i64),
    dirty: bool,
    directory: PathBuf,
    /// Whether segments are preallocated whole: not for many partitions.
    preallocate: bool,
    flushes_at_roll: bool,
    segments_max: usize,
    closed: SyncSender<Closed>,
}

/// What is done with files that are not written any more, beside the requests.
enum Closed {
    /// A full segment is flushed, as Kafka does: a power cut costs the active segment at most, in both durabilities.
    Flush(Arc<File>),
    Remove(PathBuf),
}

struct Segment {
    file: Arc<File>,
    path: PathBuf,
    base_offset: i64,
    bytes: u64,
}

/// Where to read.
pub struct Place {
    pub file: Arc<File>,
    pub position: u64,
    pub length: u64,
}

impl Logs {
    pub fn create(directory: &Path, partitions: usize, plan: LogPlan) -> Fallible<Arc<Logs>> {
        let LogPlan { durability, retention_bytes } = plan;
        let segments_max = usize::try_from(retention_bytes.div_ceil(SEGMENT_BYTES))?.max(1);
        let (closed, work) = sync_channel(CLOSED_MAX);
        std::thread::spawn(move || {
            for closed in work {
                // Whoever measures sees a full disk by the appends.
                let _ = match closed {
                    Closed::Flush(file) => file.sync_data(),
                    Closed::Remove(path) => fs::remove_file(path),
                };
            }
        });
        let mut all = Vec::new();
        for number in 0..partitions {
            let directory = directory.join(number.to_string());
            fs::create_dir_all(&directory).map_err(told("create", &directory))?;
            let state = State {
                segments: VecDeque::new(),
                next_offset: 0,
                batch: (1, 1),
                dirty: false,
                directory,
                preallocate: partitions <= PREALLOCATED_MAX,
                flushes_at_roll: durability == Durability::Flushed,
                segments_max,
                closed: closed.clone(),
            };
            all.push(Partition { state: Mutex::new(state), readable: watch::Sender::new(0) });
        }
        let logs =
            Arc::new(Logs { durability, partitions: all, dirty: Mutex::default(), more: Condvar::new() });
        if durability == Durability::Flushed {
            let flushing = Arc::clone(&logs);
            std::thread::spawn(move || flushing.flush_forever());
        }
        Ok(logs)
    }

    pub fn partition(&self, number: i32) -> Fallible<&Partition> {
        let found = usize::try_from(number).ok().and_then(|number| self.partitions.get(number));
        found.ok_or_else(|| format!("there is no partition {number}").into())
    }

    /// Appends a batch with so many records after `stamp` has written its offset into it; answers the offset.
    pub fn append(
        &self,
        number: i32,
        (batch, records): (&mut [u8], i64),
        stamp: impl FnOnce(&mut [u8], i64) -> Fallible<()>,
    ) -> Fallible<i64> {
        let partition = self.partition(number)?;
        let mut state = partition.state.lock();
        let offset = state.next_offset;
        stamp(batch, offset)?;
        state.write(batch, records)?;
        if self.durability == Durability::PageCache {
            partition.readable.send_replace(offset + records);
        } else if !std::mem::replace(&mut state.dirty, true) {
            self.dirty.lock().push(usize::try_from(number)?);
            self.more.notify_one();
        }
        Ok(offset)
    }

    /// One round flushes what was written until it began, and answers all who wait for that.
    fn flush_forever(&self) {
        loop {
            let round = {
                let mut dirty = self.dirty.lock();
                self.more.wait_while(&mut dirty, |dirty| dirty.is_empty());
                std::mem::take(&mut *dirty)
            };
            let per_thread = round.len().div_ceil(FLUSH_THREADS);
            std::thread::scope(|scope| {
                let mut shares = round.chunks(per_thread);
                let own = shares.next().unwrap_or_default();
                for share in shares {
                    scope.spawn(|| self.flush(share));
                }
                self.flush(own);
            });
        }
    }

    fn flush(&self, share: &[usize]) {
        for partition in share.iter().filter_map(|number| self.partitions.get(*number)) {
            let (file, end) = {
                let mut state = partition.state.lock();
                state.dirty = false;
                (state.segments.back().map(|segment| Arc::clone(&segment.file)), state.next_offset)
            };
            if file.is_some_and(|file| file.sync_data().is_ok()) {
                partition.readable.send_replace(end);
            }
        }
    }
}

impl Partition {
    /// Tells when more may be read.
    pub fn readable(&self) -> watch::Receiver<i64> {
        self.readable.subscribe()
    }

    /// Whole batches from an offset on, at most so many bytes but at least one batch; `None` where none may be read yet.
    pub fn find(&self, offset: i64, bytes_max: u64) -> Fallible<Option<Place>> {
        let state = self.state.lock();
        let readable = *self.readable.borrow();
        if offset >= readable {
            return Ok(None);
        }
        let (batch_bytes, batch_records) = state.batch;
        let index = state.segments.partition_point(|segment| segment.base_offset <= offset);
        let segment = index.checked_sub(1).and_then(|index| state.segments.get(index));
        let segment = segment.ok_or_else(|| format!("offset {offset} was dropped"))?;
        let batches = u64::try_from((offset - segment.base_offset) / batch_records)?;
        let ready = u64::try_from((readable - segment.base_offset) / batch_records)? * batch_bytes;
        let position = batches * batch_bytes;
        let left = segment.bytes.min(ready) - position;
        let length = left.min((bytes_max / batch_bytes).max(1) * batch_bytes);
        Ok(Some(Place { file: Arc::clone(&segment.file), position, length }))
    }

    pub fn next_offset(&self) -> i64 {
        *self.readable.borrow()
    }
}

impl State {
    fn write(&mut self, batch: &[u8], records: i64) -> Fallible<()> {
        let length = batch.len() as u64;
        self.batch = (length, records);
        let is_full = |segment: &Segment| segment.bytes + length > SEGMENT_BYTES;
        if self.segments.back().is_none_or(is_full) {
            self.roll()?;
        }
        let segment = self.segments.back_mut().ok_or("a log has no segment")?;
        segment.file.write_all_at(batch, segment.bytes)?;
        segment.bytes += length;
        self.next_offset += records;
        Ok(())
    }

    fn roll(&mut self) -> Fallible<()> {
        let path = self.directory.join(format!("{:020}.log", self.next_offset));
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(told("create", &path))?;
        if self.preallocate {
            fallocate(&file, FallocateFlags::KEEP_SIZE, 0, SEGMENT_BYTES)?;
        }
        match self.segments.back() {
            // A round flushes the last segment only.
            Some(full) if self.flushes_at_roll => full.file.sync_data()?,
            Some(full) => self.closed.send(Closed::Flush(Arc::clone(&full.file)))?,
            None => {}
        }
        self.segments.push_back(Segment {
            file: Arc::new(file),
            path,
            base_offset: self.next_offset,
            bytes: 0,
        });
        if self.segments.len() > self.segments_max
            && let Some(oldest) = self.segments.pop_front()
        {
            self.closed.send(Closed::Remove(oldest.path))?;
        }
        Ok(())
    }
}
