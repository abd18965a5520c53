//! Numbers that the process keeps about itself.
//!
//! Owns: counters, gauges and histograms as plain atomics, and the registry that lists them.
//! Does not own: names Kafka's tools expect, formats, export (they read a snapshot).
//!
//! An instrument is fetched from the registry once and kept by whoever counts; counting never takes a lock.
//! Series of things that come and go (topics, connections) are removed with the thing.
//!
//! Invariants
//! - I1 one name and one set of labels is one instrument, whoever asks;
//! - I2 a name has one kind of instrument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn increment(&self) {
        self.add(1);
    }

    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds a number, which may be negative.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Buckets per power of two: a value is known to an eighth of itself.
const STEPS: usize = 8;

/// log2 of [`STEPS`].
const STEP_BITS: u32 = 3;

/// Values below `STEPS` have a bucket each; above, every power of two up to 2⁴⁰ (12 days in microseconds)
/// has [`STEPS`]; larger values fall into the last one.
const BUCKETS: usize = STEPS + 37 * STEPS;

/// How often which values occurred; the unit is part of the series' name.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub fn record(&self, value: u64) {
        self.buckets[bucket_of(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// A copy to calculate with. Values recorded meanwhile may be in one part of it and not in another.
    pub fn distribution(&self) -> Distribution {
        let buckets: Vec<u64> = self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Distribution {
            count: buckets.iter().sum(),
            sum: self.sum.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
            buckets,
        }
    }
}

fn bucket_of(value: u64) -> usize {
    let Some(exponent) = value.checked_ilog2().filter(|exponent| *exponent >= STEP_BITS) else {
        return usize::try_from(value).unwrap_or(0);
    };
    let step = (value >> (exponent - STEP_BITS)) & (STEPS as u64 - 1);
    let power = usize::try_from(exponent - STEP_BITS).unwrap_or(0);
    (STEPS + power * STEPS + usize::try_from(step).unwrap_or(0)).min(BUCKETS - 1)
}

/// The largest value that falls into a bucket; the last bucket has none.
fn upper_end(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (power, step) = ((bucket - STEPS) / STEPS, (bucket - STEPS) % STEPS);
    ((STEPS + step + 1) as u64) << power
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    pub count: u64,
    pub sum: u64,
    pub max: u64,
    buckets: Vec<u64>,
}

impl Distribution {
    /// A value that `per_mille` thousandths of the recorded ones do not exceed, at most an eighth too large;
    /// 0 when nothing was recorded.
    pub fn quantile(&self, per_mille: u32) -> u64 {
        let wanted = u128::from(self.count) * u128::from(per_mille.min(1_000));
        let mut seen = 0_u128;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += u128::from(*count) * 1_000;
            if seen >= wanted && seen > 0 {
                return if bucket == BUCKETS - 1 { self.max } else { upper_end(bucket).min(self.max) };
            }
        }
        0
    }
}

/// Labels of a series: fixed names, values of the moment.
pub type Labels = Vec<(&'static str, String)>;

/// One series at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub name: &'static str,
    pub labels: Labels,
    pub value: Value,
}

/// What a series shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Counter(u64),
    Gauge(i64),
    Histogram(Distribution),
}

#[derive(Clone, Debug)]
enum Instrument {
    Counter(Arc<Counter>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
}

/// All series of one node.
#[derive(Debug, Default)]
pub struct Registry {
    series: Mutex<BTreeMap<(&'static str, Labels), Instrument>>,
}

impl Registry {
    pub fn new() -> Registry {
        Registry::default()
    }

    /// The counter of a name and labels, made at the first call.
    pub fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Arc<Counter> {
        match self.instrument(name, labels, || Instrument::Counter(Arc::default())) {
            Instrument::Counter(counter) => counter,
            Instrument::Gauge(_) | Instrument::Histogram(_) => panic!("the metric {name} is no counter"),
        }
    }

    /// The gauge of a name and labels, made at the first call.
    pub fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Arc<Gauge> {
        match self.instrument(name, labels, || Instrument::Gauge(Arc::default())) {
            Instrument::Gauge(gauge) => gauge,
            Instrument::Counter(_) | Instrument::Histogram(_) => panic!("the metric {name} is no gauge"),
        }
    }

