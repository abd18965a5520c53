//! `partition.metadata`: binds a partition's directory to its topic id.
//!
//! Owns: the text form. Does not own: what follows when the id is another one.
//!
//! Two lines, without a line end behind the second: `version: 0`, `topic_id: <base64url>`.
//!
//! Source: KIP-516; files that Kafka 4.3.1 wrote.

use std::io;
use std::path::{Path, PathBuf};

use ottla_env::disk::Disk;
use ottla_model::TopicId;

use crate::names::PARTITION_METADATA_FILE;
use crate::small_file;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PartitionMetadataError {
    #[error("cannot access {}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{} is malformed: {text:?}", path.display())]
    Malformed { path: PathBuf, text: String },
}

/// The topic id in a partition's directory; `None` when there is no such file yet.
pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<TopicId>, PartitionMetadataError> {
    let path = directory.join(PARTITION_METADATA_FILE);
    let content = match small_file::read(disk, &path) {
        Ok(content) => content,
        Err(source) => return Err(PartitionMetadataError::Disk { path, source }),
    };
    let Some(content) = content else { return Ok(None) };
    let text = String::from_utf8_lossy(&content).into_owned();
    match parse(&text) {
        Some(id) => Ok(Some(id)),
        None => Err(PartitionMetadataError::Malformed { path, text }),
    }
}

/// The content of the file.
pub(crate) fn text(id: TopicId) -> String {
    format!("version: 0\ntopic_id: {id}")
}

fn parse(text: &str) -> Option<TopicId> {
    let mut lines = text.lines();
    let (key, version) = lines.next()?.split_once(':')?;
    if key.trim() != "version" || version.trim() != "0" {
        return None;
    }
    let (key, id) = lines.next()?.split_once(':')?;
    if key.trim() != "topic_id" || lines.next().is_some() {
        return None;
    }
    TopicId::new(id.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LOG-00
    #[test]
    fn the_file_is_kafkas_byte_for_byte() {
        let written = "version: 0\ntopic_id: _UNQxh1VSkaTwaqCTu9FEA";
        assert_eq!(text(parse(written).unwrap()), written);
    }

    /// LOG-00
    #[test]
    fn another_version_or_a_zero_id_is_refused() {
        for bad in [
            "",
            "version: 1\ntopic_id: _UNQxh1VSkaTwaqCTu9FEA",
            "version: 0",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            "version: 0\ntopic_id: short",
            "version: 0\ntopic_id: _UNQxh1VSkaTwaqCTu9FEA\nmore",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
