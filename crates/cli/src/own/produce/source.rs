//! The input of `ottla produce`, read ahead.
//!
//! Owns: the file or standard input, the thread that reads it.
//! Does not own: how bytes become records (`record::input`).
//!
//! Reading a terminal or a pipe blocks for as long as nobody writes, so it happens on a thread of its own.

use std::fs::File;
use std::io::BufReader;
use std::os::fd::AsFd;
use std::path::Path;

use ottla_env::sync::mpsc;
use ottla_env::task;

use crate::own::record::NewRecord;
use crate::own::record::input::{Input, Records, Unreadable};
use crate::own::refusal::Refusal;

/// Records read ahead of the producer.
const AHEAD_MAX: usize = 1000;
/// Bytes of one call to the system.
const BUFFER_BYTES: usize = 1 << 16;

/// An input that can be read.
pub struct Source {
    file: File,
    bytes: Option<u64>,
}

/// A record and where it was.
#[derive(Debug)]
pub struct Item {
    pub record: NewRecord,
    pub line: u64,
    /// Bytes of the input up to its end.
    pub bytes: u64,
}

/// Records as they are read; one that is unreadable is the last.
pub struct Incoming {
    pub items: mpsc::Receiver<Result<Item, Unreadable>>,
    /// Bytes of the whole input, if it is a file.
    pub bytes: Option<u64>,
}

impl Source {
    /// Opens a file, or standard input.
    pub fn open(path: Option<&Path>) -> Result<Source, Refusal> {
        let path = path.filter(|path| *path != Path::new("-"));
        let opened = match path {
            Some(path) => File::open(path),
            None => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
        };
        let metadata = opened.and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        match metadata {
            Ok((_, metadata)) if metadata.is_dir() => {
                Err(Refusal::failed(format!("{name} cannot be read")).detail("It is a directory"))
            }
            Ok((file, metadata)) => Ok(Source { file, bytes: metadata.is_file().then_some(metadata.len()) }),
            Err(error) => Err(Refusal::failed(format!("{name} cannot be read")).detail(error)),
        }
    }

    /// Begins to read.
    pub fn read(self, input: Input) -> Result<Incoming, Refusal> {
        let (sender, items) = mpsc::channel(AHEAD_MAX);
        let mut records = Records::new(input, BufReader::with_capacity(BUFFER_BYTES, self.file));
        let reading = async move {
            loop {
                let line = records.line();
                let next = match records.next() {
                    Ok(None) => return,
                    Ok(Some(record)) => Ok(Item { record, line, bytes: records.bytes() }),
                    Err(unreadable) => Err(unreadable),
                };
                let is_last = next.is_err();
                // Nobody takes records any more after a signal or a failure.
                if sender.send(next).await.is_err() || is_last {
                    return;
                }
            }
        };
        task::spawn_dedicated("ottla-input", reading)
            .map_err(|error| Refusal::failed("the input cannot be read").detail(error))?;
        Ok(Incoming { items, bytes: self.bytes })
    }
}
