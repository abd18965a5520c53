//! `ottla cluster`: what a cluster is made of and how it is.
//!
//! Owns: its flags; the summary, nodes, APIs and features.
//! Does not own: the metadata quorum (`quorum`), log directories (`log_dirs`).
//!
//! | Form | Fields |
//! |---|---|
//! | `info` (one object) | `id`, `nodes`, `fenced`, `controller`, `quorum_leader`, `quorum_epoch`, `voters`, `metadata_version`, `topics`, `partitions`, `without_leader`, `under_replicated` |
//! | `nodes` | `node`, `host`, `port`, `rack`, `controller`, `fenced`, `leads`, `replicas` |
//! | `quorum` | `node`, `role`, `log_end`, `lag`, `last_fetch`, `last_caught_up`, `listeners`, `directory` |
//! | `features` | `feature`, `level`, `min`, `max`, `version` |
//! | `apis` | `node`, `api`, `key`, `min`, `max` |
//! | `log-dirs` | `node`, `path`, `state`, `replicas`, `bytes`, `usable_bytes`, `total_bytes`, `cordoned` |
//! | `log-dirs --replicas` | `node`, `path`, `topic`, `partition`, `bytes`, `lag`, `future` |

mod log_dirs;
mod quorum;

use std::collections::BTreeMap;

use clap::{Parser, Subcommand};
use ottla_client::admin::{ClusterDescription, DescribeClusterError, TopicDescription};
use ottla_client::{Admin, ApiVersions};
use ottla_metadata::features::MetadataVersion;
use ottla_model::BrokerId;
use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use super::connection::{ConnectionFlags, Environment, OutputFlags};
use super::on_runtime;
use super::partitions::described;
use super::plan::all_told;
use super::refusal::Refusal;
use super::report::{Column, Output, Report, Table, column};
use crate::admin_refusal;
use crate::terminal::Terminal;

/// Show what a cluster is made of and how it is.
#[derive(Debug, Parser)]
#[command(name = "ottla cluster", bin_name = "ottla cluster")]
pub struct Flags {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(flatten)]
    output: OutputFlags,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Show the id of the cluster, and how many there are of everything
    Info,
    /// List the brokers
    Nodes,
    /// List the controllers and brokers that follow the metadata log
    Quorum,
    /// List the features and their levels
    Features,
    /// List the APIs of the brokers and their versions
    Apis {
        /// Only those of this broker
        #[arg(long, value_name = "ID")]
        node: Option<i32>,
    },
    /// List the log directories of the brokers
    LogDirs {
        /// Only those of this broker
        #[arg(long, value_name = "ID")]
        node: Option<i32>,
        /// Each copy of a partition in them
        #[arg(short, long)]
        replicas: bool,
    },
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let output = flags.output.output;
    on_runtime(async {
        let admin = flags.connection.admin(&Environment::of_process()).await?;
        match flags.action {
            Action::Info => info(&admin, output, terminal).await,
            Action::Nodes => nodes(&admin, output, terminal).await,
            Action::Quorum => quorum::run(&admin, output, terminal).await,
            Action::Features => features(&admin, output, terminal).await,
            Action::Apis { node } => apis(&admin, (node, output), terminal).await,
            Action::LogDirs { node, replicas } => {
                log_dirs::run((&admin, output), (node, replicas), terminal).await
            }
        }
    })
}

const INFO: &[Column] = &[
    column("id"),
    column("nodes"),
    column("fenced"),
    column("controller"),
    column("quorum_leader"),
    column("quorum_epoch"),
    column("voters"),
    column("metadata_version"),
    column("topics"),
    column("partitions"),
    column("without_leader"),
    column("under_replicated"),
];
const INFO_OF_PEOPLE: &[Column] = &[column("property"), column("value")];
const NODES: &[Column] = &[
    column("node"),
    column("host"),
    column("port"),
    column("rack"),
    column("controller"),
    column("fenced"),
    column("leads"),
    column("replicas"),
];
const FEATURES: &[Column] =
    &[column("feature"), column("level"), column("min"), column("max"), column("version")];
const APIS: &[Column] = &[column("node"), column("api"), column("key"), column("min"), column("max")];

async fn cluster(admin: &Admin) -> Result<ClusterDescription, Refusal> {
    let failed = |error: DescribeClusterError| admin_refusal!(error, "the cluster could not be described");
    admin.describe_cluster(true).await.map_err(failed)
}

/// All topics with their partitions, except those that go meanwhile.
pub async fn all_topics(admin: &Admin) -> Result<Vec<TopicDescription>, Refusal> {
    let failed = |error| Refusal::no_answer("the topics could not be listed", &error);
    let names = admin.list_topics().await.map_err(failed)?.into_iter().map(|topic| topic.name).collect();
    Ok(described(admin, &names).await?.into_values().filter_map(Result::ok).collect())
}

