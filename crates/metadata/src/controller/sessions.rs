//! Which brokers were heard of lately.
//!
//! Owns: the time of the last contact, what a broker told that is not recorded.
//! Does not own: registrations and fencing, which are records (`image`).
//!
//! Nothing here survives the controller: a new one gives every unfenced broker a whole session.
//!
//! Invariants
//! - I1 a session belongs to one incarnation: a contact of another broker epoch begins a new one.
//!
//! Source: KIP-631; requirements REG-01, REG-02, SHD-01.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ottla_model::{BrokerEpoch, BrokerId, Offset};

use crate::image::Cluster;

/// The sessions of all brokers.
#[derive(Clone, Debug)]
pub struct Sessions {
    timeout: Duration,
    brokers: BTreeMap<BrokerId, Session>,
}

#[derive(Clone, Debug)]
struct Session {
    epoch: BrokerEpoch,
    last_contact: Instant,
    /// Whether the broker itself spoke, not only the log of it.
    heard: bool,
    /// How far the broker has read the metadata log.
    metadata_offset: Option<Offset>,
    /// Where the record lies that began its controlled shutdown.
    shutdown_began_at: Option<Offset>,
}

/// What a heartbeat tells beside that its sender lives.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub fenced: bool,
    pub metadata_offset: Option<Offset>,
}

impl Sessions {
    /// No session; `timeout` is `broker.session.timeout.ms`.
    pub fn new(timeout: Duration) -> Sessions {
        Sessions { timeout, brokers: BTreeMap::new() }
    }

    /// This controller took over: whoever is unfenced has a whole session to report itself.
    pub fn on_activated(&mut self, cluster: &Cluster, now: Instant) {
        self.brokers.clear();
        for broker in cluster.unfenced() {
            self.brokers.insert(broker.id, Session::new(broker.epoch, now));
        }
    }

    /// Another controller took over.
    pub fn on_deactivated(&mut self) {
        self.brokers.clear();
    }

    /// A broker gave a sign of life.
    pub fn on_contact(&mut self, broker: BrokerId, epoch: BrokerEpoch, now: Instant) {
        let session = self.brokers.entry(broker).or_insert_with(|| Session::new(epoch, now));
        if session.epoch != epoch {
            *session = Session::new(epoch, now);
        }
        session.last_contact = now;
        session.heard = true;
    }

    /// What the broker told was acted upon.
    pub fn on_told(&mut self, broker: BrokerId, told: Told) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.metadata_offset = told.metadata_offset;
            if told.fenced {
                session.shutdown_began_at = None;
            }
        }
    }

    /// The record that lets a broker shut down lies at an offset.
    pub fn on_shutdown_began(&mut self, broker: BrokerId, at: Offset) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.shutdown_began_at.get_or_insert(at);
        }
    }

    /// The broker was fenced or removed.
    pub fn on_gone(&mut self, broker: BrokerId) {
        self.brokers.remove(&broker);
    }

    /// Whether this incarnation of a broker was heard of lately.
    pub fn is_live(&self, broker: BrokerId, epoch: BrokerEpoch, now: Instant) -> bool {
        self.session(broker, epoch).is_some_and(|session| !self.is_expired(session, now))
    }

    /// Whether the broker itself spoke since this controller took over.
    pub fn was_heard(&self, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        self.session(broker, epoch).is_some_and(|session| session.heard)
    }

    /// Where the controlled shutdown of a broker began.
    pub fn shutdown_began_at(&self, broker: BrokerId) -> Option<Offset> {
        self.brokers.get(&broker)?.shutdown_began_at
    }

    /// Whether every broker that stays has read the metadata log up to `offset`.
    pub fn have_all_read(&self, cluster: &Cluster, offset: Offset) -> bool {
        let staying = cluster.unfenced().filter_map(|broker| self.brokers.get(&broker.id));
        let mut staying = staying.filter(|session| session.shutdown_began_at.is_none());
        staying.all(|session| session.metadata_offset.is_some_and(|read| read >= offset))
    }

    /// A broker whose session is over, with the epoch it had.
    pub fn expired(&self, now: Instant) -> Option<(BrokerId, BrokerEpoch)> {
        let mut all = self.brokers.iter();
        all.find(|(_, session)| self.is_expired(session, now))
            .map(|(broker, session)| (*broker, session.epoch))
    }

    /// When the next session is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.brokers.values().map(|session| session.last_contact + self.timeout).min()
    }

    fn session(&self, broker: BrokerId, epoch: BrokerEpoch) -> Option<&Session> {
        self.brokers.get(&broker).filter(|session| session.epoch == epoch)
    }

    fn is_expired(&self, session: &Session, now: Instant) -> bool {
        session.last_contact + self.timeout <= now
    }
}

impl Session {
    fn new(epoch: BrokerEpoch, now: Instant) -> Session {
        Session { epoch, last_contact: now, heard: false, metadata_offset: None, shutdown_began_at: None }
    }
}
