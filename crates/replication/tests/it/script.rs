//! The language of the stories: what happened, one step after another, and what the replica said to it.
//!
//! Owns: parsing of steps, printing of outcomes. Does not own: any expectation.
//!
//! Steps are divided by `|`. Times are milliseconds after the start, records have ten bytes, followers are eligible
//! unless `unfit` is said. A log begins empty, or with `log START END HW`.

use std::time::{Duration, Instant};

use ottla_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};
use ottla_replication::{
    Ack, AckDurability, FetchWaiter, FollowerFetch, Limit, LogPositions, PartitionState, ProposalRefused,
    ReadAttempt, Reader, Replica, ReplicationConfig, RequestId,
};

pub struct Story {
    replica: Replica,
    config: ReplicationConfig,
    start: Instant,
    now: Instant,
    partition_epoch: i32,
    begun: bool,
    said: Vec<String>,
}

/// Plays `steps` on a replica that answers from the page cache and compares what it said.
#[track_caller]
pub fn check(steps: &str, expected: &str) {
    check_with(AckDurability::PageCache, steps, expected);
}

/// Plays `steps` on a replica that counts flushed bytes only.
#[track_caller]
pub fn check_flushed(steps: &str, expected: &str) {
    check_with(AckDurability::Flushed, steps, expected);
}

#[track_caller]
fn check_with(durability: AckDurability, steps: &str, expected: &str) {
    let mut story = Story::new(durability);
    for step in steps.split('|') {
        let words: Vec<&str> = step.split_whitespace().collect();
        story.play(&words);
        story.drain();
    }
    assert_eq!(story.said.join(", "), expected, "after: {steps}");
}

pub fn offset(text: &str) -> Offset {
    Offset::new(text.parse().unwrap()).unwrap()
}

fn broker(text: &str) -> BrokerId {
    BrokerId::new(text.parse().unwrap()).unwrap()
}

fn brokers(text: &str) -> Vec<BrokerId> {
    text.split(',').map(broker).collect()
}

fn epoch(text: &str) -> LeaderEpoch {
    LeaderEpoch::new(text.parse().unwrap()).unwrap()
}

fn request(text: &str) -> RequestId {
    RequestId(text.trim_start_matches('r').parse().unwrap())
}

fn opened(config: ReplicationConfig, at: [Offset; 3]) -> Replica {
    let [start, end, high_watermark] = at;
    let positions = LogPositions { start, end, flushed_end: end, high_watermark, first_unstable: None };
    Replica::new(broker("1"), config, positions)
}

impl Story {
    fn new(durability: AckDurability) -> Story {
        let config = ReplicationConfig { durability, in_sync_min: 1, lag_max: Duration::from_secs(30) };
        let start = Instant::now();
        let replica = opened(config, [Offset::ZERO; 3]);
        Story { replica, config, start, now: start, partition_epoch: 0, begun: false, said: Vec::new() }
    }

    fn say(&mut self, what: String) {
        self.said.push(what);
    }

    fn time(&self, text: &str) -> Instant {
        self.start + Duration::from_millis(text.trim_start_matches('@').parse().unwrap())
    }

    fn play(&mut self, words: &[&str]) {
        match words {
            ["log", start, end, hw] => {
                self.replica = opened(self.config, [offset(start), offset(end), offset(hw)])
            }
            ["min", count] => {
                self.config.in_sync_min = count.parse().unwrap();
                self.replica.on_config(self.config, self.now);
            }
            ["lead", epoch, "isr", in_sync, "of", replicas] => {
                self.state(Some("1"), epoch, (in_sync, replicas))
            }
            ["follow", "nobody", epoch] => self.state(None, epoch, ("1", "1")),
            ["follow", leader, epoch] => self.state(Some(leader), epoch, ("1,2", "1,2")),
            ["stale"] => {
                self.partition_epoch -= 2;
                self.state(Some("2"), "9", ("2", "1,2"));
            }
            ["offline"] => self.replica.on_offline(),
            ["removed"] => self.replica.on_removed(),
            ["append", count] => {
                let count: u32 = count.parse().unwrap();
                self.replica.on_appended(self.replica.log_end().plus(count), 10 * count, self.now);
            }
            ["flush", end] => self.replica.on_flushed(offset(end), self.now),
            ["start", at] => self.replica.on_log_start(offset(at), self.now),
            ["cut", at] => self.replica.on_truncated(offset(at)),
            ["unstable", "none"] => self.replica.on_first_unstable(None, self.now),
            ["unstable", at] => self.replica.on_first_unstable(Some(offset(at)), self.now),
            ["watermark", at] => self.replica.on_leader_high_watermark(offset(at), self.now),
            ["at", time] => {
                self.now = self.time(time);
                self.replica.on_deadline(self.now);
            }
            ["forget", id] => self.replica.forget(request(id)),
            words => self.ask(words),
        }
    }

