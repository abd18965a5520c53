//! The live view as a machine: samples and keys in, rows out.
//!
//! Owns: rates, lag, order, which table is in front. Does not own: the clock, the cluster, the picture.
//!
//! Invariants
//! - I1 a rate is one of two samples with time between them, over partitions that are in both;
//! - I2 what went down (a topic made anew, records deleted) has no rate for that interval.

use std::collections::BTreeMap;

use ottla_model::{Offset, TopicPartition};

use super::sample::Sample;

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Quit,
    OtherTable,
    NextOrder,
    Hold,
    Up,
    Down,
}

/// A table that can be scrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    Topics,
    Groups,
}

/// What stands at the top of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The most written and the most read.
    Busiest,
    /// The most bytes and the largest lag.
    Largest,
    Name,
}

impl Order {
    pub fn name(self) -> &'static str {
        match self {
            Order::Busiest => "busiest",
            Order::Largest => "largest",
            Order::Name => "name",
        }
    }

    fn next(self) -> Order {
        match self {
            Order::Busiest => Order::Largest,
            Order::Largest => Order::Name,
            Order::Name => Order::Busiest,
        }
    }
}

/// A topic as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicRow {
    pub name: String,
    pub partitions: usize,
    pub records_per_second: Option<f64>,
    pub bytes_per_second: Option<f64>,
    pub bytes: Option<i64>,
}

/// A group as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRow {
    pub name: String,
    pub state: String,
    pub lag: Option<i64>,
    pub lag_per_second: Option<f64>,
    pub reads_per_second: Option<f64>,
}

/// The view.
#[derive(Debug)]
pub struct View {
    before: Option<Sample>,
    now: Option<Sample>,
    trouble: Option<String>,
    front: Front,
    order: Order,
    /// Rows that are scrolled out at the top of the table in front.
    scrolled: usize,
    holds: bool,
}

impl View {
    pub fn new() -> View {
        View {
            before: None,
            now: None,
            trouble: None,
            front: Front::Topics,
            order: Order::Busiest,
            scrolled: 0,
            holds: false,
        }
    }

    /// A look at the cluster.
    pub fn on_sample(&mut self, sample: Sample) {
        self.trouble = None;
        // Two looks at one moment have no rates (I1).
        let is_later = self.now.as_ref().is_none_or(|now| sample.at > now.at);
        if self.holds || !is_later {
            return;
        }
        self.before = self.now.replace(sample);
        self.scrolled = self.scrolled.min(self.rows().saturating_sub(1));
    }

    /// The cluster could not be looked at; what is shown is that of before.
    pub fn on_trouble(&mut self, text: &str) {
        self.trouble = Some(text.lines().map(str::trim).collect::<Vec<_>>().join("; "));
    }

    /// A key was pressed; answers whether that is the end.
    pub fn on_key(&mut self, key: Key) -> bool {
        match key {
            Key::Quit => return true,
            Key::OtherTable => {
                self.front = if self.front == Front::Topics { Front::Groups } else { Front::Topics };
                self.scrolled = 0;
            }
            Key::NextOrder => self.order = self.order.next(),
            Key::Hold => self.holds = !self.holds,
            Key::Up => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Down => self.scrolled = (self.scrolled + 1).min(self.rows().saturating_sub(1)),
        }
        false
    }

    /// Topics in order.
    pub fn topics(&self) -> Vec<TopicRow> {
        let Some(now) = &self.now else { return Vec::new() };
        let records = self.rates(|sample| &sample.ends, |end| end.value());
        let bytes = self.rates(|sample| &sample.sizes, |size| *size);
        let mut sizes: BTreeMap<&str, i64> = BTreeMap::new();
        for (partition, size) in &now.sizes {
            *sizes.entry(partition.topic.as_str()).or_default() += size;
        }
        let row = |(name, partitions): (&String, &usize)| TopicRow {
            name: name.clone(),
            partitions: *partitions,
            records_per_second: records.get(name.as_str()).copied().flatten(),
            bytes_per_second: bytes.get(name.as_str()).copied().flatten(),
            bytes: sizes.get(name.as_str()).copied(),
        };
        let mut rows: Vec<TopicRow> = now.topics.iter().map(row).collect();
        match self.order {
            Order::Busiest => rows.sort_by(|a, b| descending(a.records_per_second, b.records_per_second)),
            Order::Largest => rows.sort_by_key(|row| std::cmp::Reverse(row.bytes)),
            Order::Name => {}
        }
        rows
    }

