//! The rows of the suite: which there are, and what every one of them goes through.
//!
//! Owns: the list, the node and the honest clients of a row, what is looked at before and after.
//! Does not own: the attacks (one module each), the judgement (`report`).

mod bombs;
mod crowds;
mod floods;
mod frames;
mod impostors;
mod requests;
mod sequences;
mod state;
mod strangers;

use std::time::{Duration, Instant};

use ottla_testkit::random::SeededRandom;

use crate::Fallible;
use crate::honest::{Honest, WINDOW};
use crate::node::Node;
use crate::plan::Plan;
use crate::report::{Found, Verdict};

/// A row of the suite.
struct Row {
    name: &'static str,
    /// Memory the node may have at the peak, in MiB.
    peak_mib_max: u64,
    /// Further settings of the node.
    settings: &'static str,
}

const ROWS: &[Row] = &[
    Row { name: "sizes", peak_mib_max: 128, settings: "" },
    Row { name: "slowloris", peak_mib_max: 256, settings: "" },
    Row { name: "counts", peak_mib_max: 128, settings: "" },
    Row { name: "empties", peak_mib_max: 128, settings: "" },
    Row { name: "limits", peak_mib_max: 256, settings: "" },
    Row { name: "names", peak_mib_max: 256, settings: "" },
    Row { name: "large-lists", peak_mib_max: 480, settings: "" },
    Row { name: "bombs", peak_mib_max: 256, settings: "" },
    Row { name: "garbage", peak_mib_max: 128, settings: "" },
    Row { name: "connections", peak_mib_max: 480, settings: "" },
    Row { name: "caps", peak_mib_max: 128, settings: "max.connections=300\nmax.connections.per.ip=100\n" },
    Row { name: "pipeline", peak_mib_max: 256, settings: "" },
    Row { name: "slow-readers", peak_mib_max: 256, settings: "" },
    Row { name: "impostors", peak_mib_max: 128, settings: "" },
    Row { name: "strangers", peak_mib_max: 128, settings: "" },
    Row { name: "reborn", peak_mib_max: 256, settings: "" },
    Row { name: "sequences", peak_mib_max: 128, settings: "" },
    Row { name: "checksums", peak_mib_max: 128, settings: "" },
    // Members who join a new group within this time wait together, so that the limit of its size counts them.
    Row {
        name: "state",
        peak_mib_max: 400,
        settings: "group.max.size=500\ngroup.initial.rebalance.delay.ms=3000\n",
    },
];

pub fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.name).collect()
}

/// What an attack has at hand.
pub struct Stage<'a> {
    pub node: &'a Node,
    pub random: SeededRandom,
}

/// Windows in which honest clients are alone, and those that an attack has at least.
const WINDOWS_BEFORE: usize = 4;
const WINDOWS_DURING: usize = 4;
/// How long honest clients may need until they are at their pace.
const WARM_UP: Duration = Duration::from_millis(1_000);

/// Runs the rows of the plan, each against a node of its own.
pub fn run_all(plan: &Plan) -> Fallible<Vec<Verdict>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut verdicts = Vec::new();
    for row in ROWS.iter().filter(|row| plan.rows.contains(&row.name)) {
        eprintln!("{} ...", row.name);
        let verdict = runtime.block_on(run(plan, row));
        verdicts.push(verdict.map_err(|error| format!("row {}: {error}", row.name))?);
    }
    Ok(verdicts)
}

async fn run(plan: &Plan, row: &Row) -> Fallible<Verdict> {
    let mut node = Node::start(plan, row.name, row.settings).await?;
    let honest = Honest::start(node.port).await?;
    let prepared = prepare(row.name, &node).await?;
    tokio::time::sleep(WARM_UP).await;
    let first = honest.window() + 1;
    until(&honest, first + WINDOWS_BEFORE).await;
    node.forget_peak()?;
    honest.take_large_ms_max();
    let (lost_before, begun) = (honest.lost(), Instant::now());
    let stage = Stage { node: &node, random: SeededRandom::new(plan.seed) };
    let mut found = attack(row.name, &stage, prepared).await.unwrap_or_else(|error| Found {
        misses: vec![format!("the attack itself failed: {error}")],
        ..Found::default()
    });
    let seconds = begun.elapsed().as_secs_f64();
    until(&honest, first + WINDOWS_BEFORE + WINDOWS_DURING).await;
    let end = honest.window();
    let (large_ms_max, lost) = (honest.take_large_ms_max(), honest.lost() - lost_before);
    // Answers that are due may still come in time.
    until(&honest, end + 3).await;
    let before = honest.achieved(first..first + WINDOWS_BEFORE);
    let during = honest.achieved(first + WINDOWS_BEFORE..end);
    drop(honest);
    afterwards(&mut node, &mut found).await?;
    let (peak_bytes, peak_bytes_max) = (node.peak_bytes()?, row.peak_mib_max << 20);
    if !node.is_confined() {
        found.fact("without a control group: the system lets nobody make one");
    }
    if let Err(error) = node.stop().await {
        found.misses.push(error.to_string());
    }
    let row = row.name;
    let mut verdict =
        Verdict { row, found, seconds, before, during, large_ms_max, lost, peak_bytes, peak_bytes_max };
    verdict.judge();
    Ok(verdict)
}

/// What a row needs that is dear to make.
#[derive(Default)]
pub struct Prepared {
    /// Requests that are sent as they are.
    pub frames: Vec<(String, Vec<u8>)>,
}

async fn prepare(name: &str, node: &Node) -> Fallible<Prepared> {
    match name {
        "bombs" => Ok(Prepared { frames: bombs::frames()? }),
        "slow-readers" => {
            floods::fill(node).await?;
            Ok(Prepared::default())
        }
        _ => Ok(Prepared::default()),
    }
}

async fn attack(name: &str, stage: &Stage<'_>, prepared: Prepared) -> Fallible<Found> {
    match name {
        "sizes" => frames::sizes(stage).await,
        "slowloris" => frames::slowloris(stage).await,
        "garbage" => frames::garbage(stage).await,
        "counts" => requests::edges(stage, &["Claim", "UnknownTags", "Times"]).await,
        "empties" => requests::edges(stage, &["Null", "Empty"]).await,
        "limits" => requests::limits(stage).await,
        "names" => requests::names(stage).await,
        "large-lists" => requests::large_lists(stage).await,
        "bombs" => bombs::explode(stage, prepared).await,
        "connections" => crowds::connections(stage).await,
        "caps" => crowds::caps(stage).await,
        "pipeline" => floods::pipeline(stage).await,
        "slow-readers" => floods::slow_readers(stage).await,
        "impostors" => impostors::impostors(stage).await,
        "strangers" => strangers::members(stage).await,
        "reborn" => strangers::reborn(stage).await,
        "sequences" => sequences::sequences(stage).await,
        "checksums" => sequences::checksums(stage).await,
        "state" => state::state(stage).await,
        unknown => Err(format!("there is no row {unknown}").into()),
    }
}

/// The node is there, has said nothing odd, and serves whoever comes.
async fn afterwards(node: &mut Node, found: &mut Found) -> Fallible<()> {
    let ended = node.has_ended();
    found.must(!ended, || "the node ended".to_owned());
    let answers = node.answers().await;
    found.must(answers, || "a new client gets no answer".to_owned());
    for complaint in node.complaints()? {
        found.misses.push(format!("the log says: {complaint}"));
    }
    Ok(())
}

async fn until(honest: &Honest, window: usize) {
    while honest.window() < window {
        tokio::time::sleep(WINDOW / 10).await;
    }
}
