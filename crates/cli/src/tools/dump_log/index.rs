//! `.index` and `.timeindex`: shown, and compared with their log.
//!
//! Owns: which entries are shown, the comparison, the check a broker makes at its start.
//! Does not own: the formats (`ottla_storage::inspect`), the words of findings (`findings`).
//!
//! Source: behaviour of `kafka-dump-log` of Kafka 4.3.1.

use std::path::Path;
use std::sync::Arc;

use ottla_env::disk::{File, RealDisk};
use ottla_protocol::compression::UnpackLimits;
use ottla_protocol::record::RecordBuffer;
use ottla_storage::{inspect, read_small_file};

use super::batches::{BatchReader, RawBatch, of_batch};
use super::findings::Findings;
use super::log::{UNPACKED_BYTES_MAX, of_compression, of_record};
use super::{FileName, of_file, open};
use crate::terminal::Terminal;
use crate::tools::failure::Failure;

/// What is done with an index in place of showing it.
#[derive(Clone, Copy)]
pub struct Only {
    /// Only the check a broker makes at its start.
    pub sanity: bool,
    /// Only the comparison with the log.
    pub verify: bool,
}

/// Time of a batch without records; also that of no entry.
const NO_TIMESTAMP: i64 = -1;

/// An entry of an offset index, with offsets as they stand in the log.
#[derive(Clone, Copy)]
struct OffsetEntry {
    offset: i64,
    position: u32,
}

/// Shows an offset index.
pub fn show(
    file: &FileName<'_>,
    (only, message_bytes_max): (Only, i32),
    (findings, terminal): (&mut Findings, &mut Terminal<'_>),
) -> Result<(), Failure> {
    let base = file.offset()?;
    let log_path = file.sibling(".log");
    let log = open(&log_path)?;
    let entries = offsets(Path::new(file.shown), base)?;
    if entries.is_empty() {
        terminal.out_line(format_args!("{} is empty.", file.shown));
        return Ok(());
    }
    if only.sanity {
        // A broker looks at the last offset, which cannot be below the first one.
        terminal.out_line(format_args!("{} passed sanity check.", file.shown));
        return Ok(());
    }
    for entry in used(&entries, |entry| entry.offset == base) {
        let mut batches =
            BatchReader::new(Arc::clone(&log), &log_path, (u64::from(entry.position), message_bytes_max))?;
        let Some(batch) = batches.next()? else {
            return Err(Failure::silent("java.util.NoSuchElementException"));
        };
        let last_offset = last_offset(&batch)?;
        if last_offset != entry.offset {
            findings.mismatch(file.absolute(), entry.offset, last_offset);
        }
        if !only.verify {
            terminal.out_line(format_args!("offset: {} position: {}", entry.offset, entry.position));
        }
    }
    Ok(())
}

/// Shows a time index.
pub fn show_times(
    file: &FileName<'_>,
    only: Only,
    (findings, terminal): (&mut Findings, &mut Terminal<'_>),
) -> Result<(), Failure> {
    let base = file.offset()?;
    let log = (open(&file.sibling(".log"))?, file.sibling(".log"));
    let offsets = offsets(&file.sibling(".index"), base)?;
    let path = Path::new(file.shown);
    let content =
        read_small_file(&RealDisk, path).map_err(|error| of_file(path, &error))?.unwrap_or_default();
    let entries = inspect::indexed_times(&content);
    let entries: Vec<(i64, i64)> =
        entries.iter().map(|entry| (entry.timestamp.millis(), base + i64::from(entry.relative))).collect();
    if only.sanity {
        check_times(file, &entries)?;
        terminal.out_line(format_args!("{} passed sanity check.", file.shown));
        return Ok(());
    }
    let mut before = NO_TIMESTAMP;
    for (timestamp, offset) in used(&entries, |(_, offset)| *offset == base) {
        // The last entry at or below the offset says where to begin; without one the log is read from its start.
        let at = offsets.partition_point(|entry| entry.offset <= *offset);
        let position = at.checked_sub(1).and_then(|at| offsets.get(at)).map_or(0, |entry| entry.position);
        match batch_of((&log.0, &log.1), position, *offset)? {
            Some((last_offset, latest)) if last_offset == *offset => {
                if latest != *timestamp {
                    findings.wrong_time(file.absolute(), *timestamp, latest);
                }
                if before >= *timestamp {
                    findings.disordered_time(file.absolute(), *timestamp, before);
                }
            }
            found => findings.lost_offset(
                file.absolute(),
                *offset,
                found.map_or(-1, |(last_offset, _)| last_offset),
            ),
        }
        if !only.verify {
            terminal.out_line(format_args!("timestamp: {timestamp} offset: {offset}"));
        }
        before = *timestamp;
    }
    Ok(())
}

/// The check of a broker at its start.
fn check_times(file: &FileName<'_>, entries: &[(i64, i64)]) -> Result<(), Failure> {
    let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else { return Ok(()) };
    if last >= first {
        return Ok(());
    }
    Err(Failure::new(
        "org.apache.kafka.storage.internals.log.CorruptIndexException",
        format!(
            "Corrupt time index found, time index file ({}) has non-zero size but the last timestamp is {last} which \
             is less than the first timestamp {first}",
            file.absolute()
        ),
    ))
}

/// The entries up to the space that was only reserved, which says 0: the first offset again.
fn used<E>(entries: &[E], is_base: impl Fn(&E) -> bool) -> &[E] {
    let end = entries.iter().skip(1).position(is_base);
    end.map_or(entries, |end| entries.get(..=end).unwrap_or(entries))
}

/// The entries of an offset index; none where there is no file.
fn offsets(path: &Path, base: i64) -> Result<Vec<OffsetEntry>, Failure> {
    let content =
        read_small_file(&RealDisk, path).map_err(|error| of_file(path, &error))?.unwrap_or_default();
    let entries = inspect::indexed_offsets(&content).into_iter();
    let entry = |entry: inspect::IndexedOffset| OffsetEntry {
        offset: base + i64::from(entry.relative),
        position: entry.position,
    };
    Ok(entries.map(entry).collect())
}

/// The first batch from a position on that ends at or behind an offset: its end, and the latest time of its records.
fn batch_of(
    (log, path): (&Arc<dyn File>, &Path),
    position: u32,
    offset: i64,
) -> Result<Option<(i64, i64)>, Failure> {
    let mut batches = BatchReader::new(Arc::clone(log), path, (u64::from(position), i32::MAX))?;
    while let Some(batch) = batches.next()? {
        let last_offset = last_offset(&batch)?;
        if last_offset == offset {
            return Ok(Some((last_offset, latest_time(&batch)?)));
        }
        if last_offset > offset {
            return Ok(Some((last_offset, NO_TIMESTAMP)));
        }
    }
    Ok(None)
}

fn last_offset(batch: &RawBatch) -> Result<i64, Failure> {
    Ok(batch.parse().map_err(|error| of_batch(&error))?.last_offset().value())
}

fn latest_time(batch: &RawBatch) -> Result<i64, Failure> {
    let batch = batch.parse().map_err(|error| of_batch(&error))?;
    let mut buffer = RecordBuffer::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX));
    let mut latest = NO_TIMESTAMP;
    for record in batch.records(&mut buffer).map_err(|error| of_compression(&error))? {
        let record = record.map_err(|error| of_record(&error))?;
        latest = latest.max(record.timestamp.millis());
    }
    Ok(latest)
}
