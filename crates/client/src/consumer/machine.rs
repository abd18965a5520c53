//! The consumer without sockets: what to ask next, and what answers mean.
//!
//! Owns: routing between membership, positions and fetching; the subscription.
//! Does not own: the rules of each (`member`, `positions`, `fetcher`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ottla_model::{BrokerId, TopicName, TopicPartition};
use regex::Regex;

use super::fetcher::{FetchAnswer, FetchLimits, FetchOrder, Fetcher, View};
use super::member::{Action, Event, Member, topics_in};
use super::positions::{Leadership, Positions, Validation};
use crate::cluster::ClusterImage;
use crate::config::{BackoffConfig, ConsumerConfig, OffsetReset};
use crate::error::ServerError;

/// What a consumer consumes.
#[derive(Clone, Debug)]
pub(crate) enum Subscription {
    Nothing,
    /// Partitions the user chose.
    Assigned,
    Topics(BTreeSet<TopicName>),
    /// Whatever topics match now and later.
    Pattern(Regex),
}

/// A question about offsets, for one leader.
#[derive(Clone, Debug)]
pub(crate) struct OffsetQuestion {
    pub node: BrokerId,
    pub partitions: Vec<(TopicPartition, u64, OffsetReset)>,
}

/// Something to be done outside.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Fetch(FetchOrder),
    Connect(BrokerId),
    AskCommitted(Vec<TopicPartition>),
    AskOffsets(OffsetQuestion),
    /// Positions that one leader shall validate.
    Validate(BrokerId, Vec<Validation>),
    Group(Action),
    Metadata,
}

/// All state of one consumer.
#[derive(Debug)]
pub(crate) struct Machine {
    pub positions: Positions,
    pub fetcher: Fetcher,
    /// `None` without a group.
    pub member: Option<Member>,
    subscription: Subscription,
    exclude_internal: bool,
    retry: Duration,
    /// What the user must hear of, the latest of each partition.
    failed: BTreeMap<TopicPartition, ServerError>,
}

impl Machine {
    pub(crate) fn new(config: &ConsumerConfig, now: Instant) -> Machine {
        let retry: BackoffConfig = config.common.retry_backoff;
        let limits = FetchLimits {
            partition_bytes_max: config.partition_fetch_bytes_max,
            buffered_bytes_max: usize::try_from(config.fetch_bytes_max).unwrap_or(0).max(1),
            retry: retry.first,
            replica_lease: config.common.metadata_max_age,
        };
        Machine {
            positions: Positions::new(config.offset_reset, config.group.is_some()),
            fetcher: Fetcher::new(limits),
            member: config.group.clone().map(|group| Member::new(group, retry, now)),
            subscription: Subscription::Nothing,
            exclude_internal: config.exclude_internal,
            retry: retry.first,
            failed: BTreeMap::new(),
        }
    }

    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// The topics of the subscription, as far as there are any.
    pub(crate) fn subscribed_topics(&self, image: &ClusterImage) -> BTreeSet<TopicName> {
        match &self.subscription {
            Subscription::Nothing | Subscription::Assigned => BTreeSet::new(),
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Pattern(pattern) => self.matching(pattern, image),
        }
    }

    /// The topics that are consumed, however they were chosen.
    pub(crate) fn consumed_topics(&self, image: &ClusterImage) -> BTreeSet<TopicName> {
        match &self.subscription {
            Subscription::Assigned => self.positions.partitions().map(|one| one.topic.clone()).collect(),
            Subscription::Nothing | Subscription::Topics(_) | Subscription::Pattern(_) => {
                self.subscribed_topics(image)
            }
        }
    }

    fn matching(&self, pattern: &Regex, image: &ClusterImage) -> BTreeSet<TopicName> {
        let visible = |name: &TopicName| match image.topic(name) {
            Some(topic) => !(self.exclude_internal && topic.is_internal),
            None => false,
        };
        let names = image.topics.keys();
        names.filter(|name| pattern.is_match(name.as_str()) && visible(name)).cloned().collect()
    }

    /// The user chose partitions; an earlier subscription ends.
    pub(crate) fn on_assign(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.leave_subscription();
        self.subscription = Subscription::Assigned;
        self.positions.on_assigned(partitions);
    }

    /// The user subscribed to topics or a pattern.
    pub(crate) fn on_subscribe(&mut self, subscription: Subscription, image: &ClusterImage) {
        if matches!(self.subscription, Subscription::Assigned) {
            self.positions.on_assigned(&BTreeSet::new());
        }
        self.subscription = subscription;
        self.on_image(image);
    }

    /// The user wants nothing any more.
    pub(crate) fn on_unsubscribe(&mut self) {
        self.leave_subscription();
        self.subscription = Subscription::Nothing;
        self.positions.on_assigned(&BTreeSet::new());
    }

    fn leave_subscription(&mut self) {
        let was_member = matches!(self.subscription, Subscription::Topics(_) | Subscription::Pattern(_));
        if let (true, Some(member)) = (was_member, &mut self.member) {
            member.on_unsubscribed();
            self.positions.on_assigned(&BTreeSet::new());
        }
    }

    /// The user wants partitions to be spread anew.
    pub(crate) fn on_rebalance_wanted(&mut self) {
        if let Some(member) = &mut self.member {
            member.on_rebalance_wanted();
        }
    }