    fn ask(&mut self, words: &[&str]) {
        match words {
            ["ack", id, last, deadline] => {
                let ack =
                    Ack { request: request(id), last_offset: offset(last), deadline: self.time(deadline) };
                if let Some(outcome) = self.replica.acknowledge(ack) {
                    self.say(format!("{id} at once {outcome:?}"));
                }
            }
            ["wait", id, limit, bytes, deadline] => self.replica.wait_for_bytes(FetchWaiter {
                request: request(id),
                limit: match *limit {
                    "hw" => Limit::HighWatermark,
                    "lso" => Limit::LastStable,
                    "end" => Limit::LogEnd,
                    other => panic!("no limit {other}"),
                },
                wanted_bytes: bytes.parse().unwrap(),
                deadline: self.time(deadline),
            }),
            ["from", id, at] => self.fetched(id, at, true),
            ["unfit", id, at] => self.fetched(id, at, false),
            ["accepted", in_sync] => {
                self.partition_epoch += 1;
                let epoch = PartitionEpoch::new(self.partition_epoch).unwrap();
                self.replica.on_proposal_accepted(epoch, &brokers(in_sync), self.now);
            }
            ["refused", why] => {
                let refused = match *why {
                    "rejected" => ProposalRefused::Rejected,
                    "superseded" => ProposalRefused::Superseded,
                    "unreached" => ProposalRefused::Unreached,
                    other => panic!("no reason {other}"),
                };
                self.replica.on_proposal_refused(refused, self.now);
            }
            ["produce"] => self.say(format!("{:?}", self.replica.may_append())),
            ["produce", "all"] => self.say(format!("{:?}", self.replica.may_append_in_sync())),
            ["hw"] => self.say(format!("hw {}", self.replica.high_watermark())),
            ["lso"] => self.say(format!("lso {}", self.replica.last_stable())),
            ["low"] => self.say(format!("low {:?}", self.replica.low_watermark())),
            ["known"] => self.say(format!("{:?}", self.replica.positions_are_known())),
            ["waiting"] => self.say(format!("{:?}", self.replica.waiting())),
            ["deadline"] => {
                let after = self.replica.deadline().map(|at| at.duration_since(self.start).as_millis());
                self.say(format!("{after:?}"));
            }
            ["read", who, at, rest @ ..] => self.read(who, at, rest),
            other => panic!("no step {other:?}"),
        }
    }

    fn read(&mut self, who: &str, at: &str, rest: &[&str]) {
        let attempt = ReadAttempt {
            reader: match who {
                "plain" => Reader::Uncommitted,
                "committed" => Reader::Committed,
                other => Reader::Follower(broker(other)),
            },
            offset: offset(at),
            leader_epoch: rest.first().filter(|word| **word != "any").map(|word| epoch(word)),
            from_any_replica: rest.contains(&"any"),
        };
        let said = match self.replica.readable(&attempt) {
            Ok(range) => format!("{}..{}", range.log_start, range.up_to),
            Err(refused) => refused.to_string(),
        };
        self.say(said);
    }

    fn fetched(&mut self, id: &str, at: &str, eligible: bool) {
        let fetch = FollowerFetch {
            broker: broker(id),
            broker_epoch: BrokerEpoch::new(7),
            offset: offset(at),
            log_start: Offset::ZERO,
            eligible,
        };
        if let Err(refused) = self.replica.on_follower_fetch(fetch, self.now) {
            self.say(refused.to_string());
        }
    }

    fn state(&mut self, leader: Option<&str>, leader_epoch: &str, members: (&str, &str)) {
        self.partition_epoch += 1;
        let state = PartitionState {
            leader: leader.map(broker),
            leader_epoch: epoch(leader_epoch),
            partition_epoch: PartitionEpoch::new(self.partition_epoch).unwrap(),
            replicas: brokers(members.1),
            adding: Vec::new(),
            in_sync: brokers(members.0),
        };
        let change = self.replica.on_state(&state, self.now);
        // How a story begins is not part of its outcome.
        if std::mem::replace(&mut self.begun, true) {
            self.say(format!("{change:?}"));
        }
    }

    fn drain(&mut self) {
        while let Some(acked) = self.replica.poll_acked() {
            self.say(format!("r{} {:?}", acked.request.0, acked.outcome));
        }
        while let Some(wake) = self.replica.poll_wake() {
            self.say(format!("r{} wakes {:?}", wake.request.0, wake.cause));
        }
        while let Some(proposal) = self.replica.poll_proposal() {
            let members: Vec<String> =
                proposal.members.iter().map(|member| member.broker.to_string()).collect();
            self.say(format!("propose {}", members.join("+")));
        }
    }
}
