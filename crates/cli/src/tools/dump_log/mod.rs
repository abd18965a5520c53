//! `kafka-dump-log`: shows what is in the files of a partition.
//!
//! Owns: its options, which file is shown how, the findings told at the end.
//! Does not own: the formats (`ottla_protocol::record`, `ottla_storage`).
//!
//! It reads the files as they lie there, damaged or in use, and so does not use the readers of `ottla_storage`, which
//! repair or refuse what they cannot trust.
//!
//! Source: the tool of Kafka 4.3.1 (`tests/data/dump-log.txt`).

pub mod batches;
pub mod decoder;
mod findings;
mod index;
pub mod log;
mod remote;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::{Disk, File, OpenMode, RealDisk};

use crate::jopt::{self, Given, Opt, OptError, flag, maybe_value, value};
use crate::terminal::Terminal;
use crate::tools::failure::Failure;
use crate::tools::usage;
use decoder::Decoder;
use findings::Findings;

const ABOUT: &str = "This tool helps to parse a log file and dump its contents to the console, useful for debugging a \
                     seemingly corrupt log segment.";

const OPTIONS: &[Opt] = &[
    flag("cluster-metadata-decoder", "Show records as those of __cluster_metadata."),
    flag("deep-iteration", "Show every record, not only batches. Implied by print-data-log."),
    value("files", "String: file1, file2, ...", "REQUIRED: The files to show, separated by commas."),
    flag("help", "Print usage information."),
    flag("index-sanity-check", "Check an index as a broker does at its start, and show nothing of it."),
    maybe_value(
        "key-decoder-class",
        "String",
        "The class that reads keys: one of the decoders of org.apache.kafka.tools.api. (default: \
         org.apache.kafka.tools.api.StringDecoder)",
    ),
    value("max-bytes", "Integer: size", "Read no more than this of a .log file. (default: 2147483647)"),
    value("max-message-size", "Integer: size", "Size of the largest batch. (default: 5242880)"),
    flag("offsets-decoder", "Show records as those of __consumer_offsets."),
    flag("print-data-log", "Show the content of records. Implied by any decoder."),
    flag("remote-log-metadata-decoder", "Show records as those of __remote_log_metadata."),
    flag("share-group-state-decoder", "Show records as those of __share_group_state."),
    flag("skip-record-metadata", "Show only the content of records, and nothing of control records."),
    flag("transaction-log-decoder", "Show records as those of __transaction_state."),
    maybe_value(
        "value-decoder-class",
        "String",
        "The class that reads values: one of the decoders of org.apache.kafka.tools.api. (default: \
         org.apache.kafka.tools.api.StringDecoder)",
    ),
    flag("verify-index-only", "Compare an index with its log, and show nothing of it."),
    flag("version", "Display Kafka version."),
];

/// Most bytes of a file that are read where `--max-bytes` does not say.
const BYTES_MAX: i32 = i32::MAX;
/// Largest batch that an index is compared with where `--max-message-size` does not say.
const MESSAGE_BYTES_MAX: i32 = 5 * 1024 * 1024;

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let uncaught = |terminal: &mut Terminal<'_>, failure: Failure| {
        terminal.err_line(failure.uncaught());
        1
    };
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return uncaught(terminal, of_option(&error)),
    };
    if let Some(code) = usage::help_or_version(terminal, &given, (args, ABOUT)) {
        return code;
    }
    if let Err(message) = usage::require(&given, &["files"]) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    match show_all(&given, terminal) {
        Ok(()) => 0,
        Err(failure) => uncaught(terminal, failure),
    }
}

fn of_option(error: &OptError) -> Failure {
    Failure::from(error)
}

fn show_all(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let files = given.value("files").map_err(|error| of_option(&error))?.unwrap_or_default();
    let mut findings = Findings::default();
    // Java leaves out empty parts at the end only.
    for name in files.trim_end_matches(',').split(',') {
        let shown = java_path(name);
        terminal.out_line(format_args!("Dumping {shown}"));
        show(&FileName::of(&shown), given, (&mut findings, terminal))?;
    }
    findings.tell(terminal);
    Ok(())
}

