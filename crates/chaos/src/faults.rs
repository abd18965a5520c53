//! The faults of a run: when each began and was over, and whether traffic flowed when it came.
//!
//! Owns: the list and what follows from it for acknowledgements. Does not own: the faults themselves (`cases`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::notes::Notes;

/// Traffic flows if the last acknowledgement is no older than this.
const FLOWING: Duration = Duration::from_millis(500);

/// One fault. Times are those of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: &'static str,
    pub began: u64,
    /// `None` while it lasts.
    pub over: Option<u64>,
    /// Whether it came while traffic flowed.
    pub hit: bool,
}

/// All faults of a run, in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Faults(pub Vec<Fault>);

/// What faults meant for those who wait for acknowledgements, in nanoseconds, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Of each fault, the longest time without any acknowledgement from its beginning to the first one behind its end.
    pub gaps: Vec<u64>,
    /// Of each fault, the time from its end to the first acknowledgement.
    pub recoveries: Vec<u64>,
}

impl Faults {
    pub fn begin(&mut self, kind: &'static str, notes: &Notes) {
        let began = notes.now();
        let flowing = u64::try_from(FLOWING.as_nanos()).unwrap_or(u64::MAX);
        let hit = notes.ack_times().last().is_some_and(|last| began.saturating_sub(*last) < flowing);
        self.0.push(Fault { kind, began, over: None, hit });
    }

    /// The last fault is over.
    pub fn end(&mut self, notes: &Notes) {
        if let Some(fault) = self.0.last_mut() {
            fault.over = fault.over.or_else(|| Some(notes.now()));
        }
    }

    /// How often each kind came.
    pub fn kinds(&self) -> String {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for fault in &self.0 {
            *kinds.entry(fault.kind).or_default() += 1;
        }
        kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
    }

    /// How long acknowledgements, whose times are sorted, were away. A fault that was followed by the next one before
    /// any acknowledgement tells nothing by itself.
    pub fn waits(&self, acks: &[u64]) -> Waits {
        let mut waits = Waits::default();
        for (at, fault) in self.0.iter().enumerate() {
            let Some(over) = fault.over else { continue };
            let next = self.0.get(at + 1).map_or(u64::MAX, |next| next.began);
            let Some(first) = acks.get(acks.partition_point(|ack| *ack < over)).filter(|ack| **ack <= next)
            else {
                continue;
            };
            waits.recoveries.push(first - over);
            let mut last = fault.began;
            let mut longest = 0;
            for ack in &acks[acks.partition_point(|ack| *ack < fault.began)..] {
                longest = longest.max(ack - last);
                last = *ack;
                if ack >= first {
                    break;
                }
            }
            waits.gaps.push(longest);
        }
        waits.gaps.sort_unstable();
        waits.recoveries.sort_unstable();
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(began: u64, over: u64) -> Fault {
        Fault { kind: "kill", began, over: Some(over), hit: true }
    }

    #[test]
    fn waits_run_from_a_fault_to_the_first_acknowledgement_behind_it() {
        let faults = Faults(vec![fault(10, 12), fault(30, 40)]);
        let waits = faults.waits(&[5, 9, 20, 25, 32, 47, 60]);
        assert_eq!(waits, Waits { gaps: vec![10, 15], recoveries: vec![7, 8] });
        assert_eq!(faults.kinds(), "kill 2");
    }

    #[test]
    fn a_fault_without_an_acknowledgement_before_the_next_one_tells_nothing() {
        let faults = Faults(vec![fault(10, 12), fault(15, 18)]);
        assert_eq!(faults.waits(&[5, 20]), Waits { gaps: vec![5], recoveries: vec![2] });
        assert_eq!(faults.waits(&[5]), Waits::default());
    }
}
