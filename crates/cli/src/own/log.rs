//! `ottla log`: what is in the files of a partition, without a node.
//!
//! Owns: its flags; the overview of segments and the list of batches.
//! Does not own: finding and walking files (`files`), records (`records`), indexes and snapshots (`index`).
//!
//! Files are read as they lie there, damaged or in use, and nothing is changed. Damage is told and ends with exit code 1,
//! after all that could be read.
//!
//! | Form | Fields |
//! |---|---|
//! | `segments` | `directory`, `segment`, `bytes`, `batches`, `records`, `first_offset`, `last_offset`, `last_time`, `valid`, `files` |
//! | `batches` | `file`, `position`, `bytes`, `base_offset`, `last_offset`, `records`, `codec`, `max_time`, `leader_epoch`, `kind`, `producer`, `producer_epoch`, `sequence`, `magic`, `valid` |
//! | `records` | `file`, `offset`, `time`, `kind`, `key`, `value`, `headers` |
//! | `index` | `file`, `offset`, `position`, `time`, `producer`, `first_offset`, `last_offset`, `last_stable_offset`, `matches` |
//! | `producers` | `file`, `producer`, `epoch`, `coordinator_epoch`, `first_sequence`, `last_sequence`, `last_offset`, `last_time`, `transaction_first_offset` |

mod files;
mod index;
mod records;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ottla_model::Timestamp;
use ottla_protocol::record::{Attributes, Batch};
use serde_json::{Value, json};

use super::connection::OutputFlags;
use super::plan::all_told;
use super::refusal::Refusal;
use super::report::{Column, Report, Table, column, wide};
use super::timestamp::iso;
use crate::terminal::Terminal;
use crate::tools::dump_log::batches::RawBatch;
use files::{LogFile, Walk, log_files};

