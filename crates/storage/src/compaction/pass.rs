//! One pass over a log: the map of its dirty part, then its segments written anew.
//!
//! Owns: which batches and records stay, which segments become one, when nothing has to be written.
//! Does not own: how dirty a log is (`dirt`), bytes of batches (`ottla_protocol::record`), the log's list of segments.
//!
//! Rules, those of Kafka's cleaner:
//! - a record goes if the map has its key at a later offset, if it has no key, if its transaction was aborted, or if it is a
//!   tombstone in a batch whose delete horizon has passed; records behind the end of the map stay;
//! - a batch with tombstones, or a marker of whose transaction nothing is left, gets a delete horizon in its first pass;
//! - a batch without records stays if it is the last one of a producer that is remembered, or ends what is compacted;
//! - a batch of which everything stays is copied as it is.
//!
//! Invariants
//! - I1 offsets and their order do not change;
//! - I2 what fails its checksum, or does not follow the batch before it, is never written anew.
//!
//! Source: requirements CMP-02 to CMP-05; KIP-58, KIP-534.

use std::collections::HashMap;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use ottla_model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use ottla_protocol::compression::UnpackLimits;
use ottla_protocol::record::{
    Batch, BatchHeader, BatchRewriter, BatchView, ControlKind, Record, RewriteError, write_emptied,
};

use super::error::CompactionError;
use super::key_map::{KeyMap, KeyMapLimits};
use super::transactions::{Marker, Transactions};
use super::writer::Writer;
use crate::config::LogConfig;
use crate::file_cache::PartitionDirectory;
use crate::index::{IndexEntry, OffsetEntry, TimeEntry};
use crate::names::FileKind;
use crate::scan::{FoundBatch, Scanner, Waiting};
use crate::segment::{RELATIVE_OFFSET_MAX, Sealed, relative_offset};
use crate::txn_index::{self, AbortedTransaction};

/// Most bytes the records of one batch may unpack to. A batch that was accepted unpacks to less.
const UNPACKED_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Told of every stretch of bytes that is read or written; may take its time, and says whether to go on.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// What a pass may use.
#[derive(Clone, Copy, Debug)]
pub struct CompactionLimits {
    pub map: KeyMapLimits,
    /// Bytes that are collected before they are written.
    pub write_bytes: usize,
}

/// The last thing a producer wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LastOfProducer {
    Data(Offset),
    /// Only markers: those of this epoch.
    Markers(Option<ProducerEpoch>),
}

/// What of a log is compacted, as the log was when the pass began.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) directory: Arc<PartitionDirectory>,
    pub(crate) config: Arc<LogConfig>,
    /// All segments below `end`.
    pub(crate) segments: Vec<Arc<Sealed>>,
    pub(crate) first_dirty: Offset,
    pub(crate) end: Offset,
    /// Aborted transactions with records in the segments, by first offset.
    pub(crate) aborted: Vec<AbortedTransaction>,
    pub(crate) producers: HashMap<ProducerId, LastOfProducer>,
    pub(crate) now: Timestamp,
}

/// A pass over a log. Runs without the log's lock.
pub struct Compaction<'a> {
    scope: &'a Scope,
    limits: CompactionLimits,
    map: KeyMap,
    /// Everything below is in the map.
    mapped_end: Offset,
    groups: std::vec::IntoIter<Range<usize>>,
    transactions: Transactions<'a>,
    rewriter: BatchRewriter,
    buffer: Vec<u8>,
}

/// Segments and the one that takes their place.
#[derive(Debug)]
#[must_use]
pub struct CleanedGroup {
    pub(crate) sources: Vec<Arc<Sealed>>,
    pub(crate) sealed: Arc<Sealed>,
}

impl CleanedGroup {
    /// Bytes before and after.
    pub fn sizes(&self) -> (u64, u64) {
        (self.sources.iter().map(|segment| segment.size).sum(), self.sealed.size)
    }

    /// Gives it up: its files go.
    pub fn discard(self) -> io::Result<()> {
        self.sealed.files.remove()
    }
}

