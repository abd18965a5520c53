//! `ottla log index` and `ottla log producers`: the small files beside a log.
//!
//! Owns: which entries are shown, whether they fit the log. Does not own: the formats (`ottla_storage::inspect`).
//!
//! An entry of an offset index fits if a batch begins at its position and ends with its offset; one of a time index if the
//! batch that ends with its offset has its time as the largest; one of a transaction index if its offsets are in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ottla_env::disk::RealDisk;
use ottla_model::Timestamp;
use ottla_storage::{inspect, read_small_file};
use serde_json::{Value, json};

use super::super::refusal::Refusal;
use super::super::report::{Column, column, wide};
use super::files::{INDEXES, LogFile, SNAPSHOTS};
use super::{Shown, time};

const ENTRIES: &[Column] = &[
    wide("file"),
    column("offset"),
    column("position"),
    column("time"),
    wide("producer"),
    wide("first_offset"),
    wide("last_offset"),
    wide("last_stable_offset"),
    column("matches"),
];
const PRODUCERS: &[Column] = &[
    wide("file"),
    column("producer"),
    column("epoch"),
    wide("coordinator_epoch"),
    column("first_sequence"),
    column("last_sequence"),
    column("last_offset"),
    column("last_time"),
    column("transaction_first_offset"),
];

/// The batches of a log by their last offset: where they begin, and their largest time.
type Batches = BTreeMap<i64, (u64, Timestamp)>;

/// Shows the entries of indexes; those that do not fit are told.
pub(super) fn run(paths: &[PathBuf]) -> Result<Shown, Refusal> {
    let mut shown = Shown::new(ENTRIES);
    for path in &INDEXES.files(paths)? {
        let rows = match path.extension().and_then(|ending| ending.to_str()) {
            Some("timeindex") => times(path, &mut shown)?,
            Some("txnindex") => transactions(path)?,
            // There is only one more kind of indexes.
            Some(_) | None => offsets(path, &mut shown)?,
        };
        let wrong = rows.iter().filter(|row| row[8] == json!(false)).count();
        let count = rows.len();
        rows.into_iter().for_each(|row| shown.table.push(row));
        if wrong > 0 {
            shown.damages.push(
                Refusal::failed(format!("{} does not fit its log", path.display()))
                    .detail(format_args!("{wrong} of {count} entries are wrong"))
                    .hint("While its broker is stopped it may be deleted: the broker makes a new one at its start"),
            );
        }
    }
    Ok(shown)
}

fn content(path: &Path) -> Result<Vec<u8>, Refusal> {
    let failed = || Refusal::failed(format!("{} cannot be read", path.display()));
    let read = read_small_file(&RealDisk, path).map_err(|error| failed().detail(error))?;
    read.ok_or_else(|| failed().detail("There is no such file"))
}

/// The offset that the name of a file begins with.
fn base_of(path: &Path) -> Result<i64, Refusal> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let refused = || {
        Refusal::failed(format!("{} is not named after an offset", path.display()))
            .hint("Files of a segment are named like 00000000000000000042.index")
    };
    stem.parse().map_err(|_| refused())
}

/// The batches beside an index; damage of the log is told, and entries behind it do not fit.
fn batches(path: &Path, shown: &mut Shown) -> Batches {
    let mut batches = Batches::new();
    let ended = LogFile::beside(path).walk(|walk| {
        let batch = walk.batch()?;
        batches.insert(batch.last_offset().value(), (walk.position, batch.max_timestamp()));
        Ok(true)
    });
    shown.damages.extend(ended.err());
    batches
}

type Row = [Value; 9];

fn offsets(path: &Path, shown: &mut Shown) -> Result<Vec<Row>, Refusal> {
    let base = base_of(path)?;
    let content = content(path)?;
    let batches = batches(path, shown);
    let entries = used(inspect::indexed_offsets(&content), |entry| entry.relative);
    let row = |entry: inspect::IndexedOffset| {
        let offset = base + i64::from(entry.relative);
        let fits = batches.get(&offset).is_some_and(|(position, _)| *position == u64::from(entry.position));
        let mut row = empty_row(path);
        (row[1], row[2], row[8]) = (json!(offset), json!(entry.position), json!(fits));
        row
    };
    Ok(entries.into_iter().map(row).collect())
}

