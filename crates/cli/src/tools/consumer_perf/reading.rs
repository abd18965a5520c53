//! The loop over records, and what is measured in it.
//!
//! Owns: counts, times of rebalances, lines of progress, the timeout.
//! Does not own: the consumer (`ottla_client`), the summary (`consumer_perf`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ottla_client::Consumer;
use ottla_client::consumer::{ConsumerHandle, RebalanceListener, Step};
use ottla_env::time;
use ottla_model::{Timestamp, TopicPartition};

use super::super::clients;
use super::super::failure::Failure;
use super::super::java_date::DateFormat;
use super::super::java_number::decimal;
use super::super::throttle::as_f64;
use crate::terminal::Terminal;

/// How long one poll waits.
const POLL: time::Duration = time::Duration::from_millis(100);

/// When reading ends, and how it is shown.
pub(super) struct Limits {
    pub records: i64,
    pub interval_ms: i64,
    pub timeout_ms: i64,
    pub dates: DateFormat,
    /// Whether there are lines of progress.
    pub detailed: bool,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub records: u64,
    /// Of keys and values.
    pub bytes: u64,
}

/// Time that was spent on joining the group.
#[derive(Clone, Debug, Default)]
pub(super) struct Joins {
    total_ms: Arc<AtomicI64>,
}

impl Joins {
    pub(super) fn total_ms(&self) -> i64 {
        self.total_ms.load(Ordering::Relaxed)
    }
}

struct Listener {
    joins: Joins,
    start_ms: i64,
}

impl RebalanceListener for Listener {
    fn on_revoked<'a>(&'a mut self, _: &'a ConsumerHandle, _: &'a [TopicPartition]) -> Step<'a> {
        self.start_ms = time::wall_now().millis();
        Box::pin(std::future::ready(()))
    }

    fn on_assigned<'a>(&'a mut self, _: &'a ConsumerHandle, _: &'a [TopicPartition]) -> Step<'a> {
        let elapsed = time::wall_now().millis() - self.start_ms;
        self.joins.total_ms.fetch_add(elapsed, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

/// Measures the rebalances of a consumer from now on.
pub(super) fn listen(consumer: &mut Consumer, start_ms: i64) -> Joins {
    let joins = Joins::default();
    consumer.set_rebalance_listener(Listener { joins: joins.clone(), start_ms });
    joins
}

/// Reads until there are enough records or none come any more.
pub(super) async fn read(
    consumer: &mut Consumer,
    limits: &Limits,
    (joins, terminal): (&Joins, &mut Terminal<'_>),
) -> Result<Measured, Failure> {
    let mut now_ms = time::wall_now().millis();
    let mut consumed_ms = now_ms;
    let mut progress =
        Progress { measured: Measured::default(), since: Measured::default(), at_ms: now_ms, first: true };
    while !has_enough(progress.measured, limits.records) && now_ms - consumed_ms <= limits.timeout_ms {
        let records = consumer.poll(POLL).await.map_err(|error| clients::poll_failure(&error))?;
        now_ms = time::wall_now().millis();
        if !records.is_empty() {
            consumed_ms = now_ms;
        }
        for record in &records {
            let bytes = record.key.as_ref().map_or(0, bytes::Bytes::len)
                + record.value.as_ref().map_or(0, bytes::Bytes::len);
            progress.measured.records += 1;
            progress.measured.bytes += u64::try_from(bytes).unwrap_or(0);
            if now_ms - progress.at_ms >= limits.interval_ms {
                if limits.detailed {
                    progress.print(now_ms, (limits, joins), terminal);
                }
                progress.begin_again(now_ms);
            }
        }
    }
    if !has_enough(progress.measured, limits.records) {
        terminal.out_line(format_args!(
            "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use \
             the --timeout option to increase the timeout.",
            limits.timeout_ms
        ));
    }
    Ok(progress.measured)
}

fn has_enough(measured: Measured, records: i64) -> bool {
    i64::try_from(measured.records).is_ok_and(|read| read >= records)
}

/// What was read, and what of it was told already.
struct Progress {
    measured: Measured,
    since: Measured,
    at_ms: i64,
    /// No line was due so far; Kafka's tool tells of rebalances in its first line only.
    first: bool,
}

impl Progress {
    fn print(&self, now_ms: i64, (limits, joins): (&Limits, &Joins), terminal: &mut Terminal<'_>) {
        let rebalance_ms = if self.first { joins.total_ms() } else { 0 };
        let fetch_ms = now_ms - self.at_ms - rebalance_ms;
        let elapsed = seconds(now_ms - self.at_ms);
        let mebibytes_since = mebibytes(self.measured.bytes - self.since.bytes);
        let records_since = as_f64(self.measured.records - self.since.records);
        let by_fetch = |amount: f64| if fetch_ms <= 0 { 0.0 } else { amount / seconds(fetch_ms) };
        terminal.out_line(format_args!(
            "{}, 0, {}, {}, {}, {}, {rebalance_ms}, {fetch_ms}, {}, {}",
            limits.dates.format(Timestamp::from_millis(now_ms)),
            decimal(mebibytes(self.measured.bytes), 4),
            decimal(mebibytes_since / elapsed, 4),
            self.measured.records,
            decimal(records_since / elapsed, 4),
            decimal(by_fetch(mebibytes_since), 4),
            decimal(by_fetch(records_since), 4),
        ));
        terminal.flush();
    }

    fn begin_again(&mut self, now_ms: i64) {
        self.since = self.measured;
        self.at_ms = now_ms;
        self.first = false;
    }
}

/// A span in seconds, also a negative one. Less than a millisecond counts as one, so that rates are numbers.
pub(super) fn seconds(millis: i64) -> f64 {
    let size = as_f64(millis.unsigned_abs().max(1)) / 1000.0;
    if millis < 0 { -size } else { size }
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    as_f64(bytes) / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_tells_what_came_since_the_last_one() {
        let limits = Limits {
            records: 10,
            interval_ms: 1_000,
            timeout_ms: 1_000,
            dates: DateFormat::new("ss").unwrap(),
            detailed: true,
        };
        let joins = Joins::default();
        joins.total_ms.store(500, Ordering::Relaxed);
        let mib = 1024 * 1024;
        let mut progress = Progress {
            measured: Measured { records: 4, bytes: 2 * mib },
            since: Measured::default(),
            at_ms: 0,
            first: true,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut terminal = Terminal::new(&mut out, &mut err);
        progress.print(1_000, (&limits, &joins), &mut terminal);
        progress.begin_again(1_000);
        progress.measured = Measured { records: 5, bytes: 3 * mib };
        progress.print(3_000, (&limits, &joins), &mut terminal);
        drop(terminal);
        let expected = "01, 0, 2.0000, 2.0000, 4, 4.0000, 500, 500, 4.0000, 8.0000\n\
                        03, 0, 3.0000, 0.5000, 5, 0.5000, 0, 2000, 0.5000, 0.5000\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
