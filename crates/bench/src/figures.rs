//! What was measured, and what may be said of it.
//!
//! Owns: samples, medians, ratios of pairs with their interval. Does not own: how they are shown (`report`).
//!
//! A claim about two systems rests on pairs: both measured in the same round, one right behind the other. The interval of
//! the median ratio is a bootstrap's: the 2.5 and 97.5 percent quantiles of medians of samples drawn anew.

use crate::processor::{Usage, float};

/// A figure with its name, such as `MB/s`. The first of a sample is the one that systems are compared by.
pub type Figure = (&'static str, f64);

/// One run of one system.
#[derive(Clone, Debug)]
pub struct Sample {
    pub row: u32,
    pub case: String,
    pub system: &'static str,
    pub round: u32,
    pub figures: Vec<Figure>,
    pub load: Load,
}

/// What others did to the machine meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub foreign_percent: f64,
    pub steal_percent: f64,
}

impl Load {
    pub fn of(usage: &Usage) -> Load {
        Load { foreign_percent: usage.foreign_percent, steal_percent: usage.steal_percent }
    }
}

/// Least, median, most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

/// The median of ratios and its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub pairs: usize,
}

/// How often samples are drawn anew.
const RESAMPLES: usize = 2_000;

/// All samples of a run.
#[derive(Clone, Debug, Default)]
pub struct Results(pub Vec<Sample>);

impl Results {
    /// The cases of a row in the order of their first run.
    pub fn cases(&self, row: u32) -> Vec<&str> {
        let mut cases: Vec<&str> = Vec::new();
        for sample in self.0.iter().filter(|sample| sample.row == row) {
            if !cases.contains(&sample.case.as_str()) {
                cases.push(&sample.case);
            }
        }
        cases
    }

    /// The systems that were measured in a case, as often as there are kinds of them.
    pub fn systems(&self, row: u32, case: &str) -> Vec<&'static str> {
        ["yardstick", "ottla", "peer"]
            .into_iter()
            .filter(|it| self.samples(row, case, it).next().is_some())
            .collect()
    }

    pub fn samples(&self, row: u32, case: &str, system: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |it| it.row == row && it.case == case && it.system == system)
    }

    /// The names of the figures of a row, in order.
    pub fn names(&self, row: u32) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (name, _) in self.0.iter().filter(|sample| sample.row == row).flat_map(|sample| &sample.figures) {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    /// How a figure of a system spreads over the rounds.
    pub fn spread(&self, row: u32, case: &str, (system, figure): (&str, &str)) -> Option<Spread> {
        let mut values: Vec<f64> =
            self.samples(row, case, system).filter_map(|it| it.figure(figure)).collect();
        values.sort_by(f64::total_cmp);
        Some(Spread { least: *values.first()?, median: median(&values)?, most: *values.last()? })
    }

    /// A figure of `system` divided by that of the yardstick, pair by pair.
    pub fn of_yardstick(&self, row: u32, case: &str, what: (&str, &str)) -> Option<Ratio> {
        self.ratio((row, case), "yardstick", what)
    }

    /// A figure of the node divided by that of the peer, pair by pair.
    pub fn of_peer(&self, row: u32, case: &str, figure: &str) -> Option<Ratio> {
        self.ratio((row, case), "peer", ("ottla", figure))
    }

    fn ratio(&self, (row, case): (u32, &str), base: &str, (system, figure): (&str, &str)) -> Option<Ratio> {
        let pair = |sample: &Sample| {
            let base = self.samples(row, case, base).find(|it| it.round == sample.round)?;
            Some(sample.figure(figure)? / base.figure(figure)?)
        };
        Ratio::of(self.samples(row, case, system).filter_map(pair).collect())
    }
}

impl Sample {
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.0 == name).map(|figure| figure.1)
    }
}

impl Ratio {
    fn of(mut ratios: Vec<f64>) -> Option<Ratio> {
        ratios.sort_by(f64::total_cmp);
        let median_of_all = median(&ratios)?;
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| {
                let mut drawn: Vec<f64> = ratios.iter().map(|_| ratios[random.below(ratios.len())]).collect();
                drawn.sort_by(f64::total_cmp);
                median(&drawn)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        let at =
            |thousandth: usize| medians.get(RESAMPLES * thousandth / 1_000).copied().unwrap_or(median_of_all);
        Some(Ratio { median: median_of_all, low: at(25), high: at(974), pairs: ratios.len() })
    }
}

/// The middle of sorted values; of an even count, between the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]))
}

/// Xorshift: the same interval for the same samples.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or(0)
    }
}

/// Bytes as mebibytes.
pub fn mebibytes(bytes: u64) -> f64 {
    float(bytes) / 1024.0 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(system: &'static str, round: u32, value: f64) -> Sample {
        let load = Load::default();
        Sample { row: 1, case: "a".to_owned(), system, round, figures: vec![("MB/s", value)], load }
    }

    #[test]
    fn a_ratio_compares_runs_of_the_same_round() {
        let results = Results(vec![
            sample("yardstick", 0, 100.0),
            sample("ottla", 0, 80.0),
            sample("ottla", 1, 40.0),
            sample("yardstick", 1, 50.0),
            sample("ottla", 2, 1.0),
        ]);
        let ratio = results.of_yardstick(1, "a", ("ottla", "MB/s")).unwrap();
        assert_eq!(ratio, Ratio { median: 0.8, low: 0.8, high: 0.8, pairs: 2 });
        assert_eq!(
            results.spread(1, "a", ("ottla", "MB/s")).unwrap(),
            Spread { least: 1.0, median: 40.0, most: 80.0 }
        );
        assert!(results.of_yardstick(1, "a", ("peer", "MB/s")).is_none());
    }

    #[test]
    fn the_interval_of_a_ratio_holds_its_median_and_lies_within_the_pairs() {
        let ratio = Ratio::of(vec![0.5, 0.7, 0.72, 0.74, 0.9]).unwrap();
        assert_eq!(ratio.median, 0.72);
        assert!(
            0.5 <= ratio.low && ratio.low <= 0.72 && 0.72 <= ratio.high && ratio.high <= 0.9,
            "{ratio:?}"
        );
    }
}