/// Look into the files of partitions, without a node.
#[derive(Debug, Parser)]
#[command(name = "ottla log", bin_name = "ottla log")]
pub struct Flags {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    output: OutputFlags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the segments of partitions
    Segments {
        /// Directories of partitions, or .log files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// List the batches of records
    Batches {
        /// Directories of partitions, .log or .checkpoint files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        part: Part,
    },
    /// Show the records
    Records {
        /// Directories of partitions, .log or .checkpoint files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        part: Part,
        /// How keys and values are read
        #[arg(long, value_enum, default_value_t, value_name = "FORM")]
        decode: records::Form,
    },
    /// Show the entries of indexes, and whether they fit the log beside them
    Index {
        /// Directories of partitions, .index, .timeindex or .txnindex files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Show the state of producers in snapshots
    Producers {
        /// Directories of partitions, or .snapshot files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}

/// Which part of a log is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Part {
    /// Begin at this offset
    #[arg(long, value_name = "OFFSET", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    from: i64,
    /// Most lines; all are in memory before they are printed
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Part {
    fn is_full(self, lines: usize) -> bool {
        u32::try_from(lines).map_or(true, |lines| lines >= self.limit)
    }
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let shown = match &flags.action {
        Action::Segments { paths } => segments(paths)?,
        Action::Batches { paths, part } => batches(paths, *part)?,
        Action::Records { paths, part, decode } => records::run(paths, (*part, *decode))?,
        Action::Index { paths } => index::run(paths)?,
        Action::Producers { paths } => index::producers(paths)?,
    };
    Report::list(shown.table).print(flags.output.output, terminal);
    if shown.is_cut {
        terminal.err_line("note: there is more; --limit shows it");
    }
    all_told(shown.damages, terminal)
}

/// What can be shown, and what is wrong with the rest.
struct Shown {
    table: Table,
    damages: Vec<Refusal>,
    /// Whether the limit left something out.
    is_cut: bool,
}

impl Shown {
    fn new(columns: &'static [Column]) -> Shown {
        Shown { table: Table::new(columns), damages: Vec::new(), is_cut: false }
    }
}

const SEGMENTS: &[Column] = &[
    column("directory"),
    column("segment"),
    column("bytes"),
    column("batches"),
    column("records"),
    column("first_offset"),
    column("last_offset"),
    column("last_time"),
    column("valid"),
    wide("files"),
];
const BATCHES: &[Column] = &[
    wide("file"),
    column("position"),
    column("bytes"),
    column("base_offset"),
    column("last_offset"),
    column("records"),
    column("codec"),
    column("max_time"),
    column("leader_epoch"),
    column("kind"),
    wide("producer"),
    wide("producer_epoch"),
    wide("sequence"),
    wide("magic"),
    column("valid"),
];

/// What is counted of a segment.
#[derive(Default)]
struct Segment {
    batches: u64,
    /// `None` where a batch of an old format does not say.
    records: Option<i64>,
    first_offset: Option<i64>,
    last_offset: Option<i64>,
    last_time: Option<Timestamp>,
    /// Batches whose checksum is wrong.
    wrong: u64,
}

impl Segment {
    fn add(&mut self, batch: &Batch<'_>) {
        let facts = Facts::of(batch);
        self.batches += 1;
        self.records = self.records.zip(facts.records).map(|(all, more)| all + more);
        self.first_offset = self.first_offset.or(facts.base_offset);
        self.last_offset = Some(batch.last_offset().value());
        self.last_time = self.last_time.max(Some(batch.max_timestamp()));
        self.wrong += u64::from(batch.check_crc().is_err());
    }
}

fn segments(paths: &[PathBuf]) -> Result<Shown, Refusal> {
    let mut shown = Shown::new(SEGMENTS);
    for file in log_files(paths)? {
        let mut segment = Segment { records: Some(0), ..Segment::default() };
        let ended = file.walk(|walk| match walk.batch() {
            Ok(batch) => {
                segment.add(&batch);
                Ok(true)
            }
            Err(damage) => Err(damage),
        });
        let is_valid = ended.is_ok() && segment.wrong == 0;
        shown.damages.extend(ended.err());
        shown.damages.extend(wrong_checksums(&file, segment.wrong));
        shown.table.push([
            json!(file.directory()),
            json!(file.name()),
            json!(file.bytes()),
            json!(segment.batches),
            json!(segment.records),
            json!(segment.first_offset),
            json!(segment.last_offset),
            time(segment.last_time),
            json!(is_valid),
            json!(file.siblings()),
        ]);
    }
    Ok(shown)
}

fn wrong_checksums(file: &LogFile, count: u64) -> Option<Refusal> {
    (count > 0).then(|| {
        Refusal::failed(format!("{} is damaged", file.shown()))
            .detail(format_args!("{count} of its batches have a wrong checksum"))
            .hint("`ottla log batches` shows which")
    })
}

fn batches(paths: &[PathBuf], part: Part) -> Result<Shown, Refusal> {
    let mut shown = Shown::new(BATCHES);
    for file in log_files(paths)? {
        let mut wrong = 0;
        let ended = file.walk(|walk| {
            let batch = walk.batch()?;
            if batch.last_offset().value() < part.from {
                return Ok(true);
            }
            if part.is_full(shown.table.len()) {
                shown.is_cut = true;
                return Ok(false);
            }
            wrong += u64::from(batch.check_crc().is_err());
            shown.table.push(batch_cells(&file, walk, &batch));
            Ok(true)
        });
        shown.damages.extend(ended.err());
        shown.damages.extend(wrong_checksums(&file, wrong));
        if shown.is_cut {
            break;
        }
    }
    Ok(shown)
}

fn batch_cells(file: &LogFile, walk: &Walk<'_>, batch: &Batch<'_>) -> [Value; 15] {
    let facts = Facts::of(batch);
    [
        json!(file.shown()),
        json!(walk.position),
        json!(RawBatch::size(walk.raw)),
        json!(facts.base_offset),
        json!(batch.last_offset().value()),
        json!(facts.records),
        json!(facts.attributes.compression().map(|codec| codec.name()).unwrap_or("unknown")),
        time(Some(batch.max_timestamp())),
        facts.leader_epoch.clone(),
        json!(facts.kind()),
        facts.producer,
        facts.producer_epoch,
        facts.sequence,
        json!(walk.raw.magic),
        json!(batch.check_crc().is_ok()),
    ]
}

/// The header of a batch of any format; old formats lack most of it.
struct Facts {
    base_offset: Option<i64>,
    records: Option<i64>,
    attributes: Attributes,
    leader_epoch: Value,
    producer: Value,
    producer_epoch: Value,
    sequence: Value,
}

impl Facts {
    fn of(batch: &Batch<'_>) -> Facts {
        match batch {
            Batch::V2(view) => {
                let header = view.header();
                Facts {
                    base_offset: Some(header.base_offset.value()),
                    records: Some(i64::from(header.record_count)),
                    attributes: header.attributes,
                    leader_epoch: json!(header.leader_epoch.map(|epoch| epoch.value())),
                    producer: json!(header.producer_id.map(|id| id.value())),
                    producer_epoch: json!(header.producer_epoch.map(|epoch| epoch.value())),
                    sequence: json!(header.base_sequence.map(|sequence| sequence.value())),
                }
            }
            Batch::Legacy(legacy) => Facts {
                base_offset: None,
                records: None,
                attributes: legacy.attributes(),
                leader_epoch: Value::Null,
                producer: Value::Null,
                producer_epoch: Value::Null,
                sequence: Value::Null,
            },
        }
    }

    fn kind(&self) -> &'static str {
        match (self.attributes.is_control(), self.attributes.is_transactional()) {
            (true, _) => "control",
            (false, true) => "transaction",
            (false, false) => "data",
        }
    }
}

/// A time as a cell; -1 is none.
fn time(time: Option<Timestamp>) -> Value {
    json!(time.and_then(iso))
}
