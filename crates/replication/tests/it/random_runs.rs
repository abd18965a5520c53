//! Random runs: appends, flushes, follower fetches, changes of leadership and of the in-sync set in any order.
//!
//! Owns: the chaos and the invariants. Does not own: the rules, which the stories tell one by one.
//!
//! Checked all along
//! - the high watermark never moves back, and nothing above it is called committed;
//! - what is committed was stored by everybody the controller calls in sync;
//! - every waiting request gets exactly one outcome, every waiting fetch exactly one wake.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ottla_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};
use ottla_replication::{
    Ack, AckDurability, AckOutcome, FetchWaiter, FollowerFetch, Limit, LogPositions, PartitionState,
    ProposalRefused, Replica, ReplicationConfig, RequestId, Standing,
};

const STEPS: usize = 2000;

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

struct Run {
    random: Random,
    replica: Replica,
    now: Instant,
    leader_epoch: i32,
    partition_epoch: i32,
    in_sync: BTreeSet<BrokerId>,
    /// What each broker has on disk; this one's entry is what it flushed.
    stored: BTreeMap<BrokerId, Offset>,
    high_watermark: Offset,
    acks: BTreeMap<RequestId, Offset>,
    fetches: BTreeSet<RequestId>,
    requests: u64,
    committed: usize,
}

fn broker(id: u64) -> BrokerId {
    BrokerId::new(i32::try_from(id).unwrap()).unwrap()
}

impl Run {
    fn new(seed: u64) -> Run {
        let config = ReplicationConfig {
            durability: AckDurability::Flushed,
            in_sync_min: 2,
            lag_max: Duration::from_secs(10),
        };
        let zero = Offset::ZERO;
        let positions = LogPositions {
            start: zero,
            end: zero,
            flushed_end: zero,
            high_watermark: zero,
            first_unstable: None,
        };
        let mut run = Run {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            replica: Replica::new(broker(1), config, positions),
            now: Instant::now(),
            leader_epoch: 0,
            partition_epoch: 0,
            in_sync: [1, 2, 3].map(broker).into(),
            stored: [1, 2, 3].map(|id| (broker(id), zero)).into(),
            high_watermark: zero,
            acks: BTreeMap::new(),
            fetches: BTreeSet::new(),
            requests: 0,
            committed: 0,
        };
        run.tell_state(true);
        run
    }

    fn tell_state(&mut self, leads: bool) {
        self.leader_epoch += 1;
        self.partition_epoch += 1;
        let state = PartitionState {
            leader: Some(broker(if leads { 1 } else { 2 })),
            leader_epoch: LeaderEpoch::new(self.leader_epoch).unwrap(),
            partition_epoch: PartitionEpoch::new(self.partition_epoch).unwrap(),
            replicas: [1, 2, 3].map(broker).into(),
            adding: Vec::new(),
            in_sync: self.in_sync.iter().copied().collect(),
        };
        self.replica.on_state(&state, self.now);
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn leads(&self) -> bool {
        matches!(self.replica.standing(), Standing::Leader { .. })
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=3 if self.leads() => self.append(),
            4..=5 => self.flush(),
            6..=11 if self.leads() => self.follower_fetch(),
            12 => self.wait(),
            13 => {
                self.now += Duration::from_millis(self.random.below(8000));
                self.replica.on_deadline(self.now);
            }
            14 if self.random.below(20) == 0 => self.tell_state(false),
            15 if !self.leads() => self.tell_state(true),
            16..=19 => self.answer_proposal(),
            _ => {}
        }
        self.check();
    }

    fn append(&mut self) {
        let count = u32::try_from(1 + self.random.below(5)).unwrap();
        let end = self.replica.log_end().plus(count);
        let admitted = self.replica.may_append_in_sync().is_ok();
        assert_eq!(admitted, self.in_sync.len() >= 2);
        if !admitted {
            return;
        }
        self.replica.on_appended(end, count * 10, self.now);
        let request = self.request();
        let deadline = self.now + Duration::from_secs(1 + self.random.below(20));
        let last_offset = end.previous().unwrap();
        match self.replica.acknowledge(Ack { request, last_offset, deadline }) {
            Some(outcome) => self.check_outcome(last_offset, outcome),
            None => drop(self.acks.insert(request, last_offset)),
        }
    }

