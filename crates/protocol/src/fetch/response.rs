//! Fetch responses as a list of parts: what we write, and ranges of segment files between it.
//!
//! Owns: the layout of versions 4 to 18, the size of the whole frame before the first byte is sent.
//! Does not own: reading files, sending them.
//!
//! Invariants
//! - I1 topics, partitions and record bytes come exactly as announced, or the writer panics: a frame with a wrong
//!   length would be read as garbage;
//! - I2 fields and tags that a version does not have are not written (TRAP-33).
//!
//! Source: Kafka protocol guide, Fetch; KIP-98, KIP-392, KIP-595, KIP-951; requirements FET-15 to FET-22.

use bytes::Bytes;
use ottla_model::{BrokerId, LeaderEpoch, Offset, ProducerId};

use super::FIRST_WITH_TOPIC_ID;
use crate::codec::{EncodeError, Sink, Writer};
use crate::error_code::ErrorCode;
use crate::produce::{CurrentLeader, NodeEndpoint, TopicLabel, put_endpoints, put_topic_label};
use crate::reply::{self, FileSlice, Part, Reply, ReplyHead};

/// A transaction whose records a read-committed consumer must skip (FET-18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
}

/// Where the leader's log and a follower's part (FET-31). `None` is −1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: Option<LeaderEpoch>,
    pub end_offset: Option<Offset>,
}

/// The snapshot that a follower of the metadata log must fetch first (KIP-630).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEnd {
    pub end_offset: Offset,
    pub epoch: LeaderEpoch,
}

/// What is answered for one partition, but for its records.
#[derive(Clone, Copy, Debug)]
pub struct FetchOutcome<'a> {
    pub index: i32,
    pub error: ErrorCode,
    pub high_watermark: Option<Offset>,
    pub last_stable_offset: Option<Offset>,
    pub log_start: Option<Offset>,
    pub diverging_epoch: Option<EpochEndOffset>,
    pub current_leader: Option<CurrentLeader>,
    pub snapshot: Option<SnapshotEnd>,
    /// `None` is null, which is what read-uncommitted consumers get.
    pub aborted_transactions: Option<&'a [AbortedTransaction]>,
    pub preferred_read_replica: Option<BrokerId>,
    /// Bytes of records that follow. Kafka's broker never sends null.
    pub records_bytes: usize,
}

impl FetchOutcome<'_> {
    /// An error: no offsets, no records.
    pub fn refused(index: i32, error: ErrorCode) -> FetchOutcome<'static> {
        FetchOutcome {
            index,
            error,
            high_watermark: None,
            last_stable_offset: None,
            log_start: None,
            diverging_epoch: None,
            current_leader: None,
            snapshot: None,
            aborted_transactions: None,
            preferred_read_replica: None,
            records_bytes: 0,
        }
    }
}

/// The fields of a response before its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchShape {
    pub throttle_ms: i32,
    /// Of the session, or of the whole request.
    pub error: ErrorCode,
    pub session_id: i32,
    pub topics: usize,
}

/// Writes a Fetch response: `topic`, then for each of its partitions `partition`, its records, and so on.
pub struct FetchResponseWriter<F> {
    writer: Writer,
    version: i16,
    /// File ranges, each with the position among our bytes that it follows.
    files: Vec<(usize, FileSlice<F>)>,
    files_bytes: u64,
    topics_left: usize,
    partitions_left: usize,
    records: Option<OpenRecords>,
}

/// The partition whose records are being given.
struct OpenRecords {
    /// Where the partition begins.
    began: usize,
    bytes_left: u64,
    diverging_epoch: Option<EpochEndOffset>,
    current_leader: Option<CurrentLeader>,
    snapshot: Option<SnapshotEnd>,
}

impl<F> FetchResponseWriter<F> {
    /// Begins the response to `head`. `inline_bytes` is a guess at how many bytes will not lie in files.
    pub fn new(head: ReplyHead, shape: FetchShape, inline_bytes: usize) -> FetchResponseWriter<F> {
        FetchResponseWriter::on(head.begin(inline_bytes), head.version, shape)
    }

