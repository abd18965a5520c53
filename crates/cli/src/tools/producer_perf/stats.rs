//! What is measured, and its lines.
//!
//! Owns: counts, latencies, windows of the reporting interval, totals, percentiles.
//! Does not own: the clock, when records arrive (`sending`).
//!
//! Of very many records only some latencies are kept; a percentile is one of those.

use super::super::java_number::decimal;
use super::super::throttle::as_f64;
use super::Pace;
use crate::terminal::Terminal;

/// Most latencies that are kept for percentiles.
const LATENCIES_MAX: u64 = 500_000;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// A record that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub latency_ms: i64,
    pub bytes: usize,
    pub at_ms: i64,
}

/// All records, and those of the steady state.
#[derive(Debug)]
pub(super) struct Run {
    all: Stats,
    steady: Option<Stats>,
    pace: Pace,
}

impl Run {
    pub(super) fn new(pace: Pace, now_ms: i64) -> Run {
        Run { all: Stats::new(Phase::Whole, pace.records, now_ms), steady: None, pace }
    }

    /// The first record behind the warmup was sent.
    pub(super) fn on_steady(&mut self, now_ms: i64) {
        let records = self.pace.records - self.pace.warmup;
        self.steady.get_or_insert_with(|| Stats::new(Phase::Steady, records, now_ms));
    }

    /// A record arrived; `is_steady` says whether it was sent behind the warmup.
    pub(super) fn on_arrived(&mut self, arrived: Arrived, is_steady: bool, terminal: &mut Terminal<'_>) {
        let interval = self.pace.reporting_interval_ms;
        let reports_all = self.steady.is_none();
        self.all.add(arrived);
        if arrived.at_ms - self.all.window.start_ms >= interval {
            if reports_all {
                self.all.window.print(arrived.at_ms, terminal);
            }
            self.all.window = Window::new(arrived.at_ms);
        }
        let Some(steady) = self.steady.as_mut().filter(|_| is_steady) else { return };
        steady.add(arrived);
        if arrived.at_ms - steady.window.start_ms >= interval {
            if steady.count == steady.window.count {
                terminal.out_line("In steady state.");
            }
            steady.window.print(arrived.at_ms, terminal);
            steady.window = Window::new(arrived.at_ms);
        }
    }

    pub(super) fn print_totals(&mut self, now_ms: i64, terminal: &mut Terminal<'_>) {
        self.all.print_total(now_ms, terminal);
        if let Some(steady) = &mut self.steady {
            steady.print_total(now_ms, terminal);
        }
    }
}

/// Which records are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Whole,
    Steady,
}

#[derive(Debug)]
struct Stats {
    phase: Phase,
    start_ms: i64,
    /// One of so many latencies is kept.
    sampling: u64,
    latencies: Vec<i64>,
    count: u64,
    bytes: u64,
    latency_ms: i64,
    latency_max_ms: i64,
    window: Window,
}

impl Stats {
    fn new(phase: Phase, records: u64, now_ms: i64) -> Stats {
        let sampling = records / records.clamp(1, LATENCIES_MAX);
        Stats {
            phase,
            start_ms: now_ms,
            sampling: sampling.max(1),
            latencies: Vec::new(),
            count: 0,
            bytes: 0,
            latency_ms: 0,
            latency_max_ms: 0,
            window: Window::new(now_ms),
        }
    }

    fn add(&mut self, arrived: Arrived) {
        let bytes = u64::try_from(arrived.bytes).unwrap_or(0);
        if self.count.is_multiple_of(self.sampling) {
            self.latencies.push(arrived.latency_ms);
        }
        self.count += 1;
        self.bytes += bytes;
        self.latency_ms += arrived.latency_ms;
        self.latency_max_ms = self.latency_max_ms.max(arrived.latency_ms);
        self.window.count += 1;
        self.window.bytes += bytes;
        self.window.latency_ms += arrived.latency_ms;
        self.window.latency_max_ms = self.window.latency_max_ms.max(arrived.latency_ms);
    }

    fn print_total(&mut self, now_ms: i64, terminal: &mut Terminal<'_>) {
        let elapsed = millis((now_ms - self.start_ms).max(1));
        self.latencies.sort_unstable();
        let at = |promille: u64| percentile(&self.latencies, promille);
        terminal.out_line(format_args!(
            "{}{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency, {} ms 50th, \
             {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.count,
            match self.phase {
                Phase::Whole => "",
                Phase::Steady => " steady state",
            },
            decimal(1000.0 * as_f64(self.count) / elapsed, 6),
            decimal(1000.0 * as_f64(self.bytes) / elapsed / MEBIBYTE, 2),
            decimal(millis(self.latency_ms) / as_f64(self.count), 2),
            decimal(millis(self.latency_max_ms), 2),
            at(500),
            at(950),
            at(990),
            at(999),
        ));
    }
}

