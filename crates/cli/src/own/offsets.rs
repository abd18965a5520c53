//! `ottla offsets`: where the partitions of topics begin and end, and where a time lies in them.
//!
//! Owns: its flags, what it shows. Does not own: asking for offsets (`partitions`).
//!
//! `count` is how many offsets lie between start and end: at most so many records are there, since compaction and
//! transactions leave gaps. `at` is the offset that `--at` stands for, `after` how many there are from it to the end.
//!
//! | Form | Fields |
//! |---|---|
//! | documents | a list of `topic`, `count`, `after`, `partitions` (list of `partition`, `start`, `end`, `count`, `at`, `after`) |
//! | CSV | `topic`, `partition`, `start`, `end`, `count`, `at`, `after` |

use std::collections::BTreeMap;

use clap::Parser;
use ottla_model::TopicPartition;
use serde_json::{Value, json};

use super::connection::{ConnectionFlags, Environment, OutputFlags};
use super::ends::{Ends, Offsets};
use super::on_runtime;
use super::partitions::{Selection, ends_of, offsets_at, place, resolve};
use super::refusal::Refusal;
use super::report::{Column, Report, Table, column};
use crate::terminal::Terminal;

/// Show where the partitions of topics begin and end.
#[derive(Debug, Parser)]
#[command(name = "ottla offsets", bin_name = "ottla offsets")]
pub struct Flags {
    /// Topics, or some of their partitions: orders, orders:0,3, orders:0-5
    #[arg(required = true, value_name = "TOPIC[:PARTITIONS]", value_parser = Selection::parse)]
    topics: Vec<Selection>,
    /// Also the offset of a place: +N behind the start, -N before the end, @TIME
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    at: Option<String>,
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(flatten)]
    output: OutputFlags,
}

const PLAIN: &[Column] =
    &[column("topic"), column("partition"), column("start"), column("end"), column("count")];
const WITH_PLACE: &[Column] = &[
    column("topic"),
    column("partition"),
    column("start"),
    column("end"),
    column("count"),
    column("at"),
    column("after"),
];
const TOTALS: &[Column] = &[column("topic"), column("partitions"), column("count")];
const TOTALS_WITH_PLACE: &[Column] =
    &[column("topic"), column("partitions"), column("count"), column("after")];

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let place = flags.at.as_deref().map(place).transpose()?;
    on_runtime(async {
        let admin = flags.connection.admin(&Environment::of_process()).await?;
        let partitions = resolve(&admin, &flags.topics).await?.into_iter().collect();
        let ends = ends_of(&admin, &partitions).await?;
        let at = match place {
            Some(place) => Some(offsets_at(&admin, &ends, place).await?),
            None => None,
        };
        let rows = partitions.into_iter().map(|partition| {
            let ends = ends.get(&partition).copied();
            Row { at: at.as_ref().and_then(|at: &Offsets| at.get(&partition).copied()), ends, partition }
        });
        let rows: Vec<Row> = rows.collect();
        report_of(&rows, place.is_some()).print(flags.output.output, terminal);
        Ok(())
    })
}

/// What is shown of a partition; one without a leader has no ends.
struct Row {
    partition: TopicPartition,
    ends: Option<Ends>,
    at: Option<ottla_model::Offset>,
}

impl Row {
    fn count(&self) -> Option<i64> {
        self.ends.map(Ends::count)
    }

    fn after(&self) -> Option<i64> {
        Some((self.ends?.end.value() - self.at?.value()).max(0))
    }

    fn cells(&self) -> [Value; 7] {
        [
            json!(self.partition.topic.as_str()),
            json!(self.partition.partition.value()),
            json!(self.ends.map(|ends| ends.start.value())),
            json!(self.ends.map(|ends| ends.end.value())),
            json!(self.count()),
            json!(self.at.map(|at| at.value())),
            json!(self.after()),
        ]
    }
}

fn report_of(rows: &[Row], with_place: bool) -> Report {
    let mut all = Table::new(WITH_PLACE);
    let mut shown = Table::new(if with_place { WITH_PLACE } else { PLAIN });
    let mut topics: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let cells = row.cells();
        all.push(cells.clone());
        if with_place {
            shown.push(cells);
        } else {
            let [topic, partition, start, end, count, _, _] = cells;
            shown.push([topic, partition, start, end, count]);
        }
        topics.entry(row.partition.topic.as_str()).or_default().push(row);
    }
    let mut totals = Table::new(if with_place { TOTALS_WITH_PLACE } else { TOTALS });
    let mut documents = Vec::new();
    for (topic, rows) in &topics {
        let sum = |of: fn(&Row) -> Option<i64>| rows.iter().filter_map(|row| of(row)).reduce(|a, b| a + b);
        let (count, after) = (json!(sum(Row::count)), json!(sum(Row::after)));
        match with_place {
            true => totals.push([json!(topic), json!(rows.len()), count.clone(), after.clone()]),
            false => totals.push([json!(topic), json!(rows.len()), count.clone()]),
        }
        let mut partitions = Table::new(&WITH_PLACE[1..]);
        for row in rows {
            let [_, partition, start, end, count, at, after] = row.cells();
            partitions.push([partition, start, end, count, at, after]);
        }
        let partitions = partitions.objects();
        documents.push(json!({"topic": topic, "count": count, "after": after, "partitions": partitions}));
    }
    Report::of_sections(Value::Array(documents), vec![(None, shown), (None, totals)], all)
}
