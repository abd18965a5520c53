//! The cluster as a client sees it: an image of it, and a way to each of its nodes.
//!
//! Owns: the present image, the links to nodes, the task that keeps the image fresh, calls with and without retries.
//! Does not own: what is asked (producer, consumer, admin).
//!
//! Invariants
//! - I1 readers see one whole image at a time;
//! - I2 whoever waits for news is woken by every answer and every failure to get one.

mod coordinator;
mod image;
mod link;
mod refresh;
mod refresher;
mod retry;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ottla_env::random::{OsRandom, Random};
use ottla_env::sync::{Notify, watch};
use ottla_env::{task, time};
use ottla_model::{BrokerId, LeaderEpoch, TopicName, TopicPartition};
use parking_lot::Mutex;

pub(crate) use coordinator::{CoordinatorError, CoordinatorKind};
#[cfg(test)]
pub(crate) use image::tests;
pub use image::{ClusterImage, Node, PartitionInfo, TopicInfo};
use link::Link;
use refresh::Refresh;
pub(crate) use retry::{Attempt, Deadline};

use crate::config::CommonConfig;
use crate::connection::{Connection, Request};
use crate::error::CallError;

/// A node to talk to: one that Metadata named, or a bootstrap address by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Target {
    Bootstrap(usize),
    Broker(BrokerId),
}

/// Which connection to a node. A broker answers a connection in order, so what may take long has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Questions that are answered at once.
    Control,
    /// Produce and Fetch.
    Data,
    /// Group membership: a join waits for the other members.
    Group,
}

/// How one call is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOptions {
    pub lane: Lane,
    /// Highest version to use.
    pub version_cap: i16,
    /// Other than the client's request timeout.
    pub timeout: Option<Duration>,
}

impl Default for CallOptions {
    fn default() -> CallOptions {
        CallOptions { lane: Lane::Control, version_cap: i16::MAX, timeout: None }
    }
}

/// What has become of the questions for metadata so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub answers: u64,
    pub failures: u64,
    /// Why the last question failed; `None` after an answer.
    pub failure: Option<CallError>,
}

/// How a client looks at the cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClusterOptions {
    /// Asking for a topic may create it.
    pub allow_auto_create: bool,
    /// A topic that is not used for so long is no longer asked for.
    pub idle_max: Option<Duration>,
}

/// Handle of a client to its cluster. The task behind it ends with it.
#[derive(Debug)]
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    refresher: task::AbortHandle,
}

#[derive(Debug)]
pub(crate) struct Shared {
    config: CommonConfig,
    options: ClusterOptions,
    image: ArcSwap<ClusterImage>,
    refresh: Mutex<Refresh>,
    /// Wakes the refresher: there may be a new question.
    wanted: Notify,
    progress: watch::Sender<Progress>,
    links: Mutex<HashMap<(Target, Lane), Arc<Link>>>,
    random: Arc<dyn Random>,
}

impl Cluster {
    /// Begins to look at the cluster. Must be called on a runtime; fails only without a source of randomness.
    pub(crate) fn new(config: CommonConfig, options: ClusterOptions) -> io::Result<Cluster> {
        let shared = Arc::new(Shared {
            image: ArcSwap::from_pointee(ClusterImage::default()),
            refresh: Mutex::new(Refresh::new(&config, options.idle_max, time::now())),
            wanted: Notify::new(),
            progress: watch::channel(Progress::default()).0,
            links: Mutex::new(HashMap::new()),
            random: Arc::new(OsRandom::new()?),
            config,
            options,
        });
        let refresher = task::spawn(refresher::run(Arc::clone(&shared))).abort_handle();
        Ok(Cluster { shared, refresher })
    }

    /// A handle for tasks of the same client.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.refresher.abort();
    }
}

impl Shared {
    pub(crate) fn config(&self) -> &CommonConfig {
        &self.config
    }

    /// What is known now.
    pub(crate) fn image(&self) -> Arc<ClusterImage> {
        self.image.load_full()
    }

    /// What is left to chance is drawn from here.
    pub(crate) fn chance(&self) -> &dyn Random {
        &*self.random
    }

    /// 64 random bits.
    pub(crate) fn random(&self) -> u64 {
        self.random.bits()
    }

