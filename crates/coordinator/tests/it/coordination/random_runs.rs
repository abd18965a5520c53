//! Random runs: producers, old and new, that write, end, die, come back and are taken over, while the coordinator's log
//! waits, fails and is replayed at any point, and markers come late and twice.
//!
//! Owns: the producers, the chaos, the invariants.
//! Does not own: the coordinator's log and the clock (`world`), the partitions (`partitions`).
//!
//! Checked
//! - T1 a transaction is decided the same way in all partitions, and as its producer was told;
//! - T3 transactions of one producer are never merged in a partition;
//! - T5 once nothing goes wrong any more, every transaction ends, in the coordinator and in each partition;
//! - replaying the log gives the state of the shard that wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_coordinator::TransactionConfig;
use ottla_coordinator::runtime::{TransactionOutcome, Unavailable};
use ottla_coordinator::transaction::{
    Claim, EndError, EndTransaction, Enlist, EnlistError, Initialize, Marked, Marking, ProducerIdentity,
    TransactionAnswer, TransactionCommand, TransactionImage, TransactionState,
};
use ottla_model::{TopicPartition, TransactionVersion, TransactionalId};

use super::partitions::{Marker, Partition, Tag};
use super::script::partition;
use super::world::World;

const PRODUCERS: usize = 6;
const STEPS: usize = 2000;
const PARTITIONS: [&str; 3] = ["t-0", "t-1", "u-0"];

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }

    fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }
}

struct Producer {
    id: TransactionalId,
    version: TransactionVersion,
    identity: Option<ProducerIdentity>,
    /// The open transaction and the partitions it is known in.
    transaction: Option<(Tag, BTreeSet<TopicPartition>)>,
    /// The end it asked for and has no answer to.
    ending: Option<TransactionOutcome>,
}

struct Run {
    random: Random,
    world: World,
    incarnation: u32,
    producers: Vec<Producer>,
    partitions: BTreeMap<TopicPartition, Partition>,
    /// Markers to write, and those that were written and come once more.
    jobs: Vec<(Marking, u32)>,
    late: Vec<(TopicPartition, Marker)>,
    tags: Tag,
    /// What producers were told.
    told: BTreeMap<Tag, TransactionOutcome>,
}

fn marker(marking: &Marking, incarnation: u32) -> Marker {
    let (producer, outcome, raised) = (marking.producer, marking.outcome, marking.version.bumps_epochs());
    Marker { producer, outcome, incarnation, raised }
}

