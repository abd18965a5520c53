//! Faults of single system calls: an error of the device, a slow device.
//!
//! Owns: which calls fail or are slow, and what the node must do. Does not own: how a call is made to (`tracer`).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ottla_env::time;

use super::storage::serves_on;
use crate::Fallible;
use crate::stage::Stage;
use crate::tracer::Tracer;

/// The fault of a flush.
const FLUSH: &str = "io fdatasync";
/// Calls that fail with EIO: the fault's name and the call.
const CALLS: [(&str, &str); 6] = [
    (FLUSH, "fdatasync"),
    (FLUSH, "fdatasync"),
    ("io write", "pwrite64,pwritev,pwritev2"),
    ("io read", "pread64,preadv,preadv2"),
    ("io rename", "rename,renameat,renameat2"),
    ("io fsync", "fsync"),
];
/// A call that does not come within this time fails no more.
const AWAIT_CALL: Duration = Duration::from_secs(8);
/// By then the node has drawn its conclusions.
const CONCLUDE: Duration = Duration::from_secs(1);

/// A call fails once with EIO, as by a bad sector or a lost path. A directory that could not be written goes offline, the
/// node serves on from the others, and nothing that was acknowledged is lost, also when the next flush would work again.
pub(super) async fn io(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        let acks = stage.random.between(50, 400);
        stage.acks(acks).await?;
        // A run of any length has a flush that fails.
        let calls = if stage.faults.0.is_empty() { &CALLS[..1] } else { &CALLS };
        let (kind, call) = *stage.random.pick(calls).ok_or("no calls")?;
        let nth = stage.random.between(1, 8);
        let logged = fs::read_to_string(stage.node.log())?.len();
        stage.fault(kind);
        let inject = format!("{call}:error=EIO:when={nth}");
        let tracer = Tracer::attach(stage.node.id(), &stage.home, &inject).await?;
        let injected = tracer.await_injection(AWAIT_CALL).await?;
        // A process that has ended is let go already.
        let _ = tracer.detach().await;
        if injected {
            time::sleep(CONCLUDE).await;
            let log = fs::read_to_string(stage.node.log())?;
            conclude(stage, (kind, log.get(logged..).unwrap_or_default())).await?;
        }
        stage.healed();
        stage.acks(100).await?;
    }
    Ok(())
}

/// Sees which directories the node has given up, and starts it anew if any. After a flush that failed it must have given
/// something up: nobody knows what the device has of the bytes, and the next flush says nothing about them.
async fn conclude(stage: &mut Stage, (kind, log): (&str, &str)) -> Fallible<()> {
    let offline: Vec<PathBuf> =
        log.lines().filter(|line| line.contains("goes offline")).filter_map(path_in).collect();
    if let Some(status) = stage.node.ended()? {
        // Without its metadata, or without any place for logs, a node cannot go on.
        let all = stage.node.log_dirs().iter().all(|directory| offline.contains(directory));
        if !all && !log.contains("metadata") {
            let what = format!("ended by an error of its device ({status})");
            stage.findings.push(stage.node.failed(&what).to_string());
        }
        return stage.node.start_again();
    }
    if offline.is_empty() && kind == FLUSH {
        stage.findings.push("a flush failed, and the node goes on with every directory".to_owned());
    }
    if !offline.is_empty() {
        let lost: Vec<&std::path::Path> = offline.iter().map(PathBuf::as_path).collect();
        serves_on(stage, &lost).await?;
        stage.node.kill()?;
        stage.node.start_again()?;
    }
    Ok(())
}

/// The value of the field `path` of a line.
fn path_in(line: &str) -> Option<PathBuf> {
    let value = line.split_once("path=")?.1.split(' ').next()?;
    Some(PathBuf::from(value.trim_matches('"')))
}

/// The device is slow for a while: each flush takes a fifth of a second to a second longer.
pub(super) async fn slow(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        let acks = stage.random.between(50, 400);
        stage.acks(acks).await?;
        slow_disk(stage).await?;
    }
    Ok(())
}

/// One slow time. Acknowledgements come late, but they come: a node that starts meanwhile may need all of it for that.
pub(super) async fn slow_disk(stage: &mut Stage) -> Fallible<()> {
    stage.acks(1).await?;
    let delay = stage.random.between(200_000, 1_000_000);
    let lasting = Duration::from_millis(stage.random.between(3_000, 8_000));
    stage.fault("slow");
    let inject = format!("fdatasync,fsync:delay_enter={delay}");
    let tracer = Tracer::attach(stage.node.id(), &stage.home, &inject).await?;
    let before = stage.cluster.notes.acks();
    time::sleep(lasting).await;
    let acked = stage.cluster.notes.acks() - before;
    let delayed = tracer.injected()?;
    tracer.detach().await?;
    stage.healed();
    if acked == 0 {
        stage.findings.push(format!("no acknowledgement for {lasting:?} while a flush takes {delay} us"));
    }
    if delayed == 0 {
        stage.findings.push("no flush was slow".to_owned());
    }
    stage.acks(100).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_in_its_field() {
        let line =
            "t ERROR the log directory failed and goes offline path=/a/b partition=t-0 error=\"x\" (m)";
        assert_eq!(path_in(line), Some(PathBuf::from("/a/b")));
        assert_eq!(path_in("nothing"), None);
    }
}
