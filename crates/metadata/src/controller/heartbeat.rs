//! Heartbeats: brokers come alive, ask to go down, fall silent.
//!
//! Owns: when a broker is fenced, unfenced and allowed to shut down.
//! Does not own: the time of contacts (`sessions`), new leaders (`leadership`).
//!
//! | standing            | asks for      | becomes                                                          |
//! |---------------------|---------------|------------------------------------------------------------------|
//! | fenced              | shut down     | may go at once                                                   |
//! | fenced              | life          | unfenced, once it has read its own registration                  |
//! | unfenced            | fencing       | fenced                                                           |
//! | unfenced            | shut down     | on its way down; may go at once if it leads nothing              |
//! | on its way down     | anything      | may go, once it leads nothing and everybody else has read that   |
//!
//! Source: KIP-631, KIP-858, KIP-1066; requirements REG-02, SHD-01.

use ottla_model::{BrokerEpoch, BrokerId, DirectoryId, Offset};
use ottla_protocol::messages::BrokerRegistrationChangeRecord;

use super::leadership::{self, Fate};
use super::sessions::Sessions;
use super::view::{Decision, View};
use crate::image::Broker;
use crate::records::MetadataRecord;

/// A broker says that it lives and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub broker: BrokerId,
    pub epoch: BrokerEpoch,
    /// The last offset of the metadata log that the broker has read.
    pub metadata_offset: Option<Offset>,
    pub want_fence: bool,
    pub want_shut_down: bool,
    /// Directories that failed.
    pub offline: Vec<DirectoryId>,
    /// Directories that take no new replicas; `None` from brokers that do not know of them.
    pub cordoned: Option<Vec<DirectoryId>>,
}

/// What the broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatReply {
    /// Whether the broker has read its own registration.
    pub is_caught_up: bool,
    pub is_fenced: bool,
    pub is_shutting_down: bool,
    pub should_shut_down: bool,
}

/// A broker speaks with an epoch that is not its present one (REG-02). The messages are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaleBrokerEpoch {
    #[error("No broker registration found for broker id {0}")]
    NotRegistered(BrokerId),
    #[error("Expected broker epoch {expected}, but got broker epoch {got}")]
    Mismatch { expected: BrokerEpoch, got: i64 },
}

/// Where a broker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fenced,
    Unfenced,
    ShuttingDown,
    MayGo,
}

/// The registration that a broker's epoch belongs to.
pub fn check_epoch<'a>(
    view: &View<'a>,
    broker: BrokerId,
    epoch: i64,
) -> Result<&'a Broker, StaleBrokerEpoch> {
    let registered = view.image.cluster.broker(broker).ok_or(StaleBrokerEpoch::NotRegistered(broker))?;
    if registered.epoch.value() != epoch {
        return Err(StaleBrokerEpoch::Mismatch { expected: registered.epoch, got: epoch });
    }
    Ok(registered)
}

/// Decides what a heartbeat leads to. The caller notes the contact before and tells the sessions the reply after.
pub fn decide(
    view: &View<'_>,
    sessions: &Sessions,
    beat: &Heartbeat,
) -> Result<Decision<HeartbeatReply>, StaleBrokerEpoch> {
    let broker = check_epoch(view, beat.broker, beat.epoch.value())?;
    let is_caught_up = beat.metadata_offset.is_some_and(|read| read >= broker.registered_at);
    let present = standing(sessions, broker);
    let next = next_standing(view, sessions, (beat, broker, present), is_caught_up);
    let mut records = if present == next { Vec::new() } else { records_of(view, (broker, beat), next) };
    records.extend(offline_directories(view, broker, &beat.offline));
    records.extend(cordoned_directories(view, broker, beat.cordoned.as_deref()));
    let answer = HeartbeatReply {
        is_caught_up,
        is_fenced: matches!(next, Standing::Fenced | Standing::MayGo),
        is_shutting_down: next == Standing::ShuttingDown,
        should_shut_down: next == Standing::MayGo,
    };
    Ok(Decision { records, answer })
}

fn standing(sessions: &Sessions, broker: &Broker) -> Standing {
    if broker.fenced {
        Standing::Fenced
    } else if sessions.shutdown_began_at(broker.id).is_some() {
        Standing::ShuttingDown
    } else {
        Standing::Unfenced
    }
}