impl Run {
    fn new(seed: u64, version: TransactionVersion) -> Run {
        // Two producers share each id; of two, one may be old.
        let producer = |at: usize| Producer {
            id: TransactionalId::new(&format!("x{}", at / 2)),
            version: if at.is_multiple_of(3) { TransactionVersion::Zero } else { version },
            identity: None,
            transaction: None,
            ending: None,
        };
        Run {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            world: World::new(TransactionConfig::default(), version),
            incarnation: 1,
            producers: (0..PRODUCERS).map(producer).collect(),
            partitions: PARTITIONS.iter().map(|name| (partition(name), Partition::default())).collect(),
            jobs: Vec::new(),
            late: Vec::new(),
            tags: 0,
            told: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        match self.random.below(24) {
            0..=9 => self.produce(),
            10..=16 => self.write_marker(),
            17 | 18 => self.repeat_marker(),
            19 => {
                let time = Duration::from_millis(self.random.next() % 4000);
                let target = self.world.elapsed() + time;
                self.world.wait_until(target);
            }
            20 => self.world.failure = Some(Unavailable::WriteFailed),
            21 => self.world.commits = !self.world.commits,
            22 if self.random.one_in(4) => self.crash(),
            22 => {
                // A producer dies, and forgets everything.
                let at = self.random.below(PRODUCERS);
                let producer = &mut self.producers[at];
                (producer.identity, producer.transaction, producer.ending) = (None, None, None);
            }
            _ => drop(self.world.pump()),
        }
        let incarnation = self.incarnation;
        self.jobs.extend(self.world.markings.drain(..).map(|marking| (marking, incarnation)));
        if self.random.one_in(40) {
            self.check_replay();
        }
    }

    /// The coordinator dies: markers that it sent may still arrive.
    fn crash(&mut self) {
        for (marking, incarnation) in std::mem::take(&mut self.jobs) {
            let marker = marker(&marking, incarnation);
            self.late.extend(marking.partitions.iter().map(|partition| (partition.clone(), marker)));
        }
        let uncommitted = self.world.log.len() - self.world.committed;
        let surviving = self.world.committed + self.random.below(uncommitted + 1);
        self.incarnation += 1;
        self.world.restart(surviving);
        self.world.commits = true;
        self.world.pump();
    }

    fn produce(&mut self) {
        let at = self.random.below(PRODUCERS);
        let Some(identity) = self.producers[at].identity else { return self.initialize(at) };
        let enough = self.producers[at].transaction.as_ref().is_some_and(|(_, known)| !known.is_empty());
        if self.producers[at].ending.is_some() || (enough && self.random.one_in(3)) {
            self.end(at, identity);
        } else {
            self.write(at, identity);
        }
    }

    fn initialize(&mut self, at: usize) {
        let seconds = 5 + self.random.next() % 20;
        let command = Initialize {
            id: self.producers[at].id.clone(),
            timeout: Some(Duration::from_secs(seconds)),
            expected: None,
            fresh: None,
        };
        let heard = self.world.hear(TransactionCommand::Initialize(command));
        if let Some(TransactionAnswer::Initialize(Ok(identity))) = heard {
            self.producers[at].identity = Some(identity);
        }
    }

    fn write(&mut self, at: usize, identity: ProducerIdentity) {
        let name = partition(PARTITIONS[self.random.below(PARTITIONS.len())]);
        let guard = self.partitions.get_mut(&name).unwrap().guard(identity);
        let Producer { id, version, .. } = &self.producers[at];
        let (producer, partitions) = (Claim::from(identity), BTreeSet::from([name.clone()]));
        let enlist = Enlist { id: id.clone(), producer, partitions, version: *version };
        let verifies = !version.bumps_epochs();
        match self.world.hear(TransactionCommand::Enlist(enlist.clone())) {
            Some(TransactionAnswer::Enlist(Ok(()))) => {}
            Some(TransactionAnswer::Enlist(Err(EnlistError::Concurrent))) => return,
            _ => return self.give_up(at),
        }
        if verifies {
            match self.world.hear(TransactionCommand::Verify(enlist)) {
                Some(TransactionAnswer::Verify(Ok(partitions))) if partitions.contains(&name) => {}
                _ => return self.give_up(at),
            }
        }
        let (tag, known) = self.producers[at].transaction.get_or_insert_with(|| {
            self.tags += 1;
            (self.tags, BTreeSet::new())
        });
        let written = self.partitions.get_mut(&name).unwrap().write(identity, guard, *tag);
        known.insert(name);
        if !written {
            self.give_up(at);
        }
    }

    fn end(&mut self, at: usize, identity: ProducerIdentity) {
        let commits = self.random.one_in(2);
        let outcome = if commits { TransactionOutcome::Committed } else { TransactionOutcome::Aborted };
        let outcome = *self.producers[at].ending.get_or_insert(outcome);
        let Producer { id, version, .. } = &self.producers[at];
        let (id, version, producer) = (id.clone(), *version, Claim::from(identity));
        let command = EndTransaction { id, producer, outcome, version, fresh: None };
        match self.world.hear(TransactionCommand::End(command)) {
            Some(TransactionAnswer::End(Ok(next))) => {
                let producer = &mut self.producers[at];
                producer.ending = None;
                producer.identity = next.or(producer.identity);
                if let Some((tag, _)) = producer.transaction.take() {
                    self.told.insert(tag, outcome);
                }
            }
            Some(TransactionAnswer::End(Err(EndError::Concurrent | EndError::Unavailable(_)))) => {}
            // The answer is on its way for ever: the producer asks again.
            None if version.bumps_epochs() => {}
            _ => self.give_up(at),
        }
    }

    fn give_up(&mut self, at: usize) {
        let producer = &mut self.producers[at];
        (producer.identity, producer.transaction, producer.ending) = (None, None, None);
    }

    fn write_marker(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let at = self.random.below(self.jobs.len());
        let (marking, incarnation) = &self.jobs[at];
        let names: Vec<TopicPartition> = marking.partitions.iter().cloned().collect();
        let name = names[self.random.below(names.len())].clone();
        let marker = marker(marking, *incarnation);
        self.partitions.get_mut(&name).unwrap().mark(&marker);
        if marker.raised && self.random.one_in(3) {
            self.late.push((name.clone(), marker));
        }
        // The acknowledgement may get lost.
        if self.random.one_in(6) {
            return;
        }
        let (marking, _) = &mut self.jobs[at];
        marking.partitions.remove(&name);
        let (id, producer) = (marking.id.clone(), marking.producer);
        if marking.partitions.is_empty() {
            self.jobs.remove(at);
        }
        let partitions = BTreeSet::from([name]);
        self.world.hear(TransactionCommand::Marked(Marked { id, producer, partitions }));
    }

    fn repeat_marker(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.random.below(self.late.len());
        let (name, marker) = self.late.swap_remove(at);
        self.partitions.get_mut(&name).unwrap().mark(&marker);
    }

    fn images(&self) -> BTreeMap<TransactionalId, TransactionImage> {
        let images = self.world.runtime.shard().images();
        images.map(|(id, image)| (id.clone(), self.as_written(image))).collect()
    }

    /// What a record has room for.
    fn as_written(&self, image: &TransactionImage) -> TransactionImage {
        let full = TransactionImage { last_epoch: None, ..image.clone() };
        match self.world.version {
            TransactionVersion::Zero => TransactionImage { previous: None, ..full },
            TransactionVersion::One | TransactionVersion::Two => full,
        }
    }

    fn check_replay(&self) {
        let replayed = self.world.replayed();
        let replayed = replayed.shard().images().map(|(id, image)| (id.clone(), image.clone()));
        assert_eq!(replayed.collect::<BTreeMap<_, _>>(), self.images());
    }

    /// Nothing goes wrong any more, and nobody does anything.
    fn heal(&mut self) {
        (self.world.failure, self.world.commits) = (None, true);
        for _ in 0..60 {
            let target = self.world.elapsed() + Duration::from_secs(1);
            self.world.wait_until(target);
            let incarnation = self.incarnation;
            self.jobs.extend(self.world.markings.drain(..).map(|marking| (marking, incarnation)));
            while !self.jobs.is_empty() || !self.late.is_empty() {
                self.write_marker();
                self.repeat_marker();
            }
        }
    }

    fn check_all(&self, seed: u64) {
        for (id, image) in self.images() {
            let at_rest =
                [TransactionState::Empty, TransactionState::CompleteCommit, TransactionState::CompleteAbort];
            assert!(at_rest.contains(&image.state), "seed {seed}: {id} hangs: {image:?}");
        }
        let mut decided: BTreeMap<Tag, TransactionOutcome> = BTreeMap::new();
        for (name, partition) in &self.partitions {
            assert!(partition.open().is_empty(), "seed {seed}: {:?} hang in {name}", partition.open());
            for (tag, outcome) in &partition.decided {
                let first = *decided.entry(*tag).or_insert(*outcome);
                assert_eq!(first, *outcome, "seed {seed}: transaction {tag} is torn in {name}");
            }
        }
        for (tag, outcome) in &self.told {
            assert_eq!(decided.get(tag), Some(outcome), "seed {seed}: transaction {tag} is not as told");
        }
    }
}

fn run(seeds: std::ops::Range<u64>, version: TransactionVersion) {
    let mut ended = 0;
    for seed in seeds {
        let mut run = Run::new(seed, version);
        for _ in 0..STEPS {
            run.step();
        }
        run.heal();
        run.check_all(seed);
        ended += run.told.len();
    }
    assert!(ended > 100, "only {ended} transactions ended");
}

/// TXN-05, TXN-09, TXN-10, TXN-14
#[test]
fn no_transaction_is_torn_merged_or_left_open_in_version_2() {
    run(0..12, TransactionVersion::Two);
}

/// TXN-04, TXN-09, TXN-10, TXN-14
#[test]
fn no_transaction_is_torn_merged_or_left_open_before_version_2() {
    run(100..112, TransactionVersion::Zero);
}