/// The records since the last line.
#[derive(Debug)]
struct Window {
    start_ms: i64,
    count: u64,
    bytes: u64,
    latency_ms: i64,
    latency_max_ms: i64,
}

impl Window {
    fn new(start_ms: i64) -> Window {
        Window { start_ms, count: 0, bytes: 0, latency_ms: 0, latency_max_ms: 0 }
    }

    fn print(&self, now_ms: i64, terminal: &mut Terminal<'_>) {
        let elapsed = millis((now_ms - self.start_ms).max(1));
        terminal.out_line(format_args!(
            "{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency.",
            self.count,
            decimal(1000.0 * as_f64(self.count) / elapsed, 1),
            decimal(1000.0 * as_f64(self.bytes) / elapsed / MEBIBYTE, 2),
            decimal(millis(self.latency_ms) / as_f64(self.count), 1),
            decimal(millis(self.latency_max_ms), 1),
        ));
        terminal.flush();
    }
}

/// The latency below which so many of a thousand lie; 0 where nothing arrived.
fn percentile(sorted: &[i64], promille: u64) -> i64 {
    let count = u64::try_from(sorted.len()).unwrap_or(0);
    let index = usize::try_from(count * promille / 1000).unwrap_or(0);
    sorted.get(index).copied().unwrap_or(0)
}

/// Milliseconds to calculate with; a clock that was set back counts as one that stood still.
fn millis(millis: i64) -> f64 {
    as_f64(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { records: 4, warmup: 2, throughput: -1.0, reporting_interval_ms: 1_000 };

    fn lines(story: impl FnOnce(&mut Run, &mut Terminal<'_>), pace: Pace) -> Vec<String> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut terminal = Terminal::new(&mut out, &mut err);
        story(&mut Run::new(pace, 0), &mut terminal);
        drop(terminal);
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn totals_stand_beside_a_line_for_each_interval() {
        let told = lines(
            |run, terminal| {
                for (latency_ms, at_ms) in [(10, 500), (30, 1_000), (20, 1_500)] {
                    run.on_arrived(Arrived { latency_ms, bytes: 1024, at_ms }, false, terminal);
                }
                run.print_totals(2_000, terminal);
            },
            Pace { warmup: 0, ..PACE },
        );
        let expected = [
            "2 records sent, 2.0 records/sec (0.00 MB/sec), 20.0 ms avg latency, 30.0 ms max latency.",
            "3 records sent, 1.500000 records/sec (0.00 MB/sec), 20.00 ms avg latency, 30.00 ms max latency, \
             20 ms 50th, 30 ms 95th, 30 ms 99th, 30 ms 99.9th.",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn behind_the_warmup_only_the_steady_state_reports() {
        let told = lines(
            |run, terminal| {
                run.on_steady(100);
                run.on_arrived(Arrived { latency_ms: 9, bytes: 1, at_ms: 1_050 }, false, terminal);
                run.on_arrived(Arrived { latency_ms: 1, bytes: 1, at_ms: 1_100 }, true, terminal);
                run.on_arrived(Arrived { latency_ms: 1, bytes: 1, at_ms: 2_100 }, true, terminal);
                run.print_totals(2_100, terminal);
            },
            PACE,
        );
        assert_eq!(told[0], "In steady state.");
        assert!(told[1].starts_with("1 records sent, 1.0 records/sec"), "{told:?}");
        assert!(told[2].starts_with("1 records sent, 1.0 records/sec"), "{told:?}");
        assert!(told[3].starts_with("3 records sent, 1.428571 records/sec"), "{told:?}");
        assert!(told[4].starts_with("2 steady state records sent, 1.000000 records/sec"), "{told:?}");
        assert_eq!(told.len(), 5);
    }

    #[test]
    fn a_run_without_a_record_has_no_average() {
        let told = lines(|run, terminal| run.print_totals(1_000, terminal), PACE);
        let expected = "0 records sent, 0.000000 records/sec (0.00 MB/sec), NaN ms avg latency, 0.00 ms max latency, \
                        0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th.";
        assert_eq!(told, [expected]);
    }
}
