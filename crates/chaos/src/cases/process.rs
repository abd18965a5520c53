//! Faults of the process: killed, stopped cleanly, stopped for a while.
//!
//! Owns: their moments and lengths. Does not own: faults of its disk (`storage`).

use std::time::Duration;

use ottla_env::{task, time};

use crate::Fallible;
use crate::stage::Stage;

/// Acknowledgements after which the node is killed: anything up to this many.
const ACKS_BEFORE_MAX: u64 = 400;
/// Between two acknowledgements lie many moments: turns that other tasks get before the fault.
const TURNS_MAX: u64 = 20_000;

/// Comes to a moment of the schedule: some acknowledgements later, or in the middle of a start.
pub(super) async fn some_moment(stage: &mut Stage) -> Fallible<()> {
    let in_the_middle_of_its_start = stage.random.chance(20);
    let acks = if in_the_middle_of_its_start { 0 } else { stage.random.between(1, ACKS_BEFORE_MAX) };
    stage.acks(acks).await?;
    for _ in 0..stage.random.between(0, TURNS_MAX) {
        task::yield_now().await;
    }
    Ok(())
}

/// The node is killed again and again, also while it starts.
pub(super) async fn kill(stage: &mut Stage, count: Option<u64>) -> Fallible<()> {
    while stage.goes_on(count) {
        some_moment(stage).await?;
        kill_once(stage)?;
    }
    Ok(())
}

/// One kill, and the start after it.
pub(super) fn kill_once(stage: &mut Stage) -> Fallible<()> {
    stage.fault("kill");
    stage.node.kill()?;
    stage.node.start_again()?;
    stage.healed();
    Ok(())
}

/// The node is stopped cleanly again and again; it must end well each time.
pub(super) async fn term(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        let acks = stage.random.between(1, ACKS_BEFORE_MAX);
        stage.acks(acks).await?;
        stop_cleanly(stage).await?;
    }
    Ok(())
}

/// One clean stop, and the start after it.
pub(super) async fn stop_cleanly(stage: &mut Stage) -> Fallible<()> {
    stage.fault("term");
    stage.node.stop().await?;
    stage.node.start_again()?;
    stage.healed();
    Ok(())
}

/// The node stands still again and again, as under a debugger or on a machine that is moved.
pub(super) async fn stop(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        let acks = stage.random.between(1, ACKS_BEFORE_MAX);
        stage.acks(acks).await?;
        stand_still(stage).await?;
    }
    Ok(())
}

/// One standstill of one to sixty seconds. Short ones are more frequent, and none takes more than half of what is left of the case.
pub(super) async fn stand_still(stage: &mut Stage) -> Fallible<()> {
    let drawn = match stage.random.chance(80) {
        true => Duration::from_millis(stage.random.between(1_000, 5_000)),
        false => Duration::from_millis(stage.random.between(5_000, 60_000)),
    };
    let left = stage.until.saturating_duration_since(time::now()) / 2;
    stage.fault("stop");
    stage.node.freeze().await?;
    time::sleep(drawn.min(left.max(Duration::from_secs(1)))).await;
    stage.node.thaw()?;
    stage.healed();
    Ok(())
}
