//! The benchmarks, one file for each kind, numbered as in the performance specification.
//!
//! Owns: the order of systems within a case, what is tried again. Does not own: what a row does (its file), loads (`driver`).
//!
//! Every system is started on an empty directory for every run, and systems alternate: A B, B A, A B …

mod beside;
mod clients;
mod compressed;
mod fetch;
mod idle;
mod large;
mod latency;
mod many;
mod produce;

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::Fallible;
use crate::driver::board::{Measured, micros};
use crate::figures::{Figure, Load, Results, Sample};
use crate::plan::Plan;
use crate::processor::{float, memory_available};
use crate::system::{Kind, Start, System};

/// A run in progress.
pub struct Bench {
    pub plan: Plan,
    pub results: Results,
    /// Cases that could not be measured; the others still are.
    pub failures: Vec<String>,
}

/// One line of a row.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub row: u32,
    pub name: &'a str,
    pub start: Start,
    /// Whether the yardstick can do it: it has no metadata.
    pub with_yardstick: bool,
}

/// A run is tried again when strangers took more than this share of the machine.
const FOREIGN_PERCENT_MAX: f64 = 10.0;
/// Rows that fill the page cache.
const WRITES_MUCH: [u32; 8] = [1, 2, 3, 6, 7, 11, 13, 15];
/// As much as a run writes before its segments are cleaned up.
const TOUCHED_BYTES: u64 = 4 * 1024 * 1024 * 1024;
const TOUCHED_BYTES_QUICK: u64 = 3 * 512 * 1024 * 1024;
/// So often, unless the run is to be quick.
const TRIES: u32 = 3;

impl Bench {
    pub async fn run(&mut self) -> Fallible<()> {
        for row in self.plan.rows.clone() {
            let begin = Instant::now();
            match row {
                0 => clients::run(self).await?,
                1 => produce::run(self).await?,
                2 => fetch::alone(self).await?,
                3 => fetch::beside_producers(self).await?,
                4 => latency::run(self).await?,
                5 => many::producers(self).await?,
                6 => many::long_run(self).await?,
                7 => large::catch_up(self).await?,
                8 => idle::connections(self).await?,
                9 => idle::partitions(self).await?,
                10 => idle::nothing(self).await?,
                11 => large::recovery(self).await?,
                13 => compressed::run(self).await?,
                14 => many::flushed(self).await?,
                15 => beside::run(self).await?,
                _ => return Err(format!("there is no row {row}").into()),
            }
            eprintln!("row {row}: {:.0} s", begin.elapsed().as_secs_f64());
        }
        match self.failures.is_empty() {
            true => Ok(()),
            false => Err(format!("not measured:\n{}", self.failures.join("\n")).into()),
        }
    }

    /// Measures a case on every system in every round.
    pub async fn case(
        &mut self,
        case: Case<'_>,
        measure: impl AsyncFn(&mut System) -> Fallible<(Vec<Figure>, Load)>,
    ) -> Fallible<()> {
        if self.plan.cases.as_ref().is_some_and(|wanted| !case.name.contains(wanted)) {
            return Ok(());
        }
        let takes_part = |kind: &&Kind| case.with_yardstick || **kind != Kind::Yardstick;
        let systems: Vec<Kind> = self.plan.systems.iter().filter(takes_part).cloned().collect();
        for round in 0..self.plan.rounds {
            let mut order: Vec<&Kind> = systems.iter().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for kind in order {
                let (figures, load) = match self.quiet(case, kind, &measure).await {
                    Ok(measured) => measured,
                    Err(error) => {
                        let told = format!("{} {} ({}): {error}", case.row, case.name, kind.name());
                        eprintln!("  {told}");
                        self.failures.push(told);
                        continue;
                    }
                };
                let system = kind.name();
                let shown: Vec<String> =
                    figures.iter().map(|(name, value)| format!("{value:.2} {name}")).collect();
                eprintln!(
                    "  {} {} | {system}: {} | foreign {:.0} %",
                    case.row,
                    case.name,
                    shown.join(", "),
                    load.foreign_percent
                );
                let (row, case) = (case.row, case.name.to_owned());
                self.results.0.push(Sample { row, case, system, round, figures, load });
            }
        }
        Ok(())
    }

    /// Measures until strangers are quiet enough, a few times at most; the quietest run counts.
    async fn quiet(
        &self,
        case: Case<'_>,
        kind: &Kind,
        measure: &impl AsyncFn(&mut System) -> Fallible<(Vec<Figure>, Load)>,
    ) -> Fallible<(Vec<Figure>, Load)> {
        let tries = if self.plan.quick { 1 } else { TRIES };
        let mut best: Option<(Vec<Figure>, Load)> = None;
        for _ in 0..tries {
            if WRITES_MUCH.contains(&case.row) {
                touch_memory(if self.plan.quick { TOUCHED_BYTES_QUICK } else { TOUCHED_BYTES });
            }
            let mut system = System::start(&self.plan.stage, kind, case.start).await?;
            let got = measure(&mut system).await?;
            drop(system);
            let quieter = best.as_ref().is_none_or(|best| got.1.foreign_percent < best.1.foreign_percent);
            if quieter {
                best = Some(got);
            }
            if best.as_ref().is_some_and(|best| best.1.foreign_percent <= FOREIGN_PERCENT_MAX) {
                break;
            }
        }
        best.ok_or_else(|| "a case was not measured".into())
    }
}

/// Uses memory and gives it back: what a machine of the cloud has free it may have lent to others, and getting it back is
/// slow. A run would pay for that by chance.
fn touch_memory(wanted: u64) {
    let bytes = wanted.min(memory_available() / 3);
    drop(std::hint::black_box(vec![1_u8; usize::try_from(bytes).unwrap_or(0)]));
}

/// The figures of a load that goes as fast as it can.
fn throughput(measured: &Measured) -> Vec<Figure> {
    vec![
        ("MB/s", measured.megabytes_per_second()),
        ("records/s", measured.records_per_second()),
        ("requests/s", measured.requests_per_second()),
        ("broker s/GB", measured.seconds_per_gigabyte()),
        ("us/request", measured.micros_per_request()),
        ("switches/request", measured.usage.switches / float(measured.requests)),
        ("driver us/request", measured.usage.driver_seconds * 1e6 / float(measured.requests)),
        ("p50 us", micros(&measured.latencies, 0.5)),
        ("p99 us", micros(&measured.latencies, 0.99)),
    ]
}

/// What a request took and cost where the rate is not the point.
fn paced_figures(measured: &Measured) -> Vec<Figure> {
    let mut figures = quantiles(&measured.latencies);
    figures.extend([
        ("broker s/GB", measured.seconds_per_gigabyte()),
        ("us/request", measured.micros_per_request()),
        ("requests/s", measured.requests_per_second()),
    ]);
    figures
}

fn quantiles(latencies: &Histogram<u64>) -> Vec<Figure> {
    vec![
        ("p50 us", micros(latencies, 0.5)),
        ("p99 us", micros(latencies, 0.99)),
        ("p99.9 us", micros(latencies, 0.999)),
        ("max us", micros(latencies, 1.0)),
    ]
}
