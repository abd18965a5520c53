//! What a node shall reach, and whether it did.
//!
//! Owns: the goals of the performance specification, the comparison. Does not own: measuring.
//!
//! Source: performance specification, section 5.3 and section 0.

use crate::figures::Results;

/// A bound for a figure of the node.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Median of the pairs' ratios to the yardstick.
    OfYardstick(f64),
    /// Median above that of the yardstick.
    AboveYardstick(f64),
    /// Medians of the pairs' ratios to the peer.
    LeastOfPeer(f64),
    MostOfPeer(f64),
    Least(f64),
    Most(f64),
    /// Times the same figure in another case of the row.
    MostOfCase(&'static str, f64),
    LeastOfCase(&'static str, f64),
}

/// A goal for every case of a row whose name holds a word; a word that ends with `$` is the end of the name.
struct Goal {
    row: u32,
    word: &'static str,
    figure: &'static str,
    bound: Bound,
}

impl Goal {
    fn is_for(&self, case: &str) -> bool {
        match self.word.strip_suffix('$') {
            Some(end) => case.ends_with(end),
            None => case.contains(self.word),
        }
    }
}

const fn goal(row: u32, word: &'static str, figure: &'static str, bound: Bound) -> Goal {
    Goal { row, word, figure, bound }
}

const GOALS: &[Goal] = &[
    goal(1, "in 16 KiB", "MB/s", Bound::OfYardstick(0.70)),
    goal(1, "in 64 KiB", "MB/s", Bound::OfYardstick(0.80)),
    goal(1, "in 1 MiB", "MB/s", Bound::OfYardstick(0.80)),
    goal(1, "in 16 KiB, 1 conn.", "us/request", Bound::AboveYardstick(2.0)),
    goal(2, "KiB", "MB/s", Bound::OfYardstick(0.85)),
    goal(2, "MiB", "MB/s", Bound::OfYardstick(0.85)),
    goal(4, "1000/s, acks=1$", "p50 us", Bound::Most(100.0)),
    goal(4, "1000/s, acks=1$", "p99 us", Bound::Most(250.0)),
    goal(4, "1000/s, flushed", "p50 us", Bound::Most(350.0)),
    goal(5, "1000 producers, 4000", "p99 us", Bound::MostOfCase("4 producers, 4000 requests/s", 3.0)),
    goal(7, "", "p99 to that alone", Bound::Most(2.0)),
    goal(7, "", "MB/s of the catch-up", Bound::Least(720.0)),
    goal(8, "5000 connections", "KiB each", Bound::Most(4.0)),
    goal(8, "1000 connections", "KiB each", Bound::Most(4.0)),
    goal(9, "10000 partitions", "KiB each", Bound::Most(1.0)),
    goal(9, "10000 partitions", "start again ms", Bound::Most(300.0)),
    goal(10, "", "start again ms", Bound::Most(30.0)),
    goal(10, "", "first start ms", Bound::Most(60.0)),
    goal(10, "", "resident MiB", Bound::Most(15.0)),
    goal(11, "", "ms to first fetch", Bound::Most(500.0)),
    goal(11, "", "acked records lost", Bound::Most(0.0)),
    goal(14, "1 partitions", "requests/s", Bound::Least(5_000.0)),
    goal(14, "1 partitions", "p99 us", Bound::Most(1_000.0)),
    goal(15, "produce 100 B", "broker s/GB", Bound::MostOfPeer(1.0 / 10.0)),
    goal(15, "produce 1 KiB$", "broker s/GB", Bound::MostOfPeer(1.0 / 7.0)),
    goal(15, "lz4", "broker s/GB", Bound::MostOfPeer(1.0 / 5.0)),
    goal(15, "flushed", "broker s/GB", Bound::MostOfPeer(1.0 / 8.0)),
    goal(15, "consume 100 B", "broker s/GB", Bound::MostOfPeer(1.0 / 8.0)),
    goal(15, "consume 1 KiB", "broker s/GB", Bound::MostOfPeer(1.0 / 6.0)),
    goal(15, "", "records/s", Bound::LeastOfPeer(1.0)),
    goal(15, "", "resident MiB after", Bound::Most(150.0)),
    goal(15, "end to end", "average ms", Bound::Most(1.0)),
    goal(15, "end to end", "p99 ms", Bound::Most(3.0)),
    goal(15, "end to end", "p99.9 ms", Bound::Most(10.0)),
    goal(14, "1000 partitions", "requests/s", Bound::LeastOfCase("1 partitions, 1 conn.", 0.5)),
];

/// A goal beside what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub row: u32,
    pub case: String,
    pub figure: &'static str,
    pub wanted: String,
    pub measured: f64,
    pub reached: bool,
}

