//! Where a consumer stands in each of its partitions.
//!
//! Owns: the assigned partitions, their positions and how they are found, pauses.
//! Does not own: who assigns (`member`, the user), what is fetched (`fetcher`).
//!
//! Invariants
//! - I1 only a partition with a position is fetched;
//! - I2 whatever moves the position from outside (assignment, seek, reset) begins a new `stay`, so that what was
//!   asked before is known to be stale when its answer comes.
//!
//! - I3 a position whose epoch is known is fetched from a leader only after that leader said that its log still
//!   has it, or named it itself.
//!
//! ```text
//! Unknown ──committed offset──▶ At(position) ◀──offset found── Resetting
//!    │                             │    ▲                         ▲  ▲
//!    │                another leader    the leader has it         │  │
//!    │                             ▼    │                         │  │
//!    │                          Validating ───log was truncated───┘  │
//!    └────no committed offset────────────────────────────────────────┘
//! ```
//!
//! Source: KIP-320 (validation).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use ottla_model::{BrokerId, LeaderEpoch, Offset, TopicPartition};

use crate::admin::CommittedOffset;
use crate::config::OffsetReset;

/// The next record to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: Offset,
    /// Epoch of the record before it, where it is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// How the position of a partition is being found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The group may have committed an offset.
    Unknown,
    /// An offset is to be asked of the leader.
    Resetting(OffsetReset),
    At(Position),
    /// The leader is to be asked whether its log still has what was read before the position.
    Validating(Position),
    /// There is no offset, and the user wants to be told.
    Lost(LostCause),
}

/// Why a partition has no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostCause {
    NothingCommitted,
    OutOfRange(Offset),
    Truncated(Truncation),
}

/// A log ends before a position, or has other records there: data were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// Where the consumer stood.
    pub offset: Offset,
    /// The first place that is known to differ, if any is.
    pub diverging: Option<Position>,
}

impl fmt::Display for Truncation {
    /// As Java prints a map's value of the partition.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Position { offset, leader_epoch }) = self.diverging else { return Ok(()) };
        let epoch = leader_epoch.map_or_else(|| "null".to_owned(), |epoch| epoch.to_string());
        write!(f, "OffsetAndMetadata{{offset={offset}, leaderEpoch={epoch}, metadata=''}}")
    }
}

/// Who leads a partition, as metadata have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub leader: BrokerId,
    /// `None` from brokers that do not say.
    pub epoch: Option<LeaderEpoch>,
}

/// A position about which a leader is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validation {
    pub partition: TopicPartition,
    pub stay: u64,
    pub leadership: Leadership,
    /// Epoch of the record before the position.
    pub read_epoch: LeaderEpoch,
}

/// What a leader says of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EpochEnd {
    /// It does not speak of epochs.
    Untold,
    /// Its log knows no such epoch.
    Unknown,
    /// The largest epoch that is not above the one asked for, and where that ends.
    At { epoch: LeaderEpoch, end: Offset },
}

/// What the last Fetch answer said of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermarks {
    pub high_watermark: Option<Offset>,
    pub last_stable: Option<Offset>,
    pub log_start: Option<Offset>,
}

/// One assigned partition.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    /// Which stay with this consumer this is; another one after every move from outside.
    pub stay: u64,
    pub phase: Phase,
    pub paused: bool,
    /// From where to fetch next: behind what is already buffered.
    pub fetch_from: Offset,
    pub watermarks: Watermarks,
    /// A follower nearby that the leader named, and until when to read from it (KIP-392).
    pub preferred_replica: Option<(BrokerId, Instant)>,
    /// Nothing is asked of its leader before this moment.
    pub not_before: Option<Instant>,
    /// A question about its position is open.
    pub asking: bool,
    /// Under which leader the position holds, or is being validated.
    pub holds_under: Option<Leadership>,
}

/// The partitions of a consumer.
#[derive(Debug)]
pub(crate) struct Positions {
    assigned: BTreeMap<TopicPartition, Assigned>,
    next_stay: u64,
    reset: OffsetReset,
    /// Whether offsets are committed at all.
    has_group: bool,
}

