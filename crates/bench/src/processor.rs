//! What the system says about the processes of a run: processor time, memory, switches, and the load of strangers.
//!
//! Owns: reading `/proc`. Does not own: which processes are meant (`system`), what the numbers mean (`figures`).
//!
//! Processor time is taken from `schedstat`, in nanoseconds: `utime` counts ticks of 10 ms.

use std::fs;
use std::time::Instant;

use crate::Fallible;

/// Ticks of `/proc/stat` in a second; Linux has this number for programs, whatever it counts in.
const TICKS_PER_SECOND: f64 = 100.0;

/// Counters at one moment. What was used in between is [`Usage`].
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Instant,
    system: Counters,
    driver_nanos: u64,
    busy_ticks: u64,
    steal_ticks: u64,
}

/// Counters of all processes of a session.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    nanos: u64,
    switches: u64,
    bytes_written: u64,
}

/// What was used between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub seconds: f64,
    /// Processor time of the system under test.
    pub system_seconds: f64,
    /// Processor time of this process.
    pub driver_seconds: f64,
    /// Of all processors, by others, kernel threads among them.
    pub foreign_percent: f64,
    pub steal_percent: f64,
    /// Context switches of the system under test.
    pub switches: f64,
    /// Bytes it wrote by the calls that are counted: to files, and to sockets by `writev`.
    pub bytes_written: f64,
}

impl Moment {
    /// Reads the counters of the session and of this process.
    pub fn now(session: u32) -> Fallible<Moment> {
        let mut system = Counters::default();
        for process in processes_of(session)? {
            system.add(process);
        }
        let (busy_ticks, steal_ticks) = ticks()?;
        let driver_nanos = nanos_of(std::process::id());
        Ok(Moment { at: Instant::now(), system, driver_nanos, busy_ticks, steal_ticks })
    }

    /// What was used since `self`.
    pub fn until(&self, later: &Moment) -> Usage {
        let seconds = (later.at - self.at).as_secs_f64();
        let nanos = |before: u64, after: u64| float(after.saturating_sub(before)) / 1e9;
        let system_seconds = nanos(self.system.nanos, later.system.nanos);
        let driver_seconds = nanos(self.driver_nanos, later.driver_nanos);
        let ticks = |before: u64, after: u64| float(after.saturating_sub(before)) / TICKS_PER_SECOND;
        let all = seconds * float(processors()) / 100.0;
        let foreign = ticks(self.busy_ticks, later.busy_ticks) - system_seconds - driver_seconds;
        let count = |before: u64, after: u64| float(after.saturating_sub(before));
        Usage {
            seconds,
            system_seconds,
            driver_seconds,
            foreign_percent: foreign.max(0.0) / all,
            steal_percent: ticks(self.steal_ticks, later.steal_ticks) / all,
            switches: count(self.system.switches, later.system.switches),
            bytes_written: count(self.system.bytes_written, later.system.bytes_written),
        }
    }
}

impl Counters {
    /// A process that has ended meanwhile adds nothing.
    fn add(&mut self, process: u32) {
        self.nanos += nanos_of(process);
        for task in tasks_of(process) {
            let text = fs::read_to_string(format!("/proc/{process}/task/{task}/status")).unwrap_or_default();
            self.switches +=
                labelled(&text, "voluntary_ctxt_switches:") + labelled(&text, "nonvoluntary_ctxt_switches:");
        }
        let text = fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        self.bytes_written += labelled(&text, "wchar:");
    }
}

/// Memory of the session's processes that no file is behind, in bytes, and all that is resident.
pub fn memory_of(session: u32) -> Fallible<(u64, u64)> {
    let (mut anonymous, mut resident) = (0, 0);
    for process in processes_of(session)? {
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        anonymous += labelled(&text, "RssAnon:") * 1024;
        resident += labelled(&text, "VmRSS:") * 1024;
    }
    Ok((anonymous, resident))
}

/// Memory that can be had without taking it from others, in bytes.
pub fn memory_available() -> u64 {
    labelled(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemAvailable:") * 1024
}

/// Memory of the kernel's own objects, in bytes.
pub fn kernel_memory() -> Fallible<u64> {
    Ok(labelled(&fs::read_to_string("/proc/meminfo")?, "Slab:") * 1024)
}

/// The processes whose session is that of process `leader`.
pub fn processes_of(leader: u32) -> Fallible<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        if session_in(&text) == Some(leader) {
            found.push(process);
        }
    }
    Ok(found)
}

/// The session in the text of a `stat` file: the fourth field behind the name, which may hold blanks.
fn session_in(text: &str) -> Option<u32> {
    text.rsplit(')').next()?.split_whitespace().nth(3)?.parse().ok()
}

fn nanos_of(process: u32) -> u64 {
    let nanos = |task: u32| {
        let text = fs::read_to_string(format!("/proc/{process}/task/{task}/schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    tasks_of(process).into_iter().filter_map(nanos).sum()
}

fn tasks_of(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Busy and stolen ticks of all processors.
fn ticks() -> Fallible<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> =
        text.lines().next().unwrap_or_default().split_whitespace().filter_map(|it| it.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let [user, nice, system, _, _, irq, softirq, steal, ..] = fields[..] else {
        return Err(
            format!("/proc/stat is not what it is on Linux: {}", text.lines().next().unwrap_or("")).into()
        );
    };
    Ok((user + nice + system + irq + softirq, steal))
}

/// The number behind a label that begins a line; 0 where there is none.
fn labelled(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Processors that this process may use.
pub fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

/// A count as a number to calculate with; exact below 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2⁵³")]
pub fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_behind_a_name_with_blanks_and_brackets() {
        assert_eq!(session_in("12 (a b) c) S 1 12 7 0 -1"), Some(7));
        assert_eq!(session_in(""), None);
    }

    #[test]
    fn a_label_begins_its_line() {
        let text = "nonvoluntary_ctxt_switches:\t5\nvoluntary_ctxt_switches:\t3\n";
        assert_eq!(labelled(text, "voluntary_ctxt_switches:"), 3);
        assert_eq!(labelled(text, "VmRSS:"), 0);
    }

    #[test]
    fn this_process_is_seen_at_work() {
        // As `/proc` tells it: 0 in a container, where the session's leader is outside.
        let session = session_in(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        assert!(processes_of(session).unwrap().contains(&std::process::id()));
        let before = Moment::now(session).unwrap();
        let sum = (0..5_000_000_u64).fold(0_u64, |sum, number| std::hint::black_box(sum ^ number));
        let usage = before.until(&Moment::now(session).unwrap());
        assert!(usage.driver_seconds > 0.0 && usage.system_seconds > 0.0, "{usage:?} {sum}");
    }
}
