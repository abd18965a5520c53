//! When to ask for metadata, and for which topics.
//!
//! Owns: the topics of interest, the age of the image, the wait after a failure, the return to the bootstrap nodes.
//! Does not own: the image (`image`), the request itself (`cluster`).
//!
//! Invariants
//! - I1 at most one question is open at a time;
//! - I2 a request for news that comes while a question is open is served by another question after it.
//!
//! Source: KIP-580 (backoff), KIP-899 and KIP-1102 (rebootstrap); `metadata.max.age.ms`, `metadata.max.idle.ms`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ottla_model::TopicName;

use crate::backoff::Backoff;
use crate::config::{CommonConfig, RecoveryStrategy};

/// Which topics an answer shall describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topics {
    All,
    Named(Vec<TopicName>),
}

/// A question to put to some node now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub topics: Topics,
    /// Ask a bootstrap address: the known nodes have not answered for too long.
    pub from_bootstrap: bool,
}

/// The state of a client's curiosity.
#[derive(Debug)]
pub(crate) struct Refresh {
    max_age: Duration,
    idle_max: Option<Duration>,
    recovery: RecoveryStrategy,
    backoff: Backoff,
    /// Topics of interest, with the moment of their last use.
    interest: BTreeMap<TopicName, Instant>,
    all: bool,
    wanted: bool,
    asking: bool,
    /// No question before this moment.
    not_before: Instant,
    last_answer: Option<Instant>,
    failing_since: Option<Instant>,
    rebootstrap: bool,
}

impl Refresh {
    /// `idle_max`: a topic that was not used for so long is no longer asked for; `None` keeps all.
    pub(crate) fn new(config: &CommonConfig, idle_max: Option<Duration>, now: Instant) -> Refresh {
        Refresh {
            max_age: config.metadata_max_age,
            idle_max,
            recovery: config.recovery,
            backoff: Backoff::new(config.retry_backoff),
            interest: BTreeMap::new(),
            all: false,
            wanted: false,
            asking: false,
            not_before: now,
            last_answer: None,
            failing_since: None,
            rebootstrap: false,
        }
    }

    /// The topic is used now. Answers whether it is new here, so that news of it must be asked for.
    pub(crate) fn on_interest(&mut self, topic: &TopicName, now: Instant) -> bool {
        if let Some(used) = self.interest.get_mut(topic) {
            *used = now;
            return false;
        }
        self.interest.insert(topic.clone(), now);
        self.wanted = true;
        // Somebody waits for this topic; there is no failure to be patient with.
        if self.failing_since.is_none() {
            self.not_before = now;
        }
        true
    }

    /// Exactly these topics are of interest from now on.
    pub(crate) fn on_interest_only(&mut self, topics: impl IntoIterator<Item = TopicName>, now: Instant) {
        let mut interest = BTreeMap::new();
        for topic in topics {
            self.wanted |= !self.interest.contains_key(&topic);
            interest.insert(topic, now);
        }
        self.interest = interest;
        self.all = false;
    }

    /// Every topic is of interest from now on, as for a subscription by pattern.
    pub(crate) fn on_interest_in_all(&mut self) {
        self.wanted |= !self.all;
        self.all = true;
    }

    /// What is known turned out to be wrong, or somebody waits for news.
    pub(crate) fn on_wanted(&mut self) {
        self.wanted = true;
    }

    /// The cluster told this client to start from its bootstrap addresses again (KIP-1102).
    pub(crate) fn on_rebootstrap_required(&mut self) {
        self.rebootstrap = true;
        self.wanted = true;
    }

    /// The question to ask now, if any; the next one follows the answer to it.
    pub(crate) fn poll_question(&mut self, now: Instant) -> Option<Question> {
        if self.asking || self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        self.asking = true;
        self.wanted = false;
        self.forget_idle(now);
        let from_bootstrap = std::mem::take(&mut self.rebootstrap) || self.is_out_of_touch(now);
        let topics = match self.all {
            true => Topics::All,
            false => Topics::Named(self.interest.keys().cloned().collect()),
        };
        Some(Question { topics, from_bootstrap })
    }

    /// The answer came. `complete`: no topic in it has an error that another question may heal.
    pub(crate) fn on_answer(&mut self, complete: bool, now: Instant, random: u64) {
        self.asking = false;
        self.last_answer = Some(now);
        self.failing_since = None;
        if complete {
            self.backoff.on_success();
            // Even good answers are not asked for more often than the shortest wait.
            self.not_before = now + self.backoff.wait_after(0, random);
        } else {
            self.wanted = true;
            self.not_before = now + self.backoff.on_failure(random);
        }
    }

    /// No node answered.
    pub(crate) fn on_failure(&mut self, now: Instant, random: u64) {
        self.asking = false;
        self.wanted = true;
        self.failing_since.get_or_insert(now);
        self.not_before = now + self.backoff.on_failure(random);
    }