/// Every goal that the results say something about.
pub fn judge(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for goal in GOALS {
        for case in results.cases(goal.row).into_iter().filter(|case| goal.is_for(case)) {
            verdicts.extend(verdict(results, goal, case));
        }
    }
    verdicts
}

fn verdict(results: &Results, goal: &Goal, case: &str) -> Option<Verdict> {
    let Goal { row, figure, .. } = *goal;
    let median = |case: &str, system| Some(results.spread(row, case, (system, figure))?.median);
    let own = median(case, "ottla");
    let (measured, wanted, reached) = match goal.bound {
        Bound::OfYardstick(least) => {
            let ratio = results.of_yardstick(row, case, ("ottla", figure))?.median;
            (ratio, format!("at least {least} of the yardstick's"), ratio >= least)
        }
        Bound::AboveYardstick(most) => {
            let above = own? - median(case, "yardstick")?;
            (above, format!("at most {most} above the yardstick's"), above <= most)
        }
        Bound::LeastOfPeer(least) => {
            let ratio = results.of_peer(row, case, figure)?.median;
            (ratio, format!("at least {least} of the peer's"), ratio >= least)
        }
        Bound::MostOfPeer(most) => {
            let ratio = results.of_peer(row, case, figure)?.median;
            (ratio, format!("at most {most:.3} of the peer's"), ratio <= most)
        }
        Bound::Least(least) => (own?, format!("at least {least}"), own? >= least),
        Bound::Most(most) => (own?, format!("at most {most}"), own? <= most),
        Bound::MostOfCase(other, most) => {
            let times = own? / median(other, "ottla")?;
            (times, format!("at most {most} times that of '{other}'"), times <= most)
        }
        Bound::LeastOfCase(other, least) => {
            let times = own? / median(other, "ottla")?;
            (times, format!("at least {least} times that of '{other}'"), times >= least)
        }
    };
    Some(Verdict { row, case: case.to_owned(), figure, wanted, measured, reached })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Load, Sample};

    fn sample(row: u32, case: &str, (system, figure, value): (&'static str, &'static str, f64)) -> Sample {
        let (case, figures) = (case.to_owned(), vec![(figure, value)]);
        Sample { row, case, system, round: 0, figures, load: Load::default() }
    }

    fn reached(samples: Vec<Sample>) -> Vec<bool> {
        judge(&Results(samples)).into_iter().map(|verdict| verdict.reached).collect()
    }

    #[test]
    fn throughput_is_judged_by_the_yardstick_and_nothing_without_it() {
        let name = "1 KiB in 64 KiB, 1 conn.";
        let pair = |value| {
            vec![sample(1, name, ("yardstick", "MB/s", 100.0)), sample(1, name, ("ottla", "MB/s", value))]
        };
        assert_eq!(reached(pair(80.0)), [true]);
        assert_eq!(reached(pair(79.0)), [false]);
        assert!(reached(vec![sample(1, name, ("ottla", "MB/s", 79.0))]).is_empty());
    }

    #[test]
    fn a_word_at_the_end_of_a_name_is_not_one_within_it() {
        let goal = goal(4, "1000/s, acks=1$", "p50 us", Bound::Most(100.0));
        assert!(goal.is_for("1000/s, acks=1") && !goal.is_for("1000/s, acks=1, at half load"));
    }

    #[test]
    fn many_producers_are_judged_by_few() {
        let few = |value| sample(5, "4 producers, 4000 requests/s", ("ottla", "p99 us", value));
        let many = |value| sample(5, "1000 producers, 4000 requests/s", ("ottla", "p99 us", value));
        assert_eq!(reached(vec![few(100.0), many(300.0)]), [true]);
        assert_eq!(reached(vec![few(100.0), many(301.0)]), [false]);
    }
}