async fn info(admin: &Admin, output: Output, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let cluster = cluster(admin).await?;
    let topics = all_topics(admin).await?;
    let partitions: Vec<_> = topics.iter().flat_map(|topic| &topic.partitions).collect();
    let count = |is_counted: fn(&&&ottla_client::admin::PartitionDescription) -> bool| {
        json!(partitions.iter().filter(is_counted).count())
    };
    // Each of these may be forbidden or too new for the cluster; the rest is shown all the same.
    let mut refusals = Vec::new();
    let quorum = quorum::describe(admin).await.map_err(|refusal| refusals.push(refusal)).ok();
    let versions = versions(admin, None).await.map_err(|refusal| refusals.push(refusal)).ok();
    let level = versions.and_then(|versions| Some(versions.finalized_features.get(METADATA)?.max));
    let mut table = Table::new(INFO);
    table.push([
        json!(cluster.cluster_id),
        json!(cluster.nodes.len() - cluster.fenced.len()),
        json!(cluster.fenced.len()),
        json!(cluster.controller.map(BrokerId::value)),
        json!(quorum.as_ref().and_then(|quorum| quorum.leader).map(BrokerId::value)),
        json!(quorum.as_ref().and_then(|quorum| quorum.leader_epoch).map(|epoch| epoch.value())),
        json!(quorum.as_ref().map(|quorum| quorum.voters.iter().map(|voter| voter.id).collect::<Vec<_>>())),
        json!(level.map(|level| version_name(METADATA, level).unwrap_or_else(|| level.to_string()))),
        json!(topics.len()),
        json!(partitions.len()),
        count(|partition| partition.leader.is_none()),
        count(|partition| partition.in_sync.len() < partition.replicas.len()),
    ]);
    let document = table.objects().remove(0);
    let mut shown = Table::new(INFO_OF_PEOPLE);
    for column in INFO {
        shown.push([json!(column.field.replace('_', " ")), document[column.field].clone()]);
    }
    Report::of_sections(document, vec![(None, shown)], table).print(output, terminal);
    all_told(refusals, terminal)
}

async fn nodes(admin: &Admin, output: Output, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let cluster = cluster(admin).await?;
    let (mut leads, mut replicas): (BTreeMap<BrokerId, u32>, BTreeMap<BrokerId, u32>) = Default::default();
    for partition in all_topics(admin).await?.iter().flat_map(|topic| &topic.partitions) {
        if let Some(leader) = partition.leader {
            *leads.entry(leader).or_default() += 1;
        }
        partition.replicas.iter().for_each(|replica| *replicas.entry(*replica).or_default() += 1);
    }
    let mut table = Table::new(NODES);
    for node in &cluster.nodes {
        table.push([
            json!(node.id.value()),
            json!(node.endpoint.host),
            json!(node.endpoint.port),
            json!(node.rack),
            json!(cluster.controller == Some(node.id)),
            json!(cluster.fenced.contains(&node.id)),
            json!(leads.get(&node.id).copied().unwrap_or(0)),
            json!(replicas.get(&node.id).copied().unwrap_or(0)),
        ]);
    }
    Report::list(table).print(output, terminal);
    Ok(())
}

const METADATA: &str = MetadataVersion::FEATURE;

/// The name of a level, where levels have names.
fn version_name(feature: &str, level: i16) -> Option<String> {
    let version = (feature == METADATA).then(|| MetadataVersion::from_level(level)).flatten();
    version.map(|version| version.name().to_owned())
}

async fn versions(admin: &Admin, node: Option<BrokerId>) -> Result<ApiVersions, Refusal> {
    let failed = |error| Refusal::no_answer("the versions could not be asked for", &error);
    admin.describe_node(node).await.map_err(failed)
}

async fn features(admin: &Admin, output: Output, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let versions = versions(admin, None).await?;
    let mut table = Table::new(FEATURES);
    for (feature, range) in &versions.supported_features {
        let level = versions.finalized_features.get(feature).map_or(0, |finalized| finalized.max);
        table.push([
            json!(feature),
            json!(level),
            json!(range.min),
            json!(range.max),
            json!(version_name(feature, level)),
        ]);
    }
    Report::list(table).print(output, terminal);
    Ok(())
}

/// The brokers that are asked: the one that is named, or all that live.
async fn meant(admin: &Admin, node: Option<i32>) -> Result<Vec<BrokerId>, Refusal> {
    let failed = |error| Refusal::no_answer("the nodes could not be asked for", &error);
    let known: Vec<BrokerId> = admin.nodes().await.map_err(failed)?.into_iter().map(|node| node.id).collect();
    let Some(node) = node else { return Ok(known) };
    match known.iter().find(|id| id.value() == node) {
        Some(id) => Ok(vec![*id]),
        None => {
            let ids: Vec<String> = known.iter().map(ToString::to_string).collect();
            Err(Refusal::failed(format!("there is no broker {node}"))
                .detail(format_args!("There are {}", ids.join(", "))))
        }
    }
}

async fn apis(
    admin: &Admin,
    (node, output): (Option<i32>, Output),
    terminal: &mut Terminal<'_>,
) -> Result<(), Refusal> {
    let mut table = Table::new(APIS);
    let mut refusals = Vec::new();
    for id in meant(admin, node).await? {
        let versions = match versions(admin, Some(id)).await {
            Ok(versions) => versions,
            Err(refusal) => {
                refusals.push(refusal);
                continue;
            }
        };
        for (key, range) in versions.all() {
            let name: Value = json!(ApiKey::from_number(key).map(|api| api.name()));
            table.push([json!(id.value()), name, json!(key), json!(range.start()), json!(range.end())]);
        }
    }
    Report::list(table).print(output, terminal);
    all_told(refusals, terminal)
}
