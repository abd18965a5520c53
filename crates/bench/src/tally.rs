//! Who counts: `strace` system calls, the allocator its allocations.
//!
//! Owns: starting `strace` beside a system, reading its table and the allocator's. Does not own: what is counted for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Fallible;
use crate::system::told;

/// What makes jemalloc print its counters, as JSON and of all arenas together, when the process ends. Only a build that
/// counts has something to print.
pub const ALLOCATOR_ENVIRONMENT: (&str, &str) =
    ("_RJEM_MALLOC_CONF", "stats_print:true,stats_print_opts:Jdax");

/// Sizes that are not to be allocated for a request in steady state, in bytes, begin above this.
const SMALL_BYTES: u64 = 1024;

/// How long `strace` may take to attach to every thread.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether `strace` is there and may look at another process.
pub fn strace_works() -> bool {
    let tried = Command::new("strace").args(["-c", "-f", "-o", "/dev/null", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// A `strace` that counts.
pub struct Trace {
    child: Child,
    table: PathBuf,
}

impl Trace {
    /// Attaches to every thread of a process.
    pub async fn begin(process: u32, directory: &Path) -> Fallible<Trace> {
        let (table, said) = (directory.join("strace.txt"), directory.join("strace.log"));
        let errors = fs::File::create(&said).map_err(told("write", &said))?;
        let child = Command::new("strace")
            .args(["-c", "-f", "-p", &process.to_string(), "-o"])
            .arg(&table)
            .stdin(Stdio::null())
            .stderr(errors)
            .spawn()?;
        let until = Instant::now() + PATIENCE;
        while !is_traced(process) {
            if Instant::now() > until {
                return Err(format!("strace did not attach; see {}", said.display()).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Trace { child, table })
    }

    /// Detaches; calls by name.
    pub async fn end(mut self) -> Fallible<BTreeMap<String, u64>> {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(process.ok_or("strace has no process")?, Signal::INT)?;
        while self.child.try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(calls_in(&fs::read_to_string(&self.table).map_err(told("read", &self.table))?))
    }
}

/// Whether every thread of a process has a tracer.
fn is_traced(process: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return false };
    tasks.flatten().all(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        !status.lines().any(|line| line.split_whitespace().eq(["TracerPid:", "0"]))
    })
}

/// The table of `strace -c`: share, seconds, µs per call, calls, errors where there were any, name.
fn calls_in(table: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, calls) = (*words.last()?, words.get(3)?.parse().ok()?);
        (name != "total").then(|| (name.to_owned(), calls))
    };
    table.lines().filter_map(line).collect()
}

/// Allocations of a process from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allocations {
    pub all: f64,
    /// Above 1 KiB.
    pub large: f64,
    pub bytes: f64,
}

/// The counters in what a process wrote when it ended; `None` if its allocator does not count.
pub fn allocations(log: &str) -> Option<Allocations> {
    let from = log.find("{\"jemalloc\"")?;
    let root = serde_json::Deserializer::from_str(&log[from..]).into_iter::<Value>().next()?.ok()?;
    let root = &root["jemalloc"];
    let sizes = root["arenas"]["bin"].as_array()?;
    let merged = &root["stats.arenas"]["merged"];
    let mut counted = Allocations { all: 0.0, large: 0.0, bytes: 0.0 };
    for (size, bin) in sizes.iter().zip(merged["bins"].as_array()?) {
        let (bytes, requests) = (size["size"].as_u64()?, bin["nrequests"].as_f64()?);
        counted.all += requests;
        counted.bytes += requests * size["size"].as_f64()?;
        counted.large += if bytes > SMALL_BYTES { requests } else { 0.0 };
    }
    // Of these the sizes are not told apart; each has at least 16 KiB.
    let large = merged["large"]["nrequests"].as_f64()?;
    counted.all += large;
    counted.large += large;
    counted.bytes += large * 16_384.0;
    Some(counted)
}

/// A name that lives as long as the program: there are as many as system calls.
pub fn static_name(name: &str) -> &'static str {
    Box::leak(format!("calls of {name}").into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_straces_table() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n \
                     60.00    0.000600           1       600           pwrite64\n \
                     40.00    0.000400           1       400        12 recvfrom\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.001000                  1000        12 total\n";
        let calls = calls_in(table);
        assert_eq!(calls, BTreeMap::from([("pwrite64".to_owned(), 600), ("recvfrom".to_owned(), 400)]));
    }

    #[test]
    fn allocations_are_told_apart_by_their_size() {
        let log = "ottla started\n{\"jemalloc\":{\"arenas\":{\"bin\":[{\"size\":8},{\"size\":2048}]},\
                   \"stats.arenas\":{\"merged\":{\"bins\":[{\"nrequests\":10},{\"nrequests\":3}],\
                   \"large\":{\"nrequests\":2}}}}}\n";
        let counted = allocations(log).unwrap();
        assert_eq!(counted, Allocations { all: 15.0, large: 5.0, bytes: 80.0 + 6_144.0 + 32_768.0 });
        assert_eq!(allocations("ottla started\n"), None);
    }
}