    /// The cluster may have changed.
    pub(crate) fn on_image(&mut self, image: &ClusterImage) {
        if matches!(self.subscription, Subscription::Nothing | Subscription::Assigned) {
            return;
        }
        let topics = self.subscribed_topics(image);
        let Some(member) = &mut self.member else { return };
        // Before the first answer no topic matches a pattern, which is no reason to join with nothing.
        if !(image.nodes.is_empty() && matches!(self.subscription, Subscription::Pattern(_))) {
            member.on_subscribed(topics);
        }
        member.on_metadata(&topics_in(image.topics.keys(), image));
    }

    /// Everything that can be done outside now.
    pub(crate) fn poll_work(
        &mut self,
        image: &ClusterImage,
        speaks_ids: impl Fn(BrokerId) -> Option<bool>,
        now: Instant,
    ) -> Vec<Work> {
        let mut work = Vec::new();
        if let Some(member) = &mut self.member {
            work.extend(std::iter::from_fn(|| member.poll_action(now)).map(Work::Group));
        }
        let unknown = self.positions.poll_unknown(now);
        if !unknown.is_empty() {
            work.push(Work::AskCommitted(unknown));
        }
        self.positions.on_leaders(|partition| leadership_of(image, partition));
        work.extend(self.poll_offset_questions(image, now));
        work.extend(self.poll_validations(image, now));
        let view = View { positions: &self.positions, image, now };
        while let Some(order) = self.fetcher.poll_fetch(view, &speaks_ids) {
            work.push(Work::Fetch(order));
        }
        let missing = self.fetcher.missing_connections(view, |node| speaks_ids(node).is_some());
        work.extend(missing.into_iter().map(Work::Connect));
        if self.fetcher.lacks_leader(view) {
            work.push(Work::Metadata);
        }
        work
    }

    fn poll_offset_questions(&mut self, image: &ClusterImage, now: Instant) -> Vec<Work> {
        let mut by_node: BTreeMap<BrokerId, Vec<(TopicPartition, u64, OffsetReset)>> = BTreeMap::new();
        let mut leaderless = Vec::new();
        for question in self.positions.poll_resets(now) {
            match image.leader_of(&question.0) {
                Some(leader) => {
                    self.positions.on_reset_asked(&question.0, leadership_of(image, &question.0));
                    by_node.entry(leader.id).or_default().push(question);
                }
                None => leaderless.push(question.0),
            }
        }
        let mut work: Vec<Work> = by_node
            .into_iter()
            .map(|(node, partitions)| Work::AskOffsets(OffsetQuestion { node, partitions }))
            .collect();
        if !leaderless.is_empty() {
            self.positions.on_question_failed(&leaderless, now + self.retry);
            work.push(Work::Metadata);
        }
        work
    }

    fn poll_validations(&mut self, image: &ClusterImage, now: Instant) -> Vec<Work> {
        let mut by_node: BTreeMap<BrokerId, Vec<Validation>> = BTreeMap::new();
        let mut unreachable = Vec::new();
        for validation in self.positions.poll_validations(now) {
            let leader = validation.leadership.leader;
            match image.nodes.contains_key(&leader) {
                true => by_node.entry(leader).or_default().push(validation),
                false => unreachable.push(validation.partition),
            }
        }
        let mut work: Vec<Work> =
            by_node.into_iter().map(|(node, positions)| Work::Validate(node, positions)).collect();
        if !unreachable.is_empty() {
            self.positions.on_question_failed(&unreachable, now + self.retry);
            work.push(Work::Metadata);
        }
        work
    }

    /// When to look again.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let member = self.member.as_ref().and_then(Member::deadline);
        [member, self.positions.deadline(now), self.fetcher.deadline(now)].into_iter().flatten().min()
    }

    /// A Fetch was answered. Answers whether metadata are out of date.
    pub(crate) fn on_fetched(&mut self, order: &FetchOrder, answer: FetchAnswer, now: Instant) -> bool {
        let effects = self.fetcher.on_answer(order, answer, (&mut self.positions, now));
        self.failed.extend(effects.failed);
        effects.wants_metadata
    }

    /// The user must hear of an error of a partition.
    pub(crate) fn on_failed(&mut self, partition: TopicPartition, error: ServerError) {
        self.failed.insert(partition, error);
    }

    /// An error of a partition that the user must hear of.
    pub(crate) fn poll_failure(&mut self) -> Option<(TopicPartition, ServerError)> {
        self.failed.pop_first()
    }

    /// What the user's side has to do for the group.
    pub(crate) fn event(&self) -> Option<Event> {
        self.member.as_ref().and_then(Member::event).cloned()
    }

    /// It is done: the assignment follows what the member owns now.
    pub(crate) fn on_event_done(&mut self) {
        let Some(member) = &mut self.member else { return };
        member.on_event_done();
        let owned = member.owned().iter().cloned().collect();
        self.positions.on_assigned(&owned);
    }
}

fn leadership_of(image: &ClusterImage, partition: &TopicPartition) -> Option<Leadership> {
    let info = image.partition(partition)?;
    Some(Leadership { leader: info.leader?, epoch: info.leader_epoch })
}