impl Positions {
    pub(crate) fn new(reset: OffsetReset, has_group: bool) -> Positions {
        Positions { assigned: BTreeMap::new(), next_stay: 0, reset, has_group }
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &Assigned)> {
        self.assigned.iter()
    }

    pub(crate) fn get(&self, partition: &TopicPartition) -> Option<&Assigned> {
        self.assigned.get(partition)
    }

    pub(crate) fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Assigned> {
        self.assigned.get_mut(partition)
    }

    /// Exactly these partitions are assigned from now on; those that were keep their positions.
    pub(crate) fn on_assigned(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.assigned.retain(|partition, _| partitions.contains(partition));
        for partition in partitions {
            if !self.assigned.contains_key(partition) {
                let fresh = self.fresh();
                self.assigned.insert(partition.clone(), fresh);
            }
        }
    }

    fn fresh(&mut self) -> Assigned {
        self.next_stay += 1;
        Assigned {
            stay: self.next_stay,
            phase: if self.has_group {
                Phase::Unknown
            } else {
                self.phase_of_reset(LostCause::NothingCommitted)
            },
            paused: false,
            fetch_from: Offset::ZERO,
            watermarks: Watermarks::default(),
            preferred_replica: None,
            not_before: None,
            asking: false,
            holds_under: None,
        }
    }

    fn phase_of_reset(&self, cause: LostCause) -> Phase {
        match self.reset {
            OffsetReset::None => Phase::Lost(cause),
            OffsetReset::Earliest | OffsetReset::Latest | OffsetReset::ByDuration(_) => {
                Phase::Resetting(self.reset)
            }
        }
    }

    /// Puts the partition into a phase from outside. Answers whether it is assigned.
    fn enter(&mut self, partition: &TopicPartition, phase: Phase) -> bool {
        self.next_stay += 1;
        let stay = self.next_stay;
        let Some(assigned) = self.assigned.get_mut(partition) else { return false };
        if let Phase::At(position) | Phase::Validating(position) = &phase {
            assigned.fetch_from = position.offset;
        }
        assigned.phase = phase;
        assigned.stay = stay;
        assigned.asking = false;
        assigned.not_before = None;
        assigned.preferred_replica = None;
        true
    }

    /// The user moves to an offset. Answers whether the partition is assigned.
    pub(crate) fn on_seek(&mut self, partition: &TopicPartition, position: Position) -> bool {
        self.enter(partition, Phase::At(position))
    }

    /// The user moves to an end of the partition. Answers whether the partition is assigned.
    pub(crate) fn on_seek_to(&mut self, partition: &TopicPartition, reset: OffsetReset) -> bool {
        self.enter(partition, Phase::Resetting(reset))
    }

    pub(crate) fn on_paused(&mut self, partition: &TopicPartition, paused: bool) -> bool {
        self.assigned.get_mut(partition).map(|assigned| assigned.paused = paused).is_some()
    }

    /// Partitions for which the group's offsets must be asked for; they count as asked from now on.
    pub(crate) fn poll_unknown(&mut self, now: Instant) -> Vec<TopicPartition> {
        let due = self.assigned.iter_mut().filter(|(_, assigned)| {
            assigned.phase == Phase::Unknown
                && !assigned.asking
                && assigned.not_before.is_none_or(|not_before| not_before <= now)
        });
        due.map(|(partition, assigned)| {
            assigned.asking = true;
            partition.clone()
        })
        .collect()
    }

    /// The group's offset of a partition, or that it has none.
    pub(crate) fn on_committed(&mut self, partition: &TopicPartition, committed: Option<&CommittedOffset>) {
        let lost = self.phase_of_reset(LostCause::NothingCommitted);
        let Some(assigned) = self.assigned.get_mut(partition) else { return };
        if assigned.phase != Phase::Unknown {
            return;
        }
        assigned.asking = false;
        assigned.holds_under = None;
        assigned.phase = match committed {
            Some(committed) => {
                assigned.fetch_from = committed.offset;
                Phase::At(Position { offset: committed.offset, leader_epoch: committed.leader_epoch })
            }
            None => lost,
        };
    }

    /// A question about positions failed: ask again later.
    pub(crate) fn on_question_failed(&mut self, partitions: &[TopicPartition], not_before: Instant) {
        for partition in partitions {
            if let Some(assigned) = self.assigned.get_mut(partition) {
                assigned.asking = false;
                assigned.not_before = Some(not_before);
            }
        }
    }

