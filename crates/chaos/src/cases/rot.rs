//! Files that were damaged while the node was away: bits that changed, files that were cut.
//!
//! Owns: what is damaged, and what a reader may be given meanwhile. Does not own: judging what it was given.
//!
//! Files that only say what is known from elsewhere (indexes of closed segments, producer snapshots) may say anything:
//! nothing changes for clients. A closed segment has its records in one copy here, so that one with a wrong byte is put
//! right again; until then a reader gets what was written, up to the batch that is damaged, and nothing behind it.
//!
//! Source: reliability design 2.1, "bit rot".

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ottla_testkit::random::SeededRandom;

use super::torn::files;
use super::{clock, process, torn};
use crate::Fallible;
use crate::clients::TOPIC;
use crate::stage::Stage;

/// Segments a partition must have, so that the first one is closed and lies below the recovery point whatever happens.
const SEGMENTS_MIN: usize = 4;
/// Acknowledgements between two looks whether there are so many.
const ACKS: u64 = 300;

/// Damages files between two runs of the node, again and again.
pub(super) async fn rot(stage: &mut Stage) -> Fallible<()> {
    stage.retains(clock::RETENTION_MS);
    while stage.goes_on(None) {
        stage.acks(ACKS).await?;
        let partitions = stage.node.directories_of(TOPIC)?;
        let partition = i32::try_from(stage.random.index(partitions.len()))?;
        let directory = partitions.get(&partition).ok_or("a partition has no directory")?;
        if files(directory, "log")?.len() < SEGMENTS_MIN {
            continue;
        }
        stage.fault("rot");
        match stage.random.chance(50) {
            true => stage.node.stop().await?,
            false => stage.node.kill()?,
        }
        for directory in partitions.values() {
            damage_what_is_known_elsewhere(directory, &stage.random)?;
        }
        if stage.random.chance(60) {
            let changed = Changed::somewhere_in(directory, &stage.random)?;
            stage.node.start_again()?;
            read_towards(stage, partition, &changed).await?;
            stage.node.kill()?;
            changed.undo()?;
        }
        stage.node.start_again()?;
        stage.healed();
        read_by_damaged_index(stage, (partition, directory)).await?;
        stage.acks(100).await?;
        if stage.random.chance(30) {
            process::stop_cleanly(stage).await?;
        }
    }
    Ok(())
}

async fn read_towards(stage: &mut Stage, partition: i32, changed: &Changed) -> Fallible<()> {
    let given = stage.cluster.read_from(partition, changed.segment, changed.batch).await?;
    if let Some(beyond) = given.filter(|given| *given >= changed.batch) {
        let at = changed.batch;
        stage.findings.push(format!("the batch at {at} is damaged, and a reader is given offset {beyond}"));
    }
    Ok(())
}

/// Reads the second segment in small steps, each of which is looked up in its index.
async fn read_by_damaged_index(stage: &mut Stage, (partition, directory): (i32, &Path)) -> Fallible<()> {
    let bases = files(directory, "log")?;
    let base = |at: usize| bases.get(at)?.file_stem()?.to_str()?.parse::<i64>().ok();
    let (from, next) = base(1).zip(base(2)).ok_or("a log has too few segments")?;
    let given = stage.cluster.read_from(partition, from, next - 1).await?;
    if given.is_none_or(|given| given < next - 1) {
        let what =
            format!("a reader of offsets {from} to {next} of partition {partition} comes to {given:?}");
        stage.findings.push(what);
    }
    Ok(())
}

/// Indexes of some closed segments, and the last producer snapshot. The first segment, which retention asks first, may seem
/// older than it is; its offset index stays, for that tells when the segment has lost its end.
fn damage_what_is_known_elsewhere(directory: &Path, random: &SeededRandom) -> Fallible<()> {
    for extension in ["index", "timeindex"] {
        let indexes = files(directory, extension)?;
        let closed = indexes.len().saturating_sub(1);
        for path in indexes.iter().take(closed).skip(1).filter(|_| random.chance(40)) {
            damage(path, random)?;
        }
    }
    if let Some(first) = files(directory, "timeindex")?.first().filter(|_| random.chance(50)) {
        let mut bytes = fs::read(first)?;
        forge(first, &mut bytes);
        fs::write(first, bytes)?;
    }
    if let Some(path) = files(directory, "snapshot")?.last().filter(|_| random.chance(50)) {
        change(path, random)?;
    }
    Ok(())
}

