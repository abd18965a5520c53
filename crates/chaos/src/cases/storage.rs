//! Faults of the disk.
//!
//! Owns: their order and lengths, and what the node must do meanwhile. Does not own: how a file system is damaged (`volume`).

use super::process::some_moment;
use crate::Fallible;
use crate::stage::Stage;

/// Power fails again and again, also while the node starts.
pub(super) async fn power(stage: &mut Stage, count: Option<u64>) -> Fallible<()> {
    while stage.goes_on(count) {
        some_moment(stage).await?;
        let volume = stage.volume.as_ref().ok_or("a power cut needs a volume")?;
        stage.faults.begin("power", &stage.cluster.notes);
        stage.node.freeze().await?;
        volume.cut_off()?;
        stage.node.kill()?;
        volume.mount_again()?;
        stage.node.start_again()?;
        stage.healed();
    }
    Ok(())
}