    /// When the next question is due; `None` while one is open.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.asking {
            return None;
        }
        let aged = self.last_answer.map(|at| at + self.max_age);
        match (self.wanted, aged) {
            (true, _) => Some(self.not_before),
            (false, Some(aged)) => Some(aged.max(self.not_before)),
            (false, None) => None,
        }
    }

    fn forget_idle(&mut self, now: Instant) {
        if let Some(idle_max) = self.idle_max {
            self.interest.retain(|_, used| now.saturating_duration_since(*used) <= idle_max);
        }
    }

    fn is_out_of_touch(&self, now: Instant) -> bool {
        match (self.recovery, self.failing_since) {
            (RecoveryStrategy::Rebootstrap { trigger }, Some(since)) => {
                now.saturating_duration_since(since) >= trigger
            }
            (RecoveryStrategy::Rebootstrap { .. } | RecoveryStrategy::None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdminConfig;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    fn refresh(start: Instant, idle_max: Option<Duration>) -> Refresh {
        Refresh::new(&AdminConfig::new("h:1").unwrap().common, idle_max, start)
    }

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn named(names: &[&str]) -> Question {
        Question {
            topics: Topics::Named(names.iter().map(|name| topic(name)).collect()),
            from_bootstrap: false,
        }
    }

    #[test]
    fn a_new_topic_is_asked_for_once() {
        let start = Instant::now();
        let mut refresh = refresh(start, None);
        assert_eq!(refresh.poll_question(start), None);
        assert!(refresh.on_interest(&topic("t"), start));
        assert_eq!(refresh.poll_question(start), Some(named(&["t"])));
        assert!(!refresh.on_interest(&topic("t"), start));
        assert_eq!(refresh.poll_question(start), None, "one question at a time");
        refresh.on_answer(true, start, 200);
        assert_eq!(refresh.poll_question(at(start, 200)), None);
        assert_eq!(refresh.deadline(), Some(at(start, 300_000)), "the image is too old then");
        assert_eq!(refresh.poll_question(at(start, 300_000)), Some(named(&["t"])));
    }

    #[test]
    fn a_new_topic_does_not_wait_for_the_pause_after_an_answer() {
        let start = Instant::now();
        let mut refresh = refresh(start, None);
        refresh.on_interest(&topic("a"), start);
        refresh.poll_question(start).unwrap();
        refresh.on_answer(true, start, 200);
        refresh.on_interest(&topic("b"), at(start, 1));
        assert_eq!(refresh.poll_question(at(start, 1)), Some(named(&["a", "b"])));
    }

    #[test]
    fn news_wanted_while_a_question_is_open_follow_with_the_next() {
        let start = Instant::now();
        let mut refresh = refresh(start, None);
        refresh.on_wanted();
        assert!(refresh.poll_question(start).is_some());
        refresh.on_wanted();
        refresh.on_answer(true, start, 200);
        assert_eq!(refresh.poll_question(start), None, "not more often than the backoff");
        assert!(refresh.poll_question(at(start, 100)).is_some());
    }

    /// KIP-580
    #[test]
    fn failures_and_incomplete_answers_wait_longer_each_time() {
        let start = Instant::now();
        let mut refresh = refresh(start, None);
        refresh.on_wanted();
        refresh.poll_question(start).unwrap();
        refresh.on_failure(start, 200);
        assert_eq!(refresh.deadline(), Some(at(start, 100)));
        refresh.poll_question(at(start, 100)).unwrap();
        refresh.on_answer(false, at(start, 100), 200);
        assert_eq!(refresh.deadline(), Some(at(start, 300)));
    }

    /// `metadata.max.idle.ms`
    #[test]
    fn a_topic_that_is_not_used_is_forgotten() {
        let start = Instant::now();
        let mut refresh = refresh(start, Some(Duration::from_millis(500)));
        refresh.on_interest(&topic("a"), start);
        refresh.on_interest(&topic("b"), start);
        refresh.on_interest(&topic("b"), at(start, 400));
        assert_eq!(refresh.poll_question(at(start, 600)), Some(named(&["b"])));
    }

    /// KIP-1102
    #[test]
    fn a_client_out_of_touch_goes_back_to_the_bootstrap_nodes() {
        let start = Instant::now();
        let mut refresh = refresh(start, None);
        refresh.on_wanted();
        refresh.poll_question(start).unwrap();
        refresh.on_failure(start, 200);
        assert!(!refresh.poll_question(at(start, 1000)).unwrap().from_bootstrap);
        refresh.on_failure(at(start, 1000), 200);
        assert!(refresh.poll_question(at(start, 300_000)).unwrap().from_bootstrap);
        refresh.on_answer(true, at(start, 300_000), 200);
        refresh.on_rebootstrap_required();
        assert!(refresh.poll_question(at(start, 301_000)).unwrap().from_bootstrap);
    }
}