fn next_standing(
    view: &View<'_>,
    sessions: &Sessions,
    (beat, broker, present): (&Heartbeat, &Broker, Standing),
    is_caught_up: bool,
) -> Standing {
    match present {
        Standing::Fenced if beat.want_shut_down => Standing::MayGo,
        Standing::Fenced if !beat.want_fence && is_caught_up => Standing::Unfenced,
        Standing::Fenced => Standing::Fenced,
        Standing::Unfenced => match (beat.want_fence, beat.want_shut_down) {
            (true, true) => Standing::MayGo,
            (true, false) => Standing::Fenced,
            (false, true) if leadership::leads_any(view, broker.id) => Standing::ShuttingDown,
            (false, true) => Standing::MayGo,
            (false, false) => Standing::Unfenced,
        },
        Standing::ShuttingDown => {
            let began_at = sessions.shutdown_began_at(broker.id);
            let known = began_at.is_none_or(|offset| sessions.have_all_read(&view.image.cluster, offset));
            if known && !leadership::leads_any(view, broker.id) {
                Standing::MayGo
            } else {
                Standing::ShuttingDown
            }
        }
        Standing::MayGo => Standing::MayGo,
    }
}

fn records_of(view: &View<'_>, (broker, beat): (&Broker, &Heartbeat), next: Standing) -> Vec<MetadataRecord> {
    match next {
        Standing::Fenced | Standing::MayGo => fence(view, broker),
        Standing::Unfenced => unfence(view, broker, &beat.offline),
        Standing::ShuttingDown => begin_shutdown(view, broker),
    }
}

fn fence(view: &View<'_>, broker: &Broker) -> Vec<MetadataRecord> {
    let mut records = leadership::changes(view, Fate::Left(broker.id));
    records.push(BrokerRegistrationChangeRecord { fenced: 1, ..unchanged(broker) }.into());
    records
}

fn unfence(view: &View<'_>, broker: &Broker, failed: &[DirectoryId]) -> Vec<MetadataRecord> {
    let mut records: Vec<MetadataRecord> =
        vec![BrokerRegistrationChangeRecord { fenced: -1, ..unchanged(broker) }.into()];
    records.extend(leadership::changes(view, Fate::Arrived(broker.id, failed)));
    records
}

fn begin_shutdown(view: &View<'_>, broker: &Broker) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    if !broker.in_controlled_shutdown {
        let change = BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..unchanged(broker) };
        records.push(change.into());
    }
    records.extend(leadership::changes(view, Fate::Left(broker.id)));
    records
}

fn offline_directories(view: &View<'_>, broker: &Broker, offline: &[DirectoryId]) -> Vec<MetadataRecord> {
    let version = view.image.features.metadata_version();
    let (lost, online): (Vec<_>, Vec<_>) =
        broker.directories.iter().copied().partition(|directory| offline.contains(directory));
    if lost.is_empty() || !version.has_directories() {
        return Vec::new();
    }
    let fates = lost.into_iter().map(|directory| Fate::LostDirectory(broker.id, directory));
    let mut records: Vec<_> = fates.flat_map(|fate| leadership::changes(view, fate)).collect();
    let log_dirs = online.iter().map(|directory| directory.0).collect();
    records.push(BrokerRegistrationChangeRecord { log_dirs, ..unchanged(broker) }.into());
    records
}

fn cordoned_directories(
    view: &View<'_>,
    broker: &Broker,
    cordoned: Option<&[DirectoryId]>,
) -> Option<MetadataRecord> {
    let told = cordoned.filter(|_| view.image.features.metadata_version().has_cordoned_directories())?;
    let mut sorted = told.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if broker.cordoned.as_ref() == Some(&sorted) {
        return None;
    }
    let cordoned_log_dirs = Some(told.iter().map(|directory| directory.0).collect());
    Some(BrokerRegistrationChangeRecord { cordoned_log_dirs, ..unchanged(broker) }.into())
}

fn unchanged(broker: &Broker) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id.value(),
        broker_epoch: broker.epoch.value(),
        ..BrokerRegistrationChangeRecord::default()
    }
}

/// Fences a broker whose session is over (REG-02). Nothing is left to do for one that is fenced or gone already.
pub fn expire(view: &View<'_>, broker: BrokerId, epoch: BrokerEpoch) -> Vec<MetadataRecord> {
    match check_epoch(view, broker, epoch.value()) {
        Ok(broker) if !broker.fenced => fence(view, broker),
        Ok(_) | Err(_) => Vec::new(),
    }
}