fn show(
    file: &FileName<'_>,
    given: &Given,
    (findings, terminal): (&mut Findings, &mut Terminal<'_>),
) -> Result<(), Failure> {
    let number = |name, default| {
        given.number::<i32>(name).map(|number| number.unwrap_or(default)).map_err(|error| of_option(&error))
    };
    let only =
        index::Only { sanity: given.has("index-sanity-check"), verify: given.has("verify-index-only") };
    match file.ending {
        ".log" | ".checkpoint" => {
            let decoder = Decoder::of(given)?;
            let prints = given.has("print-data-log") || Decoder::is_given(given);
            let detail = log::Detail {
                records: prints || given.has("deep-iteration"),
                content: prints,
                metadata: !given.has("skip-record-metadata"),
            };
            let bytes_max = number("max-bytes", BYTES_MAX)?;
            log::show(file, &log::Options { detail, decoder, bytes_max }, (findings, terminal))
        }
        ".index" => {
            index::show(file, (only, number("max-message-size", MESSAGE_BYTES_MAX)?), (findings, terminal))
        }
        ".timeindex" => index::show_times(file, only, (findings, terminal)),
        ".snapshot" => state::show_producers(file, terminal),
        ".txnindex" => state::show_aborted(file, terminal),
        _ => {
            terminal.err_line(format_args!("Ignoring unknown file {}", file.shown));
            Ok(())
        }
    }
}

/// A file by the parts of its name.
pub struct FileName<'a> {
    /// As it is shown.
    pub shown: &'a str,
    /// Without directories.
    pub name: &'a str,
    /// From the last dot on.
    pub ending: &'a str,
}

impl<'a> FileName<'a> {
    fn of(shown: &'a str) -> FileName<'a> {
        let name = shown.rsplit('/').next().unwrap_or(shown);
        let ending = name.rfind('.').map_or("", |at| name.get(at..).unwrap_or_default());
        FileName { shown, name, ending }
    }

    /// The part of the name before the first dot.
    fn stem(&self) -> &'a str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// The offset that the name begins with.
    fn offset(&self) -> Result<i64, Failure> {
        let stem = self.stem();
        let words = || format!("For input string: \"{stem}\"");
        stem.parse().map_err(|_| Failure::new("java.lang.NumberFormatException", words()))
    }

    /// The path that starts at the root.
    fn absolute(&self) -> String {
        std::path::absolute(self.shown).map_or(self.shown.to_owned(), |path| path.display().to_string())
    }

    /// The file of the same segment with another ending.
    fn sibling(&self, ending: &str) -> PathBuf {
        let path = PathBuf::from(self.absolute());
        path.with_file_name(format!("{}{ending}", self.stem()))
    }

    fn open(&self) -> Result<Arc<dyn File>, Failure> {
        open(Path::new(self.shown))
    }
}

/// A path as Java writes it: without slashes that say nothing.
fn java_path(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '/' || !path.ends_with('/') {
            path.push(character);
        }
    }
    if path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    path
}

fn open(path: &Path) -> Result<Arc<dyn File>, Failure> {
    RealDisk.open(path, OpenMode::Read).map_err(|error| of_file(path, &error))
}

/// The exception for a file that cannot be read.
fn of_file(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        Failure::new("java.nio.file.NoSuchFileException", path.to_string())
    } else if kind == io::ErrorKind::PermissionDenied {
        Failure::new("java.nio.file.AccessDeniedException", path.to_string())
    } else {
        Failure::new("java.io.IOException", format!("{path}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_name() {
        let path = java_path("d1//topic-0/00000000000000000042.log/");
        let file = FileName::of(&path);
        assert_eq!((file.shown, file.ending), ("d1/topic-0/00000000000000000042.log", ".log"));
        assert_eq!(file.offset(), Ok(42));
        assert!(file.sibling(".index").ends_with("d1/topic-0/00000000000000000042.index"));
        assert_eq!(FileName::of("dir.d/plain").ending, "");
        assert_eq!(FileName::of("x.log").offset().unwrap_err().message.unwrap(), "For input string: \"x\"");
    }
}