    /// Leaders as metadata have them now. What was read under another one may be gone with it, so it is asked about.
    pub(crate) fn on_leaders(&mut self, leadership_of: impl Fn(&TopicPartition) -> Option<Leadership>) {
        let mut moved = Vec::new();
        for (partition, assigned) in &mut self.assigned {
            let (Phase::At(position) | Phase::Validating(position)) = &assigned.phase else { continue };
            let Some(leadership) = leadership_of(partition) else { continue };
            if assigned.holds_under.replace(leadership) == Some(leadership) {
                continue;
            }
            // Without epochs on both sides there is nothing to compare.
            let comparable = position.leader_epoch.and(leadership.epoch).is_some();
            match (&assigned.phase, comparable) {
                (_, true) => moved.push((partition.clone(), Phase::Validating(*position))),
                (Phase::Validating(_), false) => moved.push((partition.clone(), Phase::At(*position))),
                (_, false) => assigned.preferred_replica = None,
            }
        }
        for (partition, phase) in moved {
            self.enter(&partition, phase);
        }
    }

    /// Positions about which leaders must be asked; they count as asked from now on.
    pub(crate) fn poll_validations(&mut self, now: Instant) -> Vec<Validation> {
        let mut due = Vec::new();
        for (partition, assigned) in &mut self.assigned {
            let Phase::Validating(Position { leader_epoch: Some(read_epoch), .. }) = assigned.phase else {
                continue;
            };
            let Some(leadership) = assigned.holds_under else { continue };
            if !assigned.asking && assigned.not_before.is_none_or(|not_before| not_before <= now) {
                assigned.asking = true;
                let (partition, stay) = (partition.clone(), assigned.stay);
                due.push(Validation { partition, stay, leadership, read_epoch });
            }
        }
        due
    }

    /// The leader answered what was asked in `stay`. Tells what was lost, if the log was truncated.
    pub(crate) fn on_epoch_end(
        &mut self,
        partition: &TopicPartition,
        stay: u64,
        said: EpochEnd,
    ) -> Option<Truncation> {
        let assigned = self.assigned.get(partition).filter(|assigned| assigned.stay == stay)?;
        let Phase::Validating(position) = assigned.phase else { return None };
        let truncation = match said {
            EpochEnd::Unknown => Some(Truncation { offset: position.offset, diverging: None }),
            EpochEnd::At { epoch, end } if end < position.offset => {
                let diverging = Position { offset: end, leader_epoch: Some(epoch) };
                Some(Truncation { offset: position.offset, diverging: Some(diverging) })
            }
            EpochEnd::At { .. } | EpochEnd::Untold => None,
        };
        let phase = match (truncation, self.reset) {
            (None, _) => Phase::At(position),
            (Some(truncation), OffsetReset::None) => Phase::Lost(LostCause::Truncated(truncation)),
            // What is the same in both logs was read already.
            (Some(Truncation { diverging: Some(diverging), .. }), _) => Phase::At(diverging),
            (Some(_), reset) => Phase::Resetting(reset),
        };
        self.enter(partition, phase);
        truncation
    }

    /// Partitions whose offset must be asked of their leader, with what to ask; they count as asked from now on.
    pub(crate) fn poll_resets(&mut self, now: Instant) -> Vec<(TopicPartition, u64, OffsetReset)> {
        let mut due = Vec::new();
        for (partition, assigned) in &mut self.assigned {
            let Phase::Resetting(reset) = assigned.phase else { continue };
            if !assigned.asking && assigned.not_before.is_none_or(|not_before| not_before <= now) {
                assigned.asking = true;
                due.push((partition.clone(), assigned.stay, reset));
            }
        }
        due
    }

    /// The question for an offset goes to this leader: what it will name needs no validation.
    pub(crate) fn on_reset_asked(&mut self, partition: &TopicPartition, leadership: Option<Leadership>) {
        if let Some(assigned) = self.assigned.get_mut(partition) {
            assigned.holds_under = leadership;
        }
    }