fn times(path: &Path, shown: &mut Shown) -> Result<Vec<Row>, Refusal> {
    let base = base_of(path)?;
    let content = content(path)?;
    let batches = batches(path, shown);
    let entries = used(inspect::indexed_times(&content), |entry| entry.relative);
    let row = |entry: inspect::IndexedTime| {
        let offset = base + i64::from(entry.relative);
        let fits = batches.get(&offset).is_some_and(|(_, latest)| *latest == entry.timestamp);
        let mut row = empty_row(path);
        (row[1], row[3], row[8]) = (json!(offset), time(Some(entry.timestamp)), json!(fits));
        row
    };
    Ok(entries.into_iter().map(row).collect())
}

fn transactions(path: &Path) -> Result<Vec<Row>, Refusal> {
    let row = |entry: ottla_storage::AbortedTransaction| {
        let mut row = empty_row(path);
        row[4] = json!(entry.producer.value());
        row[5] = json!(entry.first_offset.value());
        row[6] = json!(entry.last_offset.value());
        row[7] = json!(entry.last_stable_offset.value());
        row[8] = json!(entry.first_offset <= entry.last_offset);
        row
    };
    Ok(inspect::aborted_transactions(&content(path)?).into_iter().map(row).collect())
}

fn empty_row(path: &Path) -> Row {
    let mut row: Row = Default::default();
    row[0] = json!(path.display().to_string());
    row
}

/// The entries before the space that was only reserved, which says 0: the first offset again.
fn used<E>(entries: Vec<E>, relative: impl Fn(&E) -> u32) -> Vec<E> {
    let end = entries.iter().skip(1).position(|entry| relative(entry) == 0);
    let mut entries = entries;
    entries.truncate(end.map_or(usize::MAX, |end| end + 1));
    // An index that was reserved and never used.
    let is_unused =
        end.is_some() && entries.len() == 1 && entries.first().is_some_and(|one| relative(one) == 0);
    if is_unused { Vec::new() } else { entries }
}

/// Shows the producers of snapshots.
pub(super) fn producers(paths: &[PathBuf]) -> Result<Shown, Refusal> {
    let mut shown = Shown::new(PRODUCERS);
    for path in &SNAPSHOTS.files(paths)? {
        let entries = match inspect::producers(&content(path)?) {
            Ok(entries) => entries,
            Err(error) => {
                let refusal = Refusal::failed(format!("{} is damaged", path.display()));
                shown.damages.push(refusal.detail(error));
                continue;
            }
        };
        for (id, entry) in entries {
            let last = entry.last_batch();
            let first_sequence = last.as_ref().and_then(|batch| batch.first_sequence());
            let last_sequence = last.as_ref().and_then(|batch| batch.last_sequence);
            shown.table.push([
                json!(path.display().to_string()),
                json!(id.value()),
                json!(entry.epoch.map(|epoch| epoch.value())),
                json!(entry.coordinator_epoch),
                json!(first_sequence.map(|sequence| sequence.value())),
                json!(last_sequence.map(|sequence| sequence.value())),
                json!(last.as_ref().map(|batch| batch.last_offset.value())),
                time(Some(entry.last_timestamp)),
                json!(entry.transaction_first_offset.map(|offset| offset.value())),
            ]);
        }
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_that_was_only_reserved_is_no_entry() {
        assert_eq!(used(vec![5, 9, 0, 0], |it| *it), [5, 9]);
        assert_eq!(used(vec![0, 9, 12], |it| *it), [0, 9, 12]);
        assert_eq!(used(vec![0, 0, 0], |it| *it), [0u32; 0]);
        assert_eq!(used(vec![0], |it| *it), [0]);
    }
}
