//! Jumps of the wall clock, and files whose times are wrong.
//!
//! Owns: how far and how often. Does not own: how a process is shown another time (`native`).

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ottla_env::time;

use crate::Fallible;
use crate::clients::TOPIC;
use crate::stage::Stage;

/// Jumps in seconds: an hour and a day, both ways.
const JUMPS: [i64; 4] = [3_600, -3_600, 86_400, DAY_BACK];
const DAY_BACK: i64 = -86_400;
/// Every partition closes a segment within this time.
const LONG: Duration = Duration::from_secs(4);
/// What the topic keeps: more than a run, less than a jump.
pub(super) const RETENTION_MS: u64 = 1_800_000;
/// Bytes of the file that the preloaded library maps.
const TEXT_BYTES: usize = 32;
/// Name of the file in a case's home.
pub(super) const FILE: &str = "clock";

/// The clock goes back after the node has started and before anything is written.
pub(super) fn begin(home: &Path) -> Fallible<()> {
    set(home, DAY_BACK)
}

/// Writes how far the clock is off, in seconds, in one step.
pub(super) fn set(home: &Path, seconds: i64) -> Fallible<()> {
    let mut text = seconds.to_string().into_bytes();
    text.resize(TEXT_BYTES, 0);
    let file = fs::File::options().create(true).truncate(false).write(true).open(home.join(FILE))?;
    Ok(std::os::unix::fs::FileExt::write_all_at(&file, &text, 0)?)
}

/// The clock jumps away and back again. Traffic does not care; nothing is deleted before its time, no group is forgotten.
pub(super) async fn clock(stage: &mut Stage) -> Fallible<()> {
    stage.retains(RETENTION_MS);
    while stage.goes_on(None) {
        let acks = stage.random.between(50, 400);
        stage.acks(acks).await?;
        // A run of any length has a node that writes its first segments while its clock is behind and learns better as it runs,
        // and one that starts while its clock is behind, with one after it that knows better.
        let (restarts, jump, lasting) = match stage.faults.0.len() {
            0 => ([false; 2], DAY_BACK, LONG),
            1 => ([true; 2], DAY_BACK, LONG),
            _ => {
                let jump = *stage.random.pick(&JUMPS).ok_or("no jumps")?;
                // Some nodes are started while the clock is behind. One that starts while it is ahead believes it, as every node
                // does.
                let restarts = [(); 2].map(|()| jump < 0 && stage.random.chance(50));
                (restarts, jump, Duration::from_millis(stage.random.between(1_000, 4_000)))
            }
        };
        stage.fault(if jump > 0 { "clock forward" } else { "clock back" });
        set(&stage.home, jump)?;
        age_files(stage)?;
        time::sleep(lasting).await;
        if restarts[0] {
            start_anew(stage, jump).await?;
            time::sleep(lasting).await;
        }
        // Put right under a node that runs, or before the next one starts.
        if restarts[1] {
            start_anew(stage, 0).await?;
        }
        set(&stage.home, 0)?;
        stage.healed();
        stage.acks(100).await?;
    }
    Ok(())
}

/// The node is stopped, and started with a clock that is off by so many seconds.
async fn start_anew(stage: &mut Stage, seconds: i64) -> Fallible<()> {
    stage.node.stop().await?;
    set(&stage.home, seconds)?;
    stage.node.start_again()?;
    // Before members commit anew, which hides what was forgotten.
    stage.cluster.look_at_commits().await?;
    stage.acks(20).await
}

/// All files of the topic are a day old, as after they were copied from elsewhere. The age of records is in the records.
fn age_files(stage: &Stage) -> Fallible<()> {
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    for directory in stage.node.directories_of(TOPIC)?.into_values() {
        for entry in fs::read_dir(directory)? {
            // One that was removed or renamed meanwhile has no age.
            if let Ok(file) = fs::File::open(entry?.path()) {
                file.set_modified(yesterday)?;
            }
        }
    }
    Ok(())
}