    /// The same in memory of the caller, which is empty.
    pub fn new_in(memory: Vec<u8>, head: ReplyHead, shape: FetchShape) -> FetchResponseWriter<F> {
        FetchResponseWriter::on(head.begin_in(memory), head.version, shape)
    }

    fn on(mut writer: Writer, version: i16, shape: FetchShape) -> FetchResponseWriter<F> {
        writer.put_i32(shape.throttle_ms);
        if version >= 7 {
            writer.put_i16(shape.error.number());
            writer.put_i32(shape.session_id);
        }
        writer.put_count("responses", Some(shape.topics));
        FetchResponseWriter {
            writer,
            version,
            files: Vec::new(),
            files_bytes: 0,
            topics_left: shape.topics,
            partitions_left: 0,
            records: None,
        }
    }

    /// Begins a topic with so many partitions.
    pub fn topic(&mut self, label: TopicLabel<'_>, partitions: usize) {
        self.end_partition();
        assert!(self.topics_left > 0 && self.partitions_left == 0, "topics and partitions as announced");
        self.topics_left -= 1;
        self.partitions_left = partitions;
        put_topic_label(&mut self.writer, label, self.version >= FIRST_WITH_TOPIC_ID);
        self.writer.put_count("partitions", Some(partitions));
        if partitions == 0 {
            self.writer.put_no_tags();
        }
    }

    /// Begins the next partition of the topic; `records_bytes` bytes of records must follow.
    pub fn partition(&mut self, outcome: &FetchOutcome<'_>) {
        self.end_partition();
        assert!(self.partitions_left > 0, "partitions as announced");
        let w = &mut self.writer;
        let began = w.len();
        w.put_i32(outcome.index);
        w.put_i16(outcome.error.number());
        w.put_i64(outcome.high_watermark.map_or(-1, Offset::value));
        w.put_i64(outcome.last_stable_offset.map_or(-1, Offset::value));
        if self.version >= 5 {
            w.put_i64(outcome.log_start.map_or(-1, Offset::value));
        }
        w.put_count("abortedTransactions", outcome.aborted_transactions.map(<[_]>::len));
        for aborted in outcome.aborted_transactions.unwrap_or(&[]) {
            w.put_i64(aborted.producer_id.value());
            w.put_i64(aborted.first_offset.value());
            w.put_no_tags();
        }
        if self.version >= 11 {
            w.put_i32(outcome.preferred_read_replica.map_or(-1, BrokerId::value));
        }
        w.put_count("records", Some(outcome.records_bytes));
        self.records = Some(OpenRecords {
            began,
            bytes_left: u64::try_from(outcome.records_bytes).unwrap_or(u64::MAX),
            diverging_epoch: outcome.diverging_epoch,
            current_leader: outcome.current_leader,
            snapshot: outcome.snapshot,
        });
    }

    /// Takes back all of the partition at hand, whose records turned out to be none. Another outcome must follow. It is
    /// not for partitions whose records stay in their file.
    pub fn take_back_partition(&mut self) {
        if let Some(open) = self.records.take() {
            assert!(self.files.iter().all(|(at, _)| *at <= open.began), "the records were copied");
            self.writer.shorten(open.began);
        }
    }

    /// The records of the partition at hand that were copied so far.
    pub fn records_so_far(&self, bytes: usize) -> &[u8] {
        self.writer.last(bytes)
    }