    /// The leader named the offset that was asked for in `stay`.
    pub(crate) fn on_reset(&mut self, partition: &TopicPartition, stay: u64, position: Position) {
        let Some(assigned) = self.assigned.get(partition) else { return };
        if assigned.stay == stay && matches!(assigned.phase, Phase::Resetting(_)) {
            self.enter(partition, Phase::At(position));
        }
    }

    /// The leader does not have the offset that was fetched in `stay`.
    pub(crate) fn on_out_of_range(&mut self, partition: &TopicPartition, stay: u64, offset: Offset) {
        let phase = self.phase_of_reset(LostCause::OutOfRange(offset));
        if self.assigned.get(partition).is_some_and(|assigned| assigned.stay == stay) {
            self.enter(partition, phase);
        }
    }

    /// Records up to `position` went to the user. Answers `false` if the partition has moved meanwhile, so that they
    /// must not be delivered.
    pub(crate) fn on_consumed(&mut self, partition: &TopicPartition, stay: u64, position: Position) -> bool {
        match self.assigned.get_mut(partition) {
            Some(assigned) if assigned.stay == stay => {
                assigned.phase = Phase::At(position);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Where the consumer stands, if that is known.
    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<Position> {
        match self.assigned.get(partition)?.phase {
            Phase::At(position) => Some(position),
            Phase::Unknown | Phase::Resetting(_) | Phase::Validating(_) | Phase::Lost(_) => None,
        }
    }

    /// All known positions, as they would be committed.
    pub(crate) fn all(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let known = self.assigned.iter().filter_map(|(partition, assigned)| match assigned.phase {
            Phase::At(Position { offset, leader_epoch }) => {
                let committed = CommittedOffset { offset, leader_epoch, metadata: String::new() };
                Some((partition.clone(), committed))
            }
            Phase::Unknown | Phase::Resetting(_) | Phase::Validating(_) | Phase::Lost(_) => None,
        });
        known.collect()
    }

    /// The first partition that has no position and shall get none by itself.
    pub(crate) fn lost(&self) -> Vec<(TopicPartition, LostCause)> {
        let lost = self.assigned.iter().filter_map(|(partition, assigned)| match assigned.phase {
            Phase::Lost(cause) => Some((partition.clone(), cause)),
            Phase::Unknown | Phase::Resetting(_) | Phase::At(_) | Phase::Validating(_) => None,
        });
        lost.collect()
    }

    /// When a question that failed may be asked again.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let waiting = self.assigned.values().filter(|assigned| !assigned.asking);
        waiting.filter_map(|assigned| assigned.not_before).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, TopicName};

    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(index).unwrap())
    }

    fn at(offset: i64) -> Position {
        Position { offset: Offset::new(offset).unwrap(), leader_epoch: None }
    }

    fn assigned(reset: OffsetReset, has_group: bool, count: i32) -> Positions {
        let mut positions = Positions::new(reset, has_group);
        positions.on_assigned(&(0..count).map(partition).collect());
        positions
    }

    #[test]
    fn a_group_s_offset_comes_before_a_reset() {
        let now = Instant::now();
        let mut positions = assigned(OffsetReset::Earliest, true, 2);
        assert_eq!(positions.poll_resets(now), []);
        assert_eq!(positions.poll_unknown(now), [partition(0), partition(1)]);
        assert_eq!(positions.poll_unknown(now), [], "asked once");
        let committed = CommittedOffset::at(Offset::new(7).unwrap());
        positions.on_committed(&partition(0), Some(&committed));
        positions.on_committed(&partition(1), None);
        assert_eq!(positions.position(&partition(0)), Some(at(7)));
        let resets = positions.poll_resets(now);
        assert_eq!(resets.len(), 1);
        assert_eq!((&resets[0].0, resets[0].2), (&partition(1), OffsetReset::Earliest));
        positions.on_reset(&partition(1), resets[0].1, at(3));
        assert_eq!(positions.position(&partition(1)), Some(at(3)));
    }

    #[test]
    fn an_answer_that_comes_after_a_seek_is_stale() {
        let now = Instant::now();
        let mut positions = assigned(OffsetReset::Latest, false, 1);
        let (_, stay, _) = positions.poll_resets(now)[0].clone();
        assert!(positions.on_seek(&partition(0), at(5)));
        positions.on_reset(&partition(0), stay, at(100));
        assert_eq!(positions.position(&partition(0)), Some(at(5)));
        assert!(!positions.on_consumed(&partition(0), stay, at(101)));
        assert_eq!(positions.position(&partition(0)), Some(at(5)));
    }