/// Changes a byte, makes all of them zero, leaves a part of them, or puts another index in its place.
fn damage(path: &Path, random: &SeededRandom) -> Fallible<()> {
    let mut bytes = fs::read(path)?;
    match random.index(5) {
        0 => return change(path, random),
        1 => bytes.fill(0),
        2 => bytes.truncate(bytes.len() / 2),
        _ => forge(path, &mut bytes),
    }
    Ok(fs::write(path, bytes)?)
}

/// Entries of an offset index name places beside batches, those of a time index the day before.
fn forge(path: &Path, bytes: &mut [u8]) {
    const DAY_MS: i64 = 86_400_000;
    if path.extension().is_some_and(|extension| extension == "timeindex") {
        for entry in bytes.chunks_exact_mut(12) {
            if let Some((time, _)) = entry.split_first_chunk_mut::<8>() {
                *time = i64::from_be_bytes(*time).wrapping_sub(DAY_MS).to_be_bytes();
            }
        }
    } else {
        for entry in bytes.chunks_exact_mut(8) {
            if let Some((_, place)) = entry.split_last_chunk_mut::<4>() {
                *place = u32::from_be_bytes(*place).wrapping_add(5).to_be_bytes();
            }
        }
    }
}

fn change(path: &Path, random: &SeededRandom) -> Fallible<()> {
    let mut bytes = fs::read(path)?;
    if bytes.is_empty() {
        return Ok(());
    }
    let at = random.index(bytes.len());
    bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x41);
    Ok(fs::write(path, bytes)?)
}

/// A closed segment with another byte, or without its end.
struct Changed {
    path: PathBuf,
    /// Where what was changed lies, and what lay there.
    at: u64,
    bytes: Vec<u8>,
    /// The first offset of the segment, and of the first batch that is not what it was.
    segment: i64,
    batch: i64,
}

impl Changed {
    /// Changes a byte among the records of some batch of the first segment, or cuts it before that batch.
    fn somewhere_in(directory: &Path, random: &SeededRandom) -> Fallible<Changed> {
        let path = files(directory, "log")?.into_iter().next().ok_or("a log has no segment")?;
        let bytes = fs::read(&path)?;
        let batches: Vec<(usize, &[u8])> = torn::batches(&bytes).collect();
        // The index knows of something behind it.
        let early = batches.get(..batches.len().div_ceil(2)).unwrap_or_default();
        let (start, batch) = *random.pick(early).ok_or("a closed segment has no batch")?;
        let first = |batch: &[u8]| torn::array(batch, 0).map(i64::from_be_bytes);
        // Late in the batch, where most bytes are those of a record's value.
        let inner = batch.len() - 1 - random.index((batch.len() - torn::RECORDS_AT) / 2);
        let file = File::options().write(true).open(&path)?;
        let (at, lost) = if random.chance(50) {
            file.set_len(u64::try_from(start)?)?;
            (start, bytes.get(start..))
        } else {
            let byte = *batch.get(inner).ok_or("a batch is empty")?;
            file.write_all_at(&[byte ^ 0x15], u64::try_from(start + inner)?)?;
            (start + inner, bytes.get(start + inner..=start + inner))
        };
        let segment = batches.first().and_then(|(_, batch)| first(batch));
        let (segment, batch) = segment.zip(first(batch)).ok_or("a batch without a header")?;
        let bytes = lost.unwrap_or_default().to_vec();
        Ok(Changed { path, at: u64::try_from(at)?, bytes, segment, batch })
    }

    fn undo(&self) -> Fallible<()> {
        Ok(File::options().write(true).open(&self.path)?.write_all_at(&self.bytes, self.at)?)
    }
}