    /// Records of the partition, copied.
    pub fn records(&mut self, bytes: &[u8]) {
        self.take_records(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.writer.put_slice(bytes);
    }

    /// Room for records of the partition that the caller reads right into the response (small reads, performance
    /// 4.3). All of it must be filled.
    pub fn records_room(&mut self, bytes: usize) -> &mut [u8] {
        self.take_records(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.writer.put_zeroes(bytes)
    }

    /// Records of the partition that stay in their file.
    pub fn records_file(&mut self, slice: FileSlice<F>) {
        self.take_records(slice.length);
        if slice.length > 0 {
            self.files_bytes = self.files_bytes.saturating_add(slice.length);
            self.files.push((self.writer.len(), slice));
        }
    }

    /// Ends the response. `endpoints` are left out before version 16.
    pub fn finish(self, endpoints: &[NodeEndpoint<'_>]) -> Result<Reply<F>, EncodeError> {
        self.finish_with(endpoints, Bytes::from)
    }

    /// The same where the caller knows what becomes of the memory.
    pub fn finish_with(
        mut self,
        endpoints: &[NodeEndpoint<'_>],
        shared: impl FnOnce(Vec<u8>) -> Bytes,
    ) -> Result<Reply<F>, EncodeError> {
        self.end_partition();
        assert!(self.topics_left == 0 && self.partitions_left == 0, "topics and partitions as announced");
        put_endpoints(&mut self.writer, if self.version >= 16 { endpoints } else { &[] });
        self.writer.take_error()?;
        let mut frame = self.writer.into_vec();
        reply::seal(&mut frame, self.files_bytes)?;
        let frame = shared(frame);
        if self.files.is_empty() {
            return Ok(Reply::Bytes(frame));
        }
        Ok(Reply::Parts(interleaved(&frame, self.files)))
    }

    fn take_records(&mut self, bytes: u64) {
        let left = self.records.as_ref().map_or(0, |open| open.bytes_left);
        assert!(left >= bytes, "records as announced, inside a partition");
        if let Some(open) = &mut self.records {
            open.bytes_left = left - bytes;
        }
    }

    /// Writes what follows the records of the partition at hand, if there is one.
    fn end_partition(&mut self) {
        let Some(open) = self.records.take() else { return };
        assert!(open.bytes_left == 0, "{} bytes of records are missing", open.bytes_left);
        let w = &mut self.writer;
        let tagged = self.version >= super::FIRST_FLEXIBLE;
        w.open_tags();
        if let Some(diverging) = open.diverging_epoch.filter(|diverging| tagged && diverging.is_known())
            && w.open_tag(0, true)
        {
            w.put_i32(diverging.epoch.map_or(-1, LeaderEpoch::value));
            w.put_i64(diverging.end_offset.map_or(-1, Offset::value));
            w.put_no_tags();
            w.close_tag();
        }
        if let Some(leader) = open.current_leader.filter(|leader| tagged && leader.is_known())
            && w.open_tag(1, true)
        {
            leader.put(w);
            w.close_tag();
        }
        if let Some(snapshot) = open.snapshot.filter(|_| tagged)
            && w.open_tag(2, true)
        {
            w.put_i64(snapshot.end_offset.value());
            w.put_i32(snapshot.epoch.value());
            w.put_no_tags();
            w.close_tag();
        }
        w.close_tags(&[]);
        self.partitions_left -= 1;
        if self.partitions_left == 0 {
            w.put_no_tags();
        }
    }
}

impl EpochEndOffset {
    /// Whether it differs from the field's default, which is not written.
    fn is_known(&self) -> bool {
        self.epoch.is_some() || self.end_offset.is_some()
    }
}

/// Our bytes and the file ranges in the order of the wire.
fn interleaved<F>(frame: &Bytes, files: Vec<(usize, FileSlice<F>)>) -> Vec<Part<F>> {
    let mut parts = Vec::with_capacity(files.len() * 2 + 1);
    let mut from = 0;
    for (to, slice) in files {
        if to > from {
            parts.push(Part::Bytes(frame.slice(from..to)));
        }
        parts.push(Part::File(slice));
        from = to;
    }
    if from < frame.len() {
        parts.push(Part::Bytes(frame.slice(from..)));
    }
    parts
}
