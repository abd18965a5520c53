//! What clients write down: one history for all, on one clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ottla_env::sync::watch;
use ottla_env::time;
use ottla_testkit::history::Event;
use parking_lot::Mutex;

/// The history so far.
pub struct Notes {
    begin: Instant,
    events: Mutex<Vec<Event>>,
    acks: watch::Sender<u64>,
    /// Offsets that the follower and the group have come to, by reader and partition.
    reached: watch::Sender<BTreeMap<(&'static str, i32), i64>>,
}

impl Notes {
    pub fn new() -> Notes {
        Notes {
            begin: time::now(),
            events: Mutex::new(Vec::new()),
            acks: watch::channel(0).0,
            reached: watch::channel(BTreeMap::new()).0,
        }
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(time::now().duration_since(self.begin).as_nanos()).unwrap()
    }

    pub fn add(&self, event: Event) {
        if matches!(event, Event::SendOk { .. }) {
            self.acks.send_modify(|acks| *acks += 1);
        }
        self.events.lock().push(event);
    }

    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock())
    }

    /// Waits for so many more acknowledgements.
    pub async fn more_acks(&self, count: u64) {
        let mut acks = self.acks.subscribe();
        let goal = *acks.borrow() + count;
        acks.wait_for(|acks| *acks >= goal).await.unwrap();
    }

    /// A reader will go on at `offset` of a partition.
    pub fn reached(&self, reader: &'static str, partition: i32, offset: i64) {
        self.reached.send_modify(|reached| _ = reached.insert((reader, partition), offset));
    }

    /// Waits until each reader has come to the end of each partition.
    pub async fn every_end(&self, ends: &BTreeMap<i32, i64>, patience: Duration) {
        let mut reached = self.reached.subscribe();
        let there = |reached: &BTreeMap<(&'static str, i32), i64>| {
            ["follower", "group"].iter().all(|reader| {
                ends.iter().all(|(partition, end)| reached.get(&(*reader, *partition)) == Some(end))
            })
        };
        let waited = time::timeout(patience, reached.wait_for(there)).await;
        assert!(waited.is_ok(), "ends {ends:?}, reached {:?}", *self.reached.borrow());
    }
}
