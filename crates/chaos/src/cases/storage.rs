//! Faults of the disk as a whole: power cut, full, read-only.
//!
//! Owns: their order and lengths, and what the node must do meanwhile. Does not own: how a file system is damaged (`volume`),
//! what a write that was cut off leaves (`torn`).

use std::path::Path;
use std::time::Duration;

use ottla_client::error::ErrorCode;
use ottla_env::time;

use super::process::{some_moment, stop_cleanly};
use super::torn;
use crate::Fallible;
use crate::clients::{Probed, TOPIC};
use crate::stage::Stage;
use crate::tracer::{self, Tracer};
use crate::volume::Volume;

/// Space that is left when a disk is filled, in KiB: clients use it up.
const LEFT_KIB: u64 = 512;
/// Longest until a node has noticed that its disk is full.
const NOTICE: Duration = Duration::from_secs(20);

fn volume(stage: &Stage) -> Fallible<&Volume> {
    stage.volume.as_ref().ok_or_else(|| "the case needs a volume".into())
}

/// Power fails again and again, also while the node starts, and while much is on its way to a slow disk.
pub(super) async fn power(stage: &mut Stage, count: Option<u64>) -> Fallible<()> {
    let traced = tracer::missing().is_none();
    while stage.goes_on(count) {
        some_moment(stage).await?;
        if traced && stage.random.chance(30) {
            cut_power_of_a_slow_disk(stage).await?;
        } else {
            cut_power(stage).await?;
        }
        // What a start has made of the ends is believed by the one behind a clean stop.
        if stage.random.chance(20) {
            stage.acks(1).await?;
            stop_cleanly(stage).await?;
        }
    }
    Ok(())
}

/// One power cut, and the start after it.
pub(super) async fn cut_power(stage: &mut Stage) -> Fallible<()> {
    stage.fault("power");
    lose_power(stage).await
}

/// One power cut while each flush takes long: whoever was told too early is seen to be.
async fn cut_power_of_a_slow_disk(stage: &mut Stage) -> Fallible<()> {
    let delay = stage.random.between(300_000, 900_000);
    let lasting = Duration::from_millis(stage.random.between(200, 2_000));
    // One that a cut has hit in the middle of its start comes first.
    stage.acks(1).await?;
    stage.fault("power of a slow disk");
    // What is written down about the logs may be faster than they are.
    let calls = if stage.random.chance(50) { "fdatasync" } else { "fdatasync,fsync" };
    let inject = format!("{calls}:delay_enter={delay}");
    let tracer = Tracer::attach(stage.node.id(), &stage.home, &inject).await?;
    time::sleep(lasting).await;
    let lost = lose_power(stage).await;
    drop(tracer);
    lost?;
    // Before members commit anew, which hides what they have lost.
    stage.cluster.look_at_commits().await
}

async fn lose_power(stage: &mut Stage) -> Fallible<()> {
    stage.node.freeze().await?;
    volume(stage)?.cut_off()?;
    stage.node.kill()?;
    volume(stage)?.mount_again()?;
    torn::tear_ends(&stage.node, &stage.random)?;
    stage.node.start_again()?;
    stage.healed();
    Ok(())
}

/// The disk is full for a while, again and again: what is sent is refused, what is there can be read, and once there is room
/// the node goes on by itself.
pub(super) async fn full(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        let acks = stage.random.between(100, 1_000);
        stage.acks(acks).await?;
        fill_disk(stage).await?;
    }
    Ok(())
}

/// One full disk, and room again.
pub(super) async fn fill_disk(stage: &mut Stage) -> Fallible<()> {
    stage.fault("full");
    volume(stage)?.fill(LEFT_KIB)?;
    let noticed = await_refusal(stage).await;
    let lasting = Duration::from_millis(stage.random.between(500, 4_000));
    if noticed? {
        if !stage.cluster.can_read(0).await? {
            stage.findings.push("nothing can be read while the disk is full".to_owned());
        }
        time::sleep(lasting).await;
    }
    let ended = stage.node.ended()?;
    if ended.is_some() {
        stage.note_end();
    }
    volume(stage)?.make_room()?;
    stage.healed();
    stage.was_full()?;
    match ended {
        None => stage.acks(100).await,
        Some(status) => Err(stage.node.failed(&format!("ended on a full disk ({status})"))),
    }
}

/// Sends until a record is refused; it must be refused for the right reason.
async fn await_refusal(stage: &mut Stage) -> Fallible<bool> {
    let until = time::now() + NOTICE;
    while time::now() < until {
        match stage.cluster.probe(0, false).await? {
            Probed::Taken => {}
            Probed::Refused(ErrorCode::KafkaStorageError) => return Ok(true),
            Probed::Refused(code) => {
                stage.findings.push(format!("on a full disk a record is refused with {code:?}"));
                return Ok(true);
            }
            Probed::Unknown(text) => {
                stage.findings.push(format!("on a full disk a record is not refused, but: {text}"));
                return Ok(true);
            }
        }
    }
    stage.findings.push(format!("on a full disk records are taken for {NOTICE:?}"));
    Ok(false)
}

/// One of two log directories turns read-only; the node goes on with the other one.
pub(super) async fn read_only(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        let acks = stage.random.between(100, 1_000);
        stage.acks(acks).await?;
        let lost = volume(stage)?.directory();
        stage.fault("readonly");
        // A flush that is under way at this moment may answer that all is well, so there is none.
        stage.node.freeze_at_rest().await?;
        let turned = volume(stage)?.make_read_only();
        stage.node.thaw()?;
        turned?;
        serves_on(stage, &[&lost]).await?;
        stage.node.kill()?;
        volume(stage)?.mount_again()?;
        stage.node.start_again()?;
        stage.healed();
        stage.acks(100).await?;
    }
    Ok(())
}

/// Log directories below these places are gone: partitions there are refused, the others are served, the process lives.
pub(super) async fn serves_on(stage: &mut Stage, lost: &[&Path]) -> Fallible<()> {
    for (partition, directory) in stage.node.directories_of(TOPIC)? {
        let is_lost = lost.iter().any(|place| directory.starts_with(place));
        // Where it must be refused, the first answer says so; else clients may have to look for a leader first.
        let probed = stage.cluster.probe(partition, !is_lost).await?;
        match (is_lost, probed) {
            (false, Probed::Taken) | (true, Probed::Refused(_) | Probed::Unknown(_)) => {}
            (true, Probed::Taken) => {
                let place = directory.display();
                stage
                    .findings
                    .push(format!("partition {partition} in {place}, which is gone, takes a record"));
            }
            (false, probed) => {
                let place = directory.display();
                stage.findings.push(format!("partition {partition} in {place}, which is well: {probed:?}"));
            }
        }
        if !is_lost && !stage.cluster.can_read(partition).await? {
            stage.findings.push(format!("partition {partition} in {} cannot be read", directory.display()));
        }
    }
    match stage.node.ended()? {
        None => Ok(()),
        Some(status) => Err(stage.node.failed(&format!("ended when a log directory failed ({status})"))),
    }
}