    /// The histogram of a name and labels, made at the first call.
    pub fn histogram(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Arc<Histogram> {
        match self.instrument(name, labels, || Instrument::Histogram(Arc::default())) {
            Instrument::Histogram(histogram) => histogram,
            Instrument::Counter(_) | Instrument::Gauge(_) => panic!("the metric {name} is no histogram"),
        }
    }

    /// Takes a series off the list; whoever holds its instrument counts on unseen.
    pub fn remove(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        self.series.lock().remove(&(name, owned(labels)));
    }

    /// Every series, sorted by name and labels.
    pub fn snapshot(&self) -> Vec<Sample> {
        let sample = |((name, labels), instrument): (&(&'static str, Labels), &Instrument)| Sample {
            name,
            labels: labels.clone(),
            value: match instrument {
                Instrument::Counter(counter) => Value::Counter(counter.value()),
                Instrument::Gauge(gauge) => Value::Gauge(gauge.value()),
                Instrument::Histogram(histogram) => Value::Histogram(histogram.distribution()),
            },
        };
        self.series.lock().iter().map(sample).collect()
    }

    fn instrument(
        &self,
        name: &'static str,
        labels: &[(&'static str, &str)],
        make: impl FnOnce() -> Instrument,
    ) -> Instrument {
        self.series.lock().entry((name, owned(labels))).or_insert_with(make).clone()
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    let mut labels: Labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    labels.sort();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_and_one_set_of_labels_is_one_instrument() {
        let registry = Registry::new();
        registry.counter("requests", &[("api", "Fetch"), ("listener", "A")]).add(2);
        registry.counter("requests", &[("listener", "A"), ("api", "Fetch")]).increment();
        registry.counter("requests", &[("api", "Produce"), ("listener", "A")]).increment();
        registry.gauge("connections", &[]).set(5);
        registry.gauge("connections", &[]).add(-7);
        let got: Vec<_> = registry.snapshot().into_iter().map(|sample| (sample.name, sample.value)).collect();
        assert_eq!(
            got,
            [
                ("connections", Value::Gauge(-2)),
                ("requests", Value::Counter(3)),
                ("requests", Value::Counter(1))
            ]
        );
    }

    #[test]
    fn a_removed_series_is_not_shown_and_begins_anew() {
        let registry = Registry::new();
        let old = registry.counter("bytes", &[("topic", "t")]);
        old.add(9);
        registry.remove("bytes", &[("topic", "t")]);
        assert_eq!(registry.snapshot(), []);
        assert_eq!(registry.counter("bytes", &[("topic", "t")]).value(), 0);
    }

    #[test]
    #[should_panic(expected = "the metric bytes is no gauge")]
    fn a_name_has_one_kind() {
        let registry = Registry::new();
        registry.counter("bytes", &[]);
        registry.gauge("bytes", &[]);
    }

    #[test]
    fn every_value_lies_in_its_bucket() {
        let mut last = 0;
        for value in (0..5_000).chain((13..63).map(|bits| (1 << bits) + 12_345 % (1 << bits))) {
            let bucket = bucket_of(value);
            assert!(bucket >= last, "{value}");
            last = bucket;
            if bucket < BUCKETS - 1 {
                let end = upper_end(bucket);
                assert!(value <= end && end - value <= value / 8 + 1, "{value} {end}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_at_most_an_eighth_too_large() {
        let histogram = Histogram::default();
        assert_eq!(histogram.distribution().quantile(500), 0);
        (1..=1_000).for_each(|value| histogram.record(value));
        let distribution = histogram.distribution();
        assert_eq!((distribution.count, distribution.sum, distribution.max), (1_000, 500_500, 1_000));
        assert!((500..=563).contains(&distribution.quantile(500)));
        assert!((990..=1_000).contains(&distribution.quantile(990)));
        assert_eq!(distribution.quantile(1_000), 1_000);
        histogram.record(u64::MAX / 2);
        assert_eq!(histogram.distribution().quantile(1_000), u64::MAX / 2);
    }
}
