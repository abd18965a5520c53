//! Names of the files of a segment and of the directories of partitions.
//!
//! Owns: building and reading every such name.
//! Does not own: what lies in the files, when they are renamed.
//!
//! | name | meaning |
//! |---|---|
//! | `00000000000000000042.log` | segment whose first offset is 42; also `.index`, `.timeindex`, `.txnindex` |
//! | `00000000000000000042.snapshot` | producer state as of offset 42 |
//! | `….log.deleted` / `.cleaned` / `.swap` | to be deleted / being written by the cleaner / being put in place |
//! | `orders-3/` | partition 3 of topic `orders` |
//! | `orders-3.<32 hex digits>-delete/` | waits for its deletion; `-future`: being moved here; `-stray`: not in the metadata |
//!
//! Source: requirement 8.1; directories that Kafka 4.3.1 wrote.

use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition, Uuid};

/// Digits of the offset in a file name: `i64::MAX` has 19, and Kafka pads to 20.
const OFFSET_DIGITS: usize = 20;

/// Longest file name of the usual file systems, in bytes.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Present while a data directory is in use; locked.
pub const LOCK_FILE: &str = ".lock";
/// Written at a clean stop, removed at start.
pub const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// Identity of the data directory.
pub const META_PROPERTIES_FILE: &str = "meta.properties";
/// Offsets below which everything is on stable storage.
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// First offsets of logs whose beginning lies inside a segment.
pub const LOG_START_FILE: &str = "log-start-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARK_FILE: &str = "replication-offset-checkpoint";
/// First offsets that compaction has not seen.
pub const CLEANER_FILE: &str = "cleaner-offset-checkpoint";
/// Leader epochs of one partition.
pub const LEADER_EPOCH_FILE: &str = "leader-epoch-checkpoint";
/// Topic id of one partition.
pub const PARTITION_METADATA_FILE: &str = "partition.metadata";

/// What a file of a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TxnIndex,
    Snapshot,
}

impl FileKind {
    /// Every kind, the segment itself first.
    pub const ALL: [FileKind; 5] =
        [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TxnIndex, FileKind::Snapshot];

    /// The kinds that compaction writes anew.
    pub(crate) const OF_SEGMENT: [FileKind; 4] =
        [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TxnIndex];

    /// The ending of the name, with its dot.
    pub const fn ending(self) -> &'static str {
        match self {
            FileKind::Log => ".log",
            FileKind::OffsetIndex => ".index",
            FileKind::TimeIndex => ".timeindex",
            FileKind::TxnIndex => ".txnindex",
            FileKind::Snapshot => ".snapshot",
        }
    }
}

/// Stage of a file's life, written as a second ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStage {
    /// In use.
    Live,
    /// Out of use, to be deleted.
    Deleted,
    /// Being written by the cleaner.
    Cleaned,
    /// Complete, being put in the place of what it replaces.
    Swap,
}

impl FileStage {
    /// The second ending, with its dot; empty for a live file.
    pub const fn ending(self) -> &'static str {
        match self {
            FileStage::Live => "",
            FileStage::Deleted => ".deleted",
            FileStage::Cleaned => ".cleaned",
            FileStage::Swap => ".swap",
        }
    }
}

/// A file name that belongs to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFileName {
    pub base: Offset,
    pub kind: FileKind,
    pub stage: FileStage,
}

impl SegmentFileName {
    /// The name of a live file.
    pub const fn live(base: Offset, kind: FileKind) -> SegmentFileName {
        SegmentFileName { base, kind, stage: FileStage::Live }
    }

    /// Reads a name; `None` for a file that belongs to no segment.
    pub fn parse(name: &str) -> Option<SegmentFileName> {
        let digits = name.get(..OFFSET_DIGITS)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let base = Offset::new(digits.parse().ok()?)?;
        let endings = &name[OFFSET_DIGITS..];
        let (kind, stage_ending) =
            FileKind::ALL.iter().find_map(|kind| Some((*kind, endings.strip_prefix(kind.ending())?)))?;
        let stages = [FileStage::Live, FileStage::Deleted, FileStage::Cleaned, FileStage::Swap];
        let stage = stages.into_iter().find(|stage| stage.ending() == stage_ending)?;
        Some(SegmentFileName { base, kind, stage })
    }
}

impl std::fmt::Display for SegmentFileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, stage) = (self.kind.ending(), self.stage.ending());
        write!(f, "{:0width$}{kind}{stage}", self.base.value(), width = OFFSET_DIGITS)
    }
}

/// Why a partition's directory is not simply in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryStage {
    /// In use.
    Live,
    /// Waits for its deletion.
    Delete,
    /// A replica that is being moved into this data directory.
    Future,
    /// A replica that the metadata does not know.
    Stray,
}

impl DirectoryStage {
    const fn ending(self) -> &'static str {
        match self {
            DirectoryStage::Live => "",
            DirectoryStage::Delete => "-delete",
            DirectoryStage::Future => "-future",
            DirectoryStage::Stray => "-stray",
        }
    }
}

