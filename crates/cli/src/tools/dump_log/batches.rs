//! The batches of a file, one behind the other.
//!
//! Owns: where a batch ends, where the file's good part ends.
//! Does not own: what is in a batch (`ottla_protocol::record`).
//!
//! Invariants
//! - I1 no more is reserved for a batch than the file has.
//!
//! Source: behaviour of Kafka 4.3.1 on whole, cut and damaged files.

use std::path::Path;
use std::sync::Arc;

use ottla_env::disk::File;
use ottla_protocol::record::{Batch, BatchError, LOG_OVERHEAD_BYTES, MAGIC, PREFIX_BYTES};

use super::of_file;
use crate::tools::failure::Failure;

/// Fewest bytes behind the length field of a batch: those of an empty message of magic 0.
const LENGTH_MIN: i32 = 14;

/// Where the length and the magic stand.
mod at {
    pub const LENGTH: usize = 8;
    pub const MAGIC: usize = 16;
}

/// Reads the batches of a part of a file.
pub struct BatchReader<'a> {
    file: Arc<dyn File>,
    path: &'a Path,
    position: u64,
    end: u64,
}

/// The bytes of a batch.
pub struct RawBatch {
    bytes: Vec<u8>,
    /// As it stands in the file; formats beyond the known ones are read as the newest.
    pub magic: u8,
}

impl RawBatch {
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch, with its fields.
    pub fn parse(&self) -> Result<Batch<'_>, BatchError> {
        Batch::parse(&self.bytes)
    }
}

impl<'a> BatchReader<'a> {
    /// The part of a file that begins at `start`, at most `bytes_max` long.
    pub fn new(
        file: Arc<dyn File>,
        path: &'a Path,
        (start, bytes_max): (u64, i32),
    ) -> Result<BatchReader<'a>, Failure> {
        let len = file.len().map_err(|error| of_file(path, &error))?;
        let Some(rest) = len.checked_sub(start) else {
            return Err(Failure::illegal_argument(format!(
                "Slice from position {start} exceeds end position of {} with {len} bytes",
                path.display()
            )));
        };
        let Ok(bytes_max) = u64::try_from(bytes_max) else {
            return Err(Failure::illegal_argument(format!(
                "Invalid size: {bytes_max} in read from {}",
                path.display()
            )));
        };
        Ok(BatchReader { file, path, position: start, end: start + rest.min(bytes_max) })
    }

    /// Bytes that are not read yet.
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    /// The next batch; `None` at the end, also before a batch that is cut off.
    pub fn next(&mut self) -> Result<Option<RawBatch>, Failure> {
        const PREFIX: u64 = PREFIX_BYTES as u64;
        if self.left() <= PREFIX {
            return Ok(None);
        }
        let mut prefix = [0; PREFIX_BYTES];
        self.read(&mut prefix)?;
        let length = prefix.get(at::LENGTH..).and_then(|bytes| bytes.first_chunk()).copied();
        let length = length.map_or(0, i32::from_be_bytes);
        let size = match u64::try_from(length) {
            Ok(rest) if length >= LENGTH_MIN => rest + LOG_OVERHEAD_BYTES as u64,
            _ => {
                return Err(Failure::new(
                    "org.apache.kafka.common.errors.CorruptRecordException",
                    format!(
                        "Found record size {length} smaller than minimum record overhead ({LENGTH_MIN}) in file {}.",
                        self.path.display()
                    ),
                ));
            }
        };
        // I1
        if size > self.left() {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.read(&mut bytes)?;
        self.position += size;
        let magic = prefix[at::MAGIC];
        if let Some(known) = bytes.get_mut(at::MAGIC) {
            *known = magic.min(MAGIC);
        }
        Ok(Some(RawBatch { bytes, magic }))
    }

    fn read(&self, buffer: &mut [u8]) -> Result<(), Failure> {
        let got = self.file.read_at(buffer, self.position).map_err(|error| of_file(self.path, &error))?;
        if got == buffer.len() {
            return Ok(());
        }
        let message = format!("{} became shorter while it was read", self.path.display());
        Err(Failure::new("java.io.EOFException", message))
    }
}

/// The exception for a batch whose fields make no sense.
pub fn of_batch(error: &BatchError) -> Failure {
    Failure::new("org.apache.kafka.common.errors.CorruptRecordException", error.to_string())
}