    #[test]
    fn without_a_reset_the_user_is_told() {
        let mut positions = assigned(OffsetReset::None, true, 1);
        positions.poll_unknown(Instant::now());
        positions.on_committed(&partition(0), None);
        assert_eq!(positions.lost(), [(partition(0), LostCause::NothingCommitted)]);
        positions.on_seek(&partition(0), at(1));
        assert_eq!(positions.lost(), []);
        let stay = positions.get(&partition(0)).unwrap().stay;
        positions.on_out_of_range(&partition(0), stay, Offset::new(1).unwrap());
        assert_eq!(positions.lost(), [(partition(0), LostCause::OutOfRange(Offset::new(1).unwrap()))]);
    }

    #[test]
    fn a_partition_that_stays_assigned_keeps_its_position_and_its_pause() {
        let mut positions = assigned(OffsetReset::Earliest, false, 2);
        positions.on_seek(&partition(0), at(4));
        positions.on_paused(&partition(0), true);
        positions.on_assigned(&[partition(0), partition(2)].into());
        assert_eq!(positions.position(&partition(0)), Some(at(4)));
        assert!(positions.get(&partition(0)).unwrap().paused);
        assert!(positions.get(&partition(1)).is_none());
        assert!(!positions.on_seek(&partition(1), at(1)));
    }