/// A directory name that belongs to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDirectoryName {
    /// In a name that is to be deleted the topic may be cut short, so that the name stays legal.
    pub partition: TopicPartition,
    pub stage: DirectoryStage,
}

/// Reads the name of a directory; `None` when it is no partition's.
pub fn parse_partition_directory(name: &str) -> Option<PartitionDirectoryName> {
    for stage in [DirectoryStage::Delete, DirectoryStage::Future, DirectoryStage::Stray] {
        let Some(body) = name.strip_suffix(stage.ending()) else { continue };
        let Some((partition, unique)) = body.rsplit_once('.') else { continue };
        if unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(PartitionDirectoryName { partition: parse_topic_partition(partition)?, stage });
        }
    }
    let partition = parse_topic_partition(name)?;
    Some(PartitionDirectoryName { partition, stage: DirectoryStage::Live })
}

fn parse_topic_partition(text: &str) -> Option<TopicPartition> {
    let (topic, partition) = text.rsplit_once('-')?;
    let legal = partition == "0" || !partition.starts_with(['0', '+', '-']);
    let partition = PartitionIndex::new(partition.parse().ok().filter(|_| legal)?)?;
    Some(TopicPartition::new(TopicName::new(topic).ok()?, partition))
}

/// The name of a partition's directory that leaves its ordinary life; `unique` keeps two of them apart.
pub fn staged_directory_name(partition: &TopicPartition, stage: DirectoryStage, unique: Uuid) -> String {
    let mut hex = String::with_capacity(32);
    for byte in unique.bytes() {
        hex.push_str(&format!("{byte:02x}"));
    }
    let rest = format!("-{}.{hex}{}", partition.partition, stage.ending());
    let topic = partition.topic.as_str();
    let kept = topic.len().min(FILE_NAME_BYTES_MAX - rest.len());
    format!("{}{rest}", &topic[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), PartitionIndex::new(index).unwrap())
    }

    /// LOG-00
    #[test]
    fn a_segment_file_is_named_by_its_first_offset() {
        for (text, base, kind, stage) in [
            ("00000000000000000000.log", 0, FileKind::Log, FileStage::Live),
            ("00000000000000000042.timeindex", 42, FileKind::TimeIndex, FileStage::Live),
            ("00000000000000005832.snapshot.deleted", 5832, FileKind::Snapshot, FileStage::Deleted),
            ("09223372036854775807.index.swap", i64::MAX, FileKind::OffsetIndex, FileStage::Swap),
            ("00000000000000000007.txnindex.cleaned", 7, FileKind::TxnIndex, FileStage::Cleaned),
        ] {
            let name = SegmentFileName { base: Offset::new(base).unwrap(), kind, stage };
            assert_eq!(SegmentFileName::parse(text), Some(name));
            assert_eq!(name.to_string(), text);
        }
    }

    /// LOG-00
    #[test]
    fn other_names_are_no_segment_files() {
        for text in [
            "",
            "leader-epoch-checkpoint",
            "0000000000000000000.log",
            "000000000000000000000.log",
            "0000000000000000000a.log",
            "00000000000000000000.logx",
            "00000000000000000000.log.gone",
            "99999999999999999999.log",
            "00000000000000000000-0000000000.checkpoint",
            "ééééééééééé.log",
        ] {
            assert_eq!(SegmentFileName::parse(text), None, "{text}");
        }
    }

    /// LOG-00
    #[test]
    fn a_partition_directory_is_topic_dash_number() {
        let live = |topic, index| {
            Some(PartitionDirectoryName { partition: partition(topic, index), stage: DirectoryStage::Live })
        };
        assert_eq!(parse_partition_directory("orders-3"), live("orders", 3));
        assert_eq!(parse_partition_directory("a-b-12"), live("a-b", 12));
        assert_eq!(
            parse_partition_directory("d-del-0.4503e49e659d45bbbdec309b08ebb6ce-delete"),
            Some(PartitionDirectoryName { partition: partition("d-del", 0), stage: DirectoryStage::Delete })
        );
        for text in
            ["orders", "orders-", "orders-x", "-1", "orders-03", "orders-+1", "remote_log_index_cache"]
        {
            assert_eq!(parse_partition_directory(text), None, "{text}");
        }
    }

    /// LOG-00
    #[test]
    fn the_name_of_a_deleted_directory_stays_legal() {
        let unique = Uuid::from_bytes([0x45; 16]);
        for topic in ["t".repeat(249), "short".to_owned()] {
            let name = staged_directory_name(&partition(&topic, 7), DirectoryStage::Delete, unique);
            assert!(name.len() <= FILE_NAME_BYTES_MAX);
            assert_eq!(parse_partition_directory(&name).unwrap().stage, DirectoryStage::Delete);
        }
        let name = staged_directory_name(&partition("a", 1), DirectoryStage::Future, unique);
        assert_eq!(name, format!("a-1.{}-future", "45".repeat(16)));
    }
}