    /// Groups in order.
    pub fn groups(&self) -> Vec<GroupRow> {
        let Some(now) = &self.now else { return Vec::new() };
        let row = |(name, group): (&String, &super::sample::GroupSample)| {
            let lag_of = |sample: &Sample| lag(sample, name);
            let before = self.before.as_ref().and_then(lag_of);
            let lag = lag_of(now);
            let seconds = self.seconds();
            let change =
                lag.zip(before).zip(seconds).map(|((now, before), seconds)| (now - before) as f64 / seconds);
            let reads = self.reads(name).map(|reads| reads as f64);
            GroupRow {
                name: name.clone(),
                state: group.state.clone(),
                lag,
                lag_per_second: change,
                reads_per_second: reads.zip(seconds).map(|(reads, seconds)| reads / seconds),
            }
        };
        let mut rows: Vec<GroupRow> = now.groups.iter().map(row).collect();
        match self.order {
            Order::Busiest => rows.sort_by(|a, b| descending(a.reads_per_second, b.reads_per_second)),
            Order::Largest => rows.sort_by_key(|row| std::cmp::Reverse(row.lag)),
            Order::Name => {}
        }
        rows
    }

    /// Records that a group has read between the two samples.
    fn reads(&self, name: &str) -> Option<i64> {
        let of = |sample: &'_ Option<Sample>| {
            sample.as_ref()?.groups.get(name).map(|group| group.committed.clone())
        };
        let (before, now) = (of(&self.before)?, of(&self.now)?);
        let by_topic = growth((&before, &now), |offset| offset.value());
        by_topic.into_values().reduce(|one, other| Some(one? + other?))?
    }

    /// Seconds between the two samples.
    pub fn seconds(&self) -> Option<f64> {
        let (before, now) = (self.before.as_ref()?, self.now.as_ref()?);
        Some(now.at.saturating_sub(before.at).as_secs_f64())
    }

    /// How fast a number of each topic's partitions grows.
    fn rates<'a, V: 'a>(
        &'a self,
        of: impl Fn(&Sample) -> &BTreeMap<TopicPartition, V>,
        number: impl Fn(&V) -> i64,
    ) -> BTreeMap<&'a str, Option<f64>> {
        let (Some(before), Some(now)) = (&self.before, &self.now) else { return BTreeMap::new() };
        let growth = growth((of(before), of(now)), number);
        let per_second = |growth: Option<i64>| Some(growth? as f64 / self.seconds()?);
        growth.into_iter().map(|(topic, growth)| (topic, per_second(growth))).collect()
    }

    fn rows(&self) -> usize {
        let Some(now) = &self.now else { return 0 };
        match self.front {
            Front::Topics => now.topics.len(),
            Front::Groups => now.groups.len(),
        }
    }

    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub fn front(&self) -> Front {
        self.front
    }

    pub fn order(&self) -> Order {
        self.order
    }

    pub fn scrolled(&self) -> usize {
        self.scrolled
    }

    pub fn holds(&self) -> bool {
        self.holds
    }

    /// Whether there are numbers to show.
    pub fn has_sample(&self) -> bool {
        self.now.is_some()
    }
}

/// Records that a group has not read, of partitions with an offset and an end.
fn lag(sample: &Sample, group: &str) -> Option<i64> {
    let committed = &sample.groups.get(group)?.committed;
    let behind = |(partition, offset): (&TopicPartition, &Offset)| {
        Some((sample.ends.get(partition)?.value() - offset.value()).max(0))
    };
    committed.iter().filter_map(behind).reduce(i64::saturating_add)
}

/// How much a number of each topic's partitions has grown, over partitions that are in both (I1); nothing where it went
/// down (I2).
fn growth<'a, V>(
    (before, now): (&BTreeMap<TopicPartition, V>, &'a BTreeMap<TopicPartition, V>),
    number: impl Fn(&V) -> i64,
) -> BTreeMap<&'a str, Option<i64>> {
    let mut sums: BTreeMap<&str, Option<i64>> = BTreeMap::new();
    for (partition, later) in now {
        let Some(earlier) = before.get(partition) else { continue };
        let grown = number(later).checked_sub(number(earlier)).filter(|grown| *grown >= 0);
        let sum = sums.entry(partition.topic.as_str()).or_insert(Some(0));
        *sum = sum.zip(grown).map(|(sum, grown)| sum.saturating_add(grown));
    }
    sums
}