impl<'a> Compaction<'a> {
    /// Reads the dirty part.
    pub(crate) fn begin(
        scope: &'a Scope,
        limits: CompactionLimits,
        pace: &mut Pace<'_>,
    ) -> Result<Compaction<'a>, CompactionError> {
        let mut compaction = Compaction {
            scope,
            limits,
            map: KeyMap::new(limits.map),
            mapped_end: scope.first_dirty,
            groups: Vec::new().into_iter(),
            transactions: Transactions::new(&scope.aborted),
            rewriter: BatchRewriter::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX)),
            buffer: Vec::new(),
        };
        compaction.map_keys(pace)?;
        compaction.groups = compaction.group()?.into_iter();
        Ok(compaction)
    }

    /// Everything below is compacted once all groups are in their places.
    pub fn cleaned_to(&self) -> Offset {
        self.mapped_end
    }

    fn map_keys(&mut self, pace: &mut Pace<'_>) -> Result<(), CompactionError> {
        let scope = self.scope;
        let mut transactions = Transactions::new(&scope.aborted);
        for segment in scope.segments.iter().filter(|segment| segment.end > scope.first_dirty) {
            if !self.map_segment(segment, &mut transactions, pace)? {
                return Ok(());
            }
            self.mapped_end = segment.end;
        }
        Ok(())
    }

    /// Returns whether the map took everything.
    fn map_segment(
        &mut self,
        segment: &Arc<Sealed>,
        transactions: &mut Transactions<'_>,
        pace: &mut Pace<'_>,
    ) -> Result<bool, CompactionError> {
        let first_dirty = self.scope.first_dirty;
        let relative = relative_offset(segment.base(), first_dirty).unwrap_or(0);
        let from = segment.indexes()?.position_before(&segment.files, relative)?;
        let mut walk = Walk::new(segment, from)?;
        while let Some(batch) = walk.next(pace)? {
            match batch.header.filter(|header| header.attributes.is_control()) {
                Some(header) => {
                    let (body, _) = walk.body(&batch)?;
                    transactions.on_control(&header, control_kind(&body));
                }
                None if batch.header.is_some_and(|header| transactions.on_data(&header)) => {}
                None => {
                    let (body, place) = walk.body(&batch)?;
                    let (map, mut full_at) = (&mut self.map, None);
                    let note = |record: &Record<'_>| {
                        let Some(key) = record.key.filter(|_| record.offset >= first_dirty) else {
                            return true;
                        };
                        let has_room = map.put(key, record.offset);
                        full_at = (!has_room).then_some(record.offset);
                        has_room
                    };
                    self.rewriter.each(&body, note).map_err(|reason| place.unreadable(reason))?;
                    if let Some(full_at) = full_at {
                        self.mapped_end = full_at;
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// CMP-05: neighbours become one as long as segment, indexes and offsets stay within their bounds.
    fn group(&self) -> io::Result<Vec<Range<usize>>> {
        let scope = self.scope;
        let bytes_max = u64::from(scope.config.segment_bytes);
        let index_max = u64::from(scope.config.segment_index_bytes);
        let count = scope.segments.partition_point(|segment| segment.base() < self.mapped_end);
        let mut groups: Vec<Range<usize>> = Vec::new();
        let mut sums = [0; 3];
        for (at, segment) in scope.segments.iter().enumerate().take(count) {
            let sizes = sizes_of(segment)?;
            let together: [u64; 3] = std::array::from_fn(|which| sums[which] + sizes[which]);
            let fits = together[0] <= bytes_max && together[1..].iter().all(|bytes| *bytes <= index_max);
            match groups.last_mut() {
                Some(group) if fits && spans(&scope.segments[group.start], segment) => {
                    group.end = at + 1;
                    sums = together;
                }
                Some(_) | None => {
                    groups.push(at..at + 1);
                    sums = sizes;
                }
            }
        }
        Ok(groups)
    }

    /// Writes the next segment that has changed; `None` when there is none any more.
    pub fn clean_next(&mut self, pace: &mut Pace<'_>) -> Result<Option<CleanedGroup>, CompactionError> {
        while let Some(group) = self.groups.next() {
            let sources = self.scope.segments[group].to_vec();
            if let Some(sealed) = self.clean(&sources, pace)? {
                return Ok(Some(CleanedGroup { sources, sealed: Arc::new(sealed) }));
            }
        }
        Ok(None)
    }

    fn clean(
        &mut self,
        sources: &[Arc<Sealed>],
        pace: &mut Pace<'_>,
    ) -> Result<Option<Sealed>, CompactionError> {
        let mut output =
            Output { writer: None, aborted: Vec::new(), buffer: std::mem::take(&mut self.buffer) };
        match self.clean_into(&mut output, sources, pace) {
            Ok(sealed) => {
                self.buffer = output.buffer;
                Ok(sealed)
            }
            Err(error) => {
                if let Some(writer) = output.writer {
                    // Whatever is left is removed at the next start.
                    let _ = writer.discard();
                }
                Err(error)
            }
        }
    }

    fn clean_into(
        &mut self,
        output: &mut Output,
        sources: &[Arc<Sealed>],
        pace: &mut Pace<'_>,
    ) -> Result<Option<Sealed>, CompactionError> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return Ok(None) };
        if sources.len() > 1 {
            output.begin(self.scope, first)?;
        }
        for segment in sources {
            self.clean_segment(output, segment, pace)?;
        }
        if output.writer.is_none() && txn_index::read(&first.files)? != output.aborted {
            output.begin(self.scope, first)?;
            output.copy_prefix(first, first.size, (pace, self.limits.write_bytes))?;
        }
        let Some(writer) = output.writer.take() else { return Ok(None) };
        let path = last.files.path(FileKind::Log);
        let modified_ms = last.files.directory.disk().metadata(&path)?.modified_ms;
        let (sealed, buffer) = writer.finish(&output.aborted, (last.end, modified_ms))?;
        output.buffer = buffer;
        Ok(Some(sealed))
    }

    fn clean_segment(
        &mut self,
        output: &mut Output,
        segment: &Arc<Sealed>,
        pace: &mut Pace<'_>,
    ) -> Result<(), CompactionError> {
        let write_bytes = self.limits.write_bytes;
        let mut walk = Walk::new(segment, 0)?;
        while let Some(batch) = walk.next(pace)? {
            let (body, place) = walk.body(&batch)?;
            let fate = self.fate(&batch, &body, output).map_err(|reason| place.unreadable(reason))?;
            if fate == Fate::Stays && output.writer.is_none() {
                continue;
            }
            if output.writer.is_none() {
                output.begin(self.scope, segment)?;
                output.copy_prefix(segment, batch.position, (pace, write_bytes))?;
            }
            let Some(writer) = &mut output.writer else { continue };
            let start = writer.pending.len();
            match fate {
                Fate::Stays => writer.push(&batch, body.bytes()),
                Fate::Goes => {}
                Fate::Emptied(header) => {
                    write_emptied(&header, &mut writer.pending);
                    writer.on_written(start);
                }
                Fate::Rewritten { horizon } => {
                    let written = self.rewriter.write_selected(&body, horizon, &mut writer.pending);
                    written.map_err(|reason| place.unreadable(reason))?;
                    writer.on_written(start);
                }
            }
            let written = writer.flush_above(write_bytes)?;
            go_on(pace(written))?;
        }
        Ok(())
    }

    /// What becomes of a batch.
    fn fate(
        &mut self,
        found: &FoundBatch,
        body: &Batch<'_>,
        output: &mut Output,
    ) -> Result<Fate, RewriteError> {
        let now = self.scope.now;
        let is_last = found.last_offset.next() == self.scope.end;
        let Some(header) = found.header else {
            return self
                .fate_of_data(body, Kept { horizon: None, if_empty: is_last.then(|| emptied_of(found)) });
        };
        let horizon = header.attributes.has_delete_horizon().then_some(header.base_timestamp);
        let stays_empty = is_last || self.is_last_of_producer(&header);
        let kept = Kept { horizon, if_empty: stays_empty.then_some(header) };
        if !header.attributes.is_control() {
            return match self.transactions.on_data(&header) {
                true => Ok(kept.emptied(body)),
                false => self.fate_of_data(body, kept),
            };
        }
        let marker = self.transactions.on_control(&header, control_kind(body));
        if let Marker::Needed { aborted: Some(aborted) } = marker {
            output.aborted.push(aborted);
        }
        match marker {
            Marker::Needed { .. } | Marker::Other if header.record_count > 0 => Ok(Fate::Stays),
            Marker::Spent if header.record_count > 0 && horizon.is_none() => {
                self.rewriter.select(body, |_| true)?;
                Ok(Fate::Rewritten { horizon: Some(self.new_horizon()) })
            }
            Marker::Spent if header.record_count > 0 && horizon.is_some_and(|horizon| now < horizon) => {
                Ok(Fate::Stays)
            }
            Marker::Needed { .. } | Marker::Other | Marker::Spent => Ok(kept.emptied(body)),
        }
    }

    fn fate_of_data(&mut self, body: &Batch<'_>, kept: Kept) -> Result<Fate, RewriteError> {
        let (map, mapped_end, now) = (&self.map, self.mapped_end, self.scope.now);
        let tombstones_stay = kept.horizon.is_none_or(|horizon| now < horizon);
        let selected = self.rewriter.select(body, |record| {
            if record.offset >= mapped_end {
                return true;
            }
            let Some(key) = record.key else { return false };
            (record.value.is_some() || tombstones_stay)
                && map.last_offset(key).is_none_or(|last| record.offset >= last)
        })?;
        if selected.kept == 0 {
            return Ok(kept.emptied(body));
        }
        let gets_horizon = selected.has_tombstones && kept.horizon.is_none();
        if selected.dropped == 0 && !gets_horizon {
            return Ok(Fate::Stays);
        }
        Ok(Fate::Rewritten { horizon: if gets_horizon { Some(self.new_horizon()) } else { kept.horizon } })
    }

    /// CMP-03
    fn new_horizon(&self) -> Timestamp {
        let horizon = self.scope.now.millis().saturating_add(self.scope.config.delete_retention_ms);
        Timestamp::from_millis(horizon)
    }

    /// Whether the batch holds the last sequence, or without any the last epoch, of a producer that is remembered.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = header.producer_id.and_then(|producer| self.scope.producers.get(&producer));
        match last {
            Some(LastOfProducer::Data(last)) => header.last_offset() == *last,
            Some(LastOfProducer::Markers(epoch)) => {
                header.attributes.is_control() && header.producer_epoch == *epoch
            }
            None => false,
        }
    }
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Stays,
    Goes,
    Emptied(BatchHeader),
    /// With the records that were selected last.
    Rewritten {
        horizon: Option<Timestamp>,
    },
}