    fn flush(&mut self) {
        let stored = self.stored[&broker(1)];
        let end = stored.plus(u32::try_from(self.random.below(12)).unwrap()).min(self.replica.log_end());
        self.stored.insert(broker(1), end);
        self.replica.on_flushed(end, self.now);
    }

    fn follower_fetch(&mut self) {
        let id = broker(2 + self.random.below(2));
        let stored = self.stored[&id];
        let fetched = stored.plus(u32::try_from(self.random.below(12)).unwrap()).min(self.replica.log_end());
        self.stored.insert(id, fetched);
        let fetch = FollowerFetch {
            broker: id,
            broker_epoch: BrokerEpoch::new(1),
            offset: fetched,
            log_start: Offset::ZERO,
            eligible: self.random.below(4) > 0,
        };
        self.replica.on_follower_fetch(fetch, self.now).unwrap();
    }

    fn wait(&mut self) {
        let request = self.request();
        let limit = if self.random.below(2) == 0 { Limit::HighWatermark } else { Limit::LogEnd };
        let deadline = self.now + Duration::from_secs(1 + self.random.below(20));
        let wanted_bytes = 1 + self.random.below(100);
        self.replica.wait_for_bytes(FetchWaiter { request, limit, wanted_bytes, deadline });
        self.fetches.insert(request);
    }

    /// The controller grants, refuses or is not reached. Nobody else changes the in-sync set here.
    fn answer_proposal(&mut self) {
        let Some(proposal) = self.replica.poll_proposal() else { return };
        let wanted: Vec<BrokerId> = proposal.members.iter().map(|member| member.broker).collect();
        assert!(wanted.contains(&broker(1)));
        match self.random.below(4) {
            0 => self.replica.on_proposal_refused(ProposalRefused::Rejected, self.now),
            1 => self.replica.on_proposal_refused(ProposalRefused::Unreached, self.now),
            _ => {
                self.in_sync = wanted.iter().copied().collect();
                self.partition_epoch += 1;
                let epoch = PartitionEpoch::new(self.partition_epoch).unwrap();
                self.replica.on_proposal_accepted(epoch, &wanted, self.now);
            }
        }
    }

    fn check_outcome(&mut self, last_offset: Offset, outcome: AckOutcome) {
        match outcome {
            AckOutcome::Committed => {
                self.committed += 1;
                assert!(last_offset < self.replica.high_watermark());
            }
            AckOutcome::TooFewInSync { .. } => assert!(last_offset < self.replica.high_watermark()),
            AckOutcome::TimedOut => {}
            AckOutcome::Lost(standing) => assert!(!matches!(standing, Standing::Leader { .. })),
        }
    }

    fn check(&mut self) {
        while let Some(acked) = self.replica.poll_acked() {
            let last_offset = self.acks.remove(&acked.request).expect("answered once");
            self.check_outcome(last_offset, acked.outcome);
        }
        while let Some(wake) = self.replica.poll_wake() {
            assert!(self.fetches.remove(&wake.request), "woken once");
        }
        let high_watermark = self.replica.high_watermark();
        assert!(self.high_watermark <= high_watermark);
        if high_watermark > self.high_watermark {
            assert!(self.in_sync.len() >= 2);
            assert!(self.in_sync.iter().all(|id| self.stored[id] >= high_watermark));
        }
        self.high_watermark = high_watermark;
        assert!(high_watermark <= self.replica.log_end());
        assert!(self.acks.values().all(|last_offset| *last_offset >= high_watermark));
        assert_eq!(self.replica.waiting(), (self.acks.len(), self.fetches.len()));
    }
}

/// REP-01…04, PRD-08, PRD-19, FET-14, TRAP-43
#[test]
fn nothing_is_called_committed_that_somebody_in_sync_has_not_stored() {
    let mut committed = 0;
    for seed in 1..=100 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        (0..STEPS).for_each(|_| run.step());
        committed += run.committed;
        run.now += Duration::from_secs(60);
        run.replica.on_deadline(run.now);
        run.check();
        assert!(run.acks.is_empty() && run.fetches.is_empty());
    }
    assert!(committed > 1000, "{committed}");
}
