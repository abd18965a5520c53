//! What clients write down: one history for all, on one clock.
//!
//! Owns: the clock of a run, the events so far, waiting for progress, complaints. Does not own: what events mean.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ottla_env::sync::watch;
use ottla_env::time;
use ottla_testkit::history::Event;
use parking_lot::Mutex;

use crate::Fallible;

/// The history so far.
#[derive(Debug)]
pub struct Notes {
    begin: Instant,
    events: Mutex<Vec<Event>>,
    /// Times of acknowledgements, in order; the number of them is announced.
    ack_times: Mutex<Vec<u64>>,
    acks: watch::Sender<u64>,
    /// Offsets that readers have come to, by reader and partition.
    reached: watch::Sender<BTreeMap<(&'static str, i32), i64>>,
    complaints: Mutex<BTreeMap<String, u64>>,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes::new()
    }
}

impl Notes {
    pub fn new() -> Notes {
        Notes {
            begin: time::now(),
            events: Mutex::default(),
            ack_times: Mutex::default(),
            acks: watch::channel(0).0,
            reached: watch::channel(BTreeMap::new()).0,
            complaints: Mutex::default(),
        }
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(time::now().duration_since(self.begin).as_nanos()).unwrap_or(u64::MAX)
    }

    pub fn add(&self, event: Event) {
        if let Event::SendOk { at, .. } = &event {
            self.ack_times.lock().push(*at);
            self.acks.send_modify(|acks| *acks += 1);
        }
        self.events.lock().push(event);
    }

    /// All events so far.
    pub fn copy(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    /// All events; the history is empty afterwards.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock())
    }

    /// Something that a client was told and that breaks no rule by itself; how often is counted.
    pub fn complain(&self, text: String) {
        *self.complaints.lock().entry(text).or_default() += 1;
    }

    pub fn complaints(&self) -> BTreeMap<String, u64> {
        self.complaints.lock().clone()
    }

    pub fn acks(&self) -> u64 {
        *self.acks.borrow()
    }

    /// Times of acknowledgements in the order of time.
    pub fn ack_times(&self) -> Vec<u64> {
        let mut times = self.ack_times.lock().clone();
        times.sort_unstable();
        times
    }

    /// Waits for so many more acknowledgements.
    pub async fn more_acks(&self, count: u64) {
        let mut acks = self.acks.subscribe();
        let goal = *acks.borrow() + count;
        // The sender lives in `self`, so that waiting cannot fail.
        let _ = acks.wait_for(|acks| *acks >= goal).await;
    }

    /// A reader has come to `offset` of a partition, or was further already.
    pub fn reached(&self, reader: &'static str, partition: i32, offset: i64) {
        self.reached.send_modify(|reached| {
            let known = reached.entry((reader, partition)).or_insert(offset);
            *known = offset.max(*known);
        });
    }

    /// Waits until each of these readers has come to the end of each partition.
    pub async fn every_end(
        &self,
        readers: &[&'static str],
        ends: &BTreeMap<i32, i64>,
        patience: Duration,
    ) -> Fallible<()> {
        let mut reached = self.reached.subscribe();
        let there = |reached: &BTreeMap<(&'static str, i32), i64>| {
            let at = |reader, partition| reached.get(&(reader, partition)).copied().unwrap_or(0);
            readers.iter().all(|reader| ends.iter().all(|(partition, end)| at(*reader, *partition) >= *end))
        };
        match time::timeout(patience, reached.wait_for(there)).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let reached = self.reached.borrow();
                Err(format!("readers do not come to the ends {ends:?}: they are at {reached:?}").into())
            }
        }
    }
}