/// What is known of a batch before its records are looked at.
#[derive(Clone, Copy, Debug)]
struct Kept {
    horizon: Option<Timestamp>,
    /// The header that stays where no record does.
    if_empty: Option<BatchHeader>,
}

impl Kept {
    fn emptied(&self, body: &Batch<'_>) -> Fate {
        match (self.if_empty, body) {
            (Some(header), Batch::V2(view)) if view.records_bytes().is_empty() => {
                debug_assert_eq!(header.record_count, 0);
                Fate::Stays
            }
            (Some(header), Batch::V2(_) | Batch::Legacy(_)) => Fate::Emptied(header),
            (None, _) => Fate::Goes,
        }
    }
}

/// What is left of a message of an old format that only marks the end of what is compacted.
fn emptied_of(found: &FoundBatch) -> BatchHeader {
    BatchHeader {
        base_offset: found.last_offset,
        size: 0,
        leader_epoch: None,
        crc: 0,
        attributes: ottla_protocol::record::Attributes::default(),
        last_offset_delta: 0,
        base_timestamp: Timestamp::NONE,
        max_timestamp: found.max_timestamp,
        producer_id: None,
        producer_epoch: None,
        base_sequence: None,
        record_count: 0,
    }
}

/// Where the batches that stay go. Nothing is written as long as all of a single segment do.
struct Output {
    writer: Option<Writer>,
    /// Entries of the transaction index.
    aborted: Vec<AbortedTransaction>,
    buffer: Vec<u8>,
}

