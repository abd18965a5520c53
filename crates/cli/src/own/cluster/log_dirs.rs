//! `ottla cluster log-dirs`: the log directories of brokers, and what lies in them.
//!
//! Owns: what it shows. Does not own: asking which brokers there are (`cluster`).

use ottla_client::Admin;
use ottla_client::admin::{DescribeLogDirsError, LogDirDescription};
use ottla_model::BrokerId;
use serde_json::json;

use super::super::plan::all_told;
use super::super::refusal::Refusal;
use super::super::report::{Column, Output, Report, Table, column, wide};
use super::meant;
use crate::admin_refusal;
use crate::terminal::Terminal;

const DIRECTORIES: &[Column] = &[
    column("node"),
    column("path"),
    column("state"),
    column("replicas"),
    column("bytes"),
    column("usable_bytes"),
    column("total_bytes"),
    wide("cordoned"),
];
const REPLICAS: &[Column] = &[
    column("node"),
    wide("path"),
    column("topic"),
    column("partition"),
    column("bytes"),
    column("lag"),
    wide("future"),
];

/// Shows directories, or each copy of a partition in them. Brokers that do not answer are told.
pub async fn run(
    (admin, output): (&Admin, Output),
    (node, with_replicas): (Option<i32>, bool),
    terminal: &mut Terminal<'_>,
) -> Result<(), Refusal> {
    let mut table = Table::new(if with_replicas { REPLICAS } else { DIRECTORIES });
    let mut refusals = Vec::new();
    for (id, outcome) in admin.describe_log_dirs(&meant(admin, node).await?).await {
        match outcome {
            Ok(directories) if with_replicas => {
                directories.iter().for_each(|directory| add_replicas((id, directory), &mut table));
            }
            Ok(directories) => {
                directories.iter().for_each(|directory| add_directory((id, directory), &mut table));
            }
            Err(error) => refusals.push(refused(id, &error)),
        }
    }
    Report::list(table).print(output, terminal);
    all_told(refusals, terminal)
}

fn refused(id: BrokerId, error: &DescribeLogDirsError) -> Refusal {
    admin_refusal!(*error, "the log directories of broker {id} could not be described")
}

fn add_directory((id, directory): (BrokerId, &LogDirDescription), table: &mut Table) {
    let state = directory.error.as_ref().map_or("online", |error| error.code.name());
    let bytes: i64 = directory.replicas.values().map(|replica| replica.bytes).sum();
    table.push([
        json!(id.value()),
        json!(directory.path),
        json!(state),
        json!(directory.replicas.len()),
        json!(bytes),
        json!(directory.usable_bytes),
        json!(directory.total_bytes),
        json!(directory.is_cordoned),
    ]);
}

fn add_replicas((id, directory): (BrokerId, &LogDirDescription), table: &mut Table) {
    for (partition, replica) in &directory.replicas {
        table.push([
            json!(id.value()),
            json!(directory.path),
            json!(partition.topic.as_str()),
            json!(partition.partition.value()),
            json!(replica.bytes),
            json!(replica.offset_lag),
            json!(replica.is_future),
        ]);
    }
}