    /// A handle to wait for news with.
    pub(crate) fn news(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The topic is used now: it becomes and stays known.
    pub(crate) fn use_topic(&self, topic: &TopicName) {
        if self.refresh.lock().on_interest(topic, time::now()) {
            self.wanted.notify_one();
        }
    }

    /// Exactly these topics are used from now on.
    pub(crate) fn use_only(&self, topics: impl IntoIterator<Item = TopicName>) {
        self.refresh.lock().on_interest_only(topics, time::now());
        self.wanted.notify_one();
    }

    /// All topics are used from now on.
    pub(crate) fn use_all(&self) {
        self.refresh.lock().on_interest_in_all();
        self.wanted.notify_one();
    }

    /// What is known is wrong or not enough.
    pub(crate) fn want_news(&self) {
        self.refresh.lock().on_wanted();
        self.wanted.notify_one();
    }

    /// A broker named the leader of a partition (KIP-951). Answers whether that is news.
    pub(crate) fn on_leader_hint(
        &self,
        partition: &TopicPartition,
        leader: &Arc<Node>,
        epoch: LeaderEpoch,
    ) -> bool {
        let mut is_news = false;
        self.image.rcu(|image| match image.with_leader(partition, leader, epoch) {
            Some(hinted) => {
                is_news = true;
                Arc::new(hinted)
            }
            None => {
                is_news = false;
                Arc::clone(image)
            }
        });
        is_news
    }

    /// Waits until `found` finds what it looks for in the image. News are asked for as long as it does not.
    pub(crate) async fn wait_for<T>(
        &self,
        deadline: Deadline,
        found: impl Fn(&ClusterImage) -> Option<T>,
    ) -> Result<T, CallError> {
        let mut progress = self.news();
        loop {
            progress.mark_unchanged();
            if let Some(value) = found(&self.image.load()) {
                return Ok(value);
            }
            if let Some(error) = &progress.borrow().failure
                && !error.is_retriable()
            {
                return Err(error.clone());
            }
            self.want_news();
            if time::timeout_at(deadline.at, progress.changed()).await.is_err() {
                return Err(CallError::NoNode { call: deadline.call });
            }
        }
    }

    /// The link to a node on a lane, or `None` when the node is not known any more.
    pub(crate) fn link(&self, target: Target, lane: Lane) -> Option<Arc<Link>> {
        let node = match target {
            Target::Bootstrap(at) => self.config.bootstrap.get(at)?.clone(),
            Target::Broker(id) => self.image.load().nodes.get(&id)?.endpoint.clone(),
        };
        let mut links = self.links.lock();
        let link = links.entry((target, lane)).and_modify(|link| {
            // The node came back under another address.
            if *link.node() != node {
                *link = Link::new(node.clone(), &self.config, Arc::clone(&self.random));
            }
        });
        let fresh = || Link::new(node.clone(), &self.config, Arc::clone(&self.random));
        Some(Arc::clone(link.or_insert_with(fresh)))
    }

    /// A connection to a node, opened if need be.
    pub(crate) async fn connect(&self, target: Target, lane: Lane) -> Result<Arc<Connection>, CallError> {
        match self.link(target, lane) {
            Some(link) => link.connection().await,
            None => Err(CallError::NoNode { call: "connect" }),
        }
    }

    /// Asks one node once.
    pub(crate) async fn call<R: Request>(
        &self,
        target: Target,
        request: &R,
        options: CallOptions,
    ) -> Result<R::Response, CallError> {
        let connection = self.connect(target, options.lane).await?;
        let version = connection.version_of::<R>(options.version_cap)?;
        connection.send(request, version, options.timeout)?.wait().await
    }

    /// Nodes in the order in which they should be asked: connected ones, then those not known to be broken, then
    /// the rest; by chance within each. Bootstrap addresses while no node is known, in their order.
    pub(crate) fn candidates(&self, from_bootstrap: bool) -> Vec<Target> {
        let image = self.image.load();
        if from_bootstrap || image.nodes.is_empty() {
            return (0..self.config.bootstrap.len()).map(Target::Bootstrap).collect();
        }
        let now = time::now();
        let links = self.links.lock();
        let mut ranked: Vec<(u8, u64, Target)> = image
            .nodes
            .keys()
            .map(|id| {
                let target = Target::Broker(*id);
                let link = links.get(&(target, Lane::Control));
                let rank = match link {
                    Some(link) if link.ready().is_some() => 0,
                    Some(link) if link.broken_until().is_some_and(|until| until > now) => 2,
                    _ => 1,
                };
                (rank, self.random.bits(), target)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, target)| target).collect()
    }

    /// Forgets links to nodes that are no longer part of the cluster.
    fn drop_stale_links(&self, image: &ClusterImage) {
        self.links.lock().retain(|(target, _), _| match target {
            Target::Bootstrap(_) => true,
            Target::Broker(id) => image.nodes.contains_key(id),
        });
    }

    fn on_image(&self, image: ClusterImage) {
        self.drop_stale_links(&image);
        self.image.store(Arc::new(image));
    }

    fn next_question(&self) -> (Option<refresh::Question>, Option<Instant>) {
        let mut refresh = self.refresh.lock();
        let question = refresh.poll_question(time::now());
        (question, refresh.deadline())
    }
}