    #[test]
    fn a_question_that_failed_is_asked_again_after_its_pause() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_millis(100);
        let mut positions = assigned(OffsetReset::Earliest, false, 1);
        positions.poll_resets(now);
        positions.on_question_failed(&[partition(0)], later);
        assert_eq!(positions.poll_resets(now), []);
        assert_eq!(positions.deadline(now), Some(later));
        assert_eq!(positions.poll_resets(later).len(), 1);
    }

    fn led_by(leader: i32, epoch: i32) -> Option<Leadership> {
        Some(Leadership { leader: BrokerId::new(leader).unwrap(), epoch: LeaderEpoch::new(epoch) })
    }

    fn read_up_to(offset: i64, epoch: i32) -> Position {
        Position { leader_epoch: LeaderEpoch::new(epoch), ..at(offset) }
    }

    /// A consumer that has read records of epoch 3 up to offset 10 under leader 1, which is then replaced.
    fn under_another_leader(reset: OffsetReset) -> (Positions, Validation) {
        let now = Instant::now();
        let mut positions = assigned(reset, false, 1);
        positions.on_seek(&partition(0), at(5));
        positions.on_leaders(|_| led_by(1, 3));
        assert_eq!(
            positions.position(&partition(0)),
            Some(at(5)),
            "without an epoch there is nothing to ask"
        );
        let stay = positions.get(&partition(0)).unwrap().stay;
        assert!(positions.on_consumed(&partition(0), stay, read_up_to(10, 3)));
        positions.on_leaders(|_| led_by(1, 3));
        assert_eq!(positions.poll_validations(now), [], "nothing has changed");
        positions.on_leaders(|_| led_by(2, 4));
        assert_eq!(positions.position(&partition(0)), None);
        assert!(
            !positions.on_consumed(&partition(0), stay, read_up_to(11, 3)),
            "what was fetched before is stale"
        );
        let asked = positions.poll_validations(now);
        assert_eq!(positions.poll_validations(now), [], "asked once");
        let [validation] = asked.try_into().unwrap();
        (positions, validation)
    }

    fn end(epoch: i32, end: i64) -> EpochEnd {
        EpochEnd::At { epoch: LeaderEpoch::new(epoch).unwrap(), end: Offset::new(end).unwrap() }
    }

    /// KIP-320
    #[test]
    fn another_leader_is_asked_whether_it_has_what_was_read() {
        for said in [end(3, 10), end(3, 11), EpochEnd::Untold] {
            let (mut positions, validation) = under_another_leader(OffsetReset::None);
            assert_eq!(Some(validation.leadership), led_by(2, 4));
            assert_eq!(validation.read_epoch, LeaderEpoch::new(3).unwrap());
            assert_eq!(positions.on_epoch_end(&partition(0), validation.stay, said), None);
            assert_eq!(positions.position(&partition(0)), Some(read_up_to(10, 3)));
        }
    }

    /// KIP-320
    #[test]
    fn a_truncated_log_is_read_again_from_where_it_differs() {
        let (mut positions, validation) = under_another_leader(OffsetReset::Latest);
        let diverging = Some(read_up_to(7, 2));
        let lost = positions.on_epoch_end(&partition(0), validation.stay, end(2, 7));
        assert_eq!(lost, Some(Truncation { offset: at(10).offset, diverging }));
        assert_eq!(positions.position(&partition(0)), diverging);
        assert_eq!(positions.get(&partition(0)).unwrap().fetch_from, at(7).offset);
        positions.on_leaders(|_| led_by(2, 4));
        assert_eq!(positions.position(&partition(0)), diverging, "this leader has it");
    }

    /// KIP-320
    #[test]
    fn where_a_truncated_log_differs_is_unknown_the_position_is_reset() {
        let (mut positions, validation) = under_another_leader(OffsetReset::Earliest);
        assert!(positions.on_epoch_end(&partition(0), validation.stay, EpochEnd::Unknown).is_some());
        let resets = positions.poll_resets(Instant::now());
        assert_eq!(resets[0].2, OffsetReset::Earliest);
    }

    /// KIP-320
    #[test]
    fn without_a_reset_the_user_is_told_of_a_truncated_log_until_it_seeks() {
        for (said, diverging, text) in [
            (EpochEnd::Unknown, None, ""),
            (end(2, 7), Some(read_up_to(7, 2)), "OffsetAndMetadata{offset=7, leaderEpoch=2, metadata=''}"),
        ] {
            let (mut positions, validation) = under_another_leader(OffsetReset::None);
            let lost = positions.on_epoch_end(&partition(0), validation.stay, said).unwrap();
            assert_eq!((lost.diverging, lost.to_string().as_str()), (diverging, text));
            positions.on_leaders(|_| led_by(1, 5));
            assert_eq!(positions.lost(), [(partition(0), LostCause::Truncated(lost))]);
            positions.on_seek(&partition(0), at(7));
            assert_eq!(positions.lost(), []);
        }
    }

    /// KIP-320: a group's offset may be of a log that was truncated since.
    #[test]
    fn a_committed_offset_with_an_epoch_is_validated_and_an_offset_that_the_leader_named_is_not() {
        let now = Instant::now();
        let mut positions = assigned(OffsetReset::Earliest, true, 2);
        positions.poll_unknown(now);
        let committed =
            CommittedOffset { leader_epoch: LeaderEpoch::new(3), ..CommittedOffset::at(at(7).offset) };
        positions.on_committed(&partition(0), Some(&committed));
        positions.on_committed(&partition(1), None);
        let (_, stay, _) = positions.poll_resets(now)[0].clone();
        positions.on_reset_asked(&partition(1), led_by(1, 4));
        positions.on_reset(&partition(1), stay, read_up_to(3, 4));
        positions.on_leaders(|_| led_by(1, 4));
        let asked = positions.poll_validations(now);
        assert_eq!(asked.iter().map(|asked| &asked.partition).collect::<Vec<_>>(), [&partition(0)]);
        assert_eq!(positions.position(&partition(1)), Some(read_up_to(3, 4)));
    }

    /// KIP-320
    #[test]
    fn an_answer_of_a_leader_that_was_replaced_again_does_not_count() {
        let (mut positions, first) = under_another_leader(OffsetReset::Earliest);
        positions.on_leaders(|_| led_by(1, 5));
        assert_eq!(positions.on_epoch_end(&partition(0), first.stay, end(2, 7)), None);
        let second = positions.poll_validations(Instant::now());
        assert_eq!(Some(second[0].leadership), led_by(1, 5));
        positions.on_leaders(|_| Some(Leadership { epoch: None, ..led_by(1, 5).unwrap() }));
        assert_eq!(positions.position(&partition(0)), Some(read_up_to(10, 3)), "it does not speak of epochs");
    }
}