impl Output {
    fn begin(&mut self, scope: &Scope, first: &Sealed) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let interval = scope.config.index_interval_bytes;
        self.writer = Some(Writer::create(&scope.directory, first.base(), interval, buffer)?);
        Ok(())
    }

    /// Copies the batches that lie before `until`.
    fn copy_prefix(
        &mut self,
        segment: &Arc<Sealed>,
        until: u64,
        (pace, write_bytes): (&mut Pace<'_>, usize),
    ) -> Result<(), CompactionError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut walk = Walk::until(segment, 0..until)?;
        while let Some(batch) = walk.next(pace)? {
            let (body, _) = walk.body(&batch)?;
            writer.push(&batch, body.bytes());
            go_on(pace(writer.flush_above(write_bytes)?))?;
        }
        Ok(())
    }
}

/// A walk over a segment that believes nothing.
struct Walk<'s> {
    scanner: Scanner,
    segment: &'s Sealed,
    next: Offset,
}

/// Where a batch lies.
#[derive(Clone, Copy)]
struct Position {
    segment: Offset,
    position: u64,
}

impl Position {
    fn unreadable(self, reason: RewriteError) -> CompactionError {
        CompactionError::Records { segment: self.segment, position: self.position, reason }
    }
}

impl<'s> Walk<'s> {
    fn new(segment: &'s Sealed, from: u64) -> io::Result<Walk<'s>> {
        Walk::until(segment, from..segment.size)
    }

    fn until(segment: &'s Sealed, range: Range<u64>) -> io::Result<Walk<'s>> {
        let scanner = Scanner::new(segment.files.open(FileKind::Log)?, range, Waiting::Allowed);
        Ok(Walk { scanner, segment, next: segment.base() })
    }

    fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<FoundBatch>, CompactionError> {
        let segment = self.segment.base();
        let found = self.scanner.next().map_err(|error| CompactionError::of_scan(error, segment))?;
        let Some(batch) = found else { return Ok(None) };
        let (first, last) = (batch.base_offset, batch.last_offset);
        if first < self.next || last < first || last >= self.segment.end {
            let position = batch.position;
            return Err(CompactionError::Misplaced { segment, position, offset: first });
        }
        self.next = last.next();
        go_on(pace(batch.size))?;
        Ok(Some(batch))
    }

    /// The bytes of a batch, whose checksum is right.
    fn body(&mut self, batch: &FoundBatch) -> Result<(Batch<'_>, Position), CompactionError> {
        let (segment, position) = (self.segment.base(), batch.position);
        let body = self.scanner.body(batch).map_err(|error| CompactionError::of_scan(error, segment))?;
        body.check_crc().map_err(|reason| CompactionError::Damaged { segment, position, reason })?;
        Ok((body, Position { segment, position }))
    }
}

fn go_on(flow: ControlFlow<()>) -> Result<(), CompactionError> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CompactionError::Stopped),
    }
}

/// What the first record of a control batch says; control batches are never compressed.
fn control_kind(body: &Batch<'_>) -> Option<ControlKind> {
    let Batch::V2(view) = body else { return None };
    first_key(view).and_then(|key| ControlKind::of_key(key).ok())
}

fn first_key<'b>(view: &BatchView<'b>) -> Option<&'b [u8]> {
    view.records_in(view.records_bytes()).next()?.ok()?.key
}

/// Bytes of a segment and of its two indexes.
fn sizes_of(segment: &Sealed) -> io::Result<[u64; 3]> {
    let indexes = segment.indexes()?;
    let bytes = |entries: u32, size: usize| u64::from(entries) * u64::try_from(size).unwrap_or(0);
    Ok([
        segment.size,
        bytes(indexes.offsets.len(), OffsetEntry::BYTES),
        bytes(indexes.times.len(), TimeEntry::BYTES),
    ])
}

/// Whether the offsets of `segment` can be told from the base offset of `first`.
fn spans(first: &Sealed, segment: &Sealed) -> bool {
    let last = segment.end.previous().unwrap_or(segment.end);
    segment.size == 0 || last.distance_from(first.base()) <= RELATIVE_OFFSET_MAX
}