/// Larger ones first, none last.
fn descending(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use ottla_model::{PartitionIndex, TopicName};

    use super::super::sample::GroupSample;
    use super::*;

    fn partition(name: &str) -> TopicPartition {
        let (topic, index) = name.rsplit_once('-').unwrap();
        let index = PartitionIndex::new(index.parse().unwrap()).unwrap();
        TopicPartition::new(TopicName::new(topic).unwrap(), index)
    }

    /// A sample of `partition=end` words, a size of ten bytes for each record, and one group.
    pub fn sample(at: u64, ends: &str, committed: &str) -> Sample {
        let read = |text: &str| -> Vec<(TopicPartition, i64)> {
            let pair = |word: &str| {
                let (name, number) = word.split_once('=').unwrap();
                (partition(name), number.parse().unwrap())
            };
            text.split_whitespace().map(pair).collect()
        };
        let offsets = |pairs: Vec<(TopicPartition, i64)>| {
            pairs.into_iter().map(|(it, number)| (it, Offset::new(number).unwrap())).collect()
        };
        let mut topics = BTreeMap::new();
        for (partition, _) in read(ends) {
            *topics.entry(partition.topic.to_string()).or_default() += 1;
        }
        let group = GroupSample { state: "Stable".to_owned(), committed: offsets(read(committed)) };
        Sample {
            at: Duration::from_secs(at),
            topics,
            sizes: read(ends).into_iter().map(|(it, number)| (it, number * 10)).collect(),
            ends: offsets(read(ends)),
            groups: [("g".to_owned(), group)].into(),
        }
    }

    pub fn view(samples: &[Sample]) -> View {
        let mut view = View::new();
        samples.iter().for_each(|sample| view.on_sample(sample.clone()));
        view
    }

    fn rates(view: &View) -> String {
        let number = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| rate.to_string());
        let row = |row: &TopicRow| {
            format!("{} {} {}", row.name, number(row.records_per_second), number(row.bytes_per_second))
        };
        view.topics().iter().map(row).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn rates_are_those_between_the_last_two_samples() {
        let samples = [sample(0, "a-0=0 a-1=5 b-0=7", ""), sample(2, "a-0=10 a-1=5 b-0=7", "")];
        assert_eq!(rates(&view(&samples[..1])), "a - - | b - -");
        assert_eq!(rates(&view(&samples)), "a 5 50 | b 0 0");
        // A second look at the same moment changes nothing.
        assert_eq!(rates(&view(&[&samples[..], &samples[1..]].concat())), "a 5 50 | b 0 0");
    }

    #[test]
    fn what_is_new_or_went_down_has_no_rate() {
        let samples = [sample(0, "a-0=9 b-0=1", ""), sample(1, "a-0=3 b-0=2 b-1=1000 c-0=5", "")];
        assert_eq!(rates(&view(&samples)), "b 1 10 | a - - | c - -");
    }

    #[test]
    fn lag_is_what_is_left_and_how_it_changes() {
        let view = view(&[sample(0, "a-0=10 b-0=5", "a-0=4"), sample(2, "a-0=20 b-0=5", "a-0=18 c-0=1")]);
        let group = GroupRow {
            name: "g".to_owned(),
            state: "Stable".to_owned(),
            lag: Some(2),
            lag_per_second: Some(-2.0),
            reads_per_second: Some(7.0),
        };
        assert_eq!(view.groups(), [group]);
    }

    #[test]
    fn keys_change_the_order_the_table_in_front_and_what_is_scrolled_out() {
        let mut view = view(&[sample(0, "a-0=90 b-0=1", ""), sample(1, "a-0=91 b-0=9", "")]);
        let names = |view: &View| view.topics().into_iter().map(|row| row.name).collect::<String>();
        assert_eq!(names(&view), "ba");
        assert!(!view.on_key(Key::NextOrder));
        assert_eq!((names(&view).as_str(), view.order()), ("ab", Order::Largest));
        (0..5).for_each(|_| assert!(!view.on_key(Key::Down)));
        assert_eq!(view.scrolled(), 1);
        view.on_key(Key::OtherTable);
        assert_eq!((view.front(), view.scrolled()), (Front::Groups, 0));
        assert!(view.on_key(Key::Quit));
    }

    #[test]
    fn a_view_that_holds_stays_and_trouble_is_over_with_the_next_sample() {
        let mut view = view(&[sample(0, "a-0=0", ""), sample(1, "a-0=5", "")]);
        view.on_key(Key::Hold);
        view.on_trouble("error: no\ndetail: node");
        assert_eq!(view.trouble(), Some("error: no; detail: node"));
        view.on_sample(sample(2, "a-0=99", ""));
        assert_eq!((rates(&view).as_str(), view.trouble()), ("a 5 50", None));
        view.on_key(Key::Hold);
        view.on_sample(sample(3, "a-0=11", ""));
        assert_eq!(rates(&view), "a 3 30");
    }
}
