//! The controller: what the cluster's state becomes.
//!
//! Owns: the state that decisions are made on, the sessions of brokers, the way from a command to records.
//! Does not own: when records are committed (`quorum`), the rules of each command (the modules below).
//!
//! A decision changes nothing. Its records are appended to the log and applied here at once, before they are
//! committed, so that the next decision sees them; its answer is given once they are committed.
//!
//! Source: KIP-500, KIP-631.

mod activation;
mod assignment;
mod brokers;
mod command;
mod configs;
mod directories;
mod elections;
mod features;
mod heartbeat;
mod in_sync;
mod leadership;
mod partition_change;
mod partitions;
mod placement;
mod producer_ids;
mod reassignments;
mod sessions;
mod topics;
mod view;

use std::time::Instant;

use ottla_env::random::Random;
use ottla_model::Offset;

use crate::image::{ApplyError, MetadataImage, Provenance, Replay};
use crate::records::MetadataRecord;

pub use assignment::AssignmentError;
pub use brokers::{BrokerNotRegistered, RegisterBroker, RegisterController, RegisterError};
pub use command::{Answer, Command};
pub use configs::{AlterConfigError, AlterConfigs, AlterResource, ConfigChange, ResourceChange};
pub use directories::{AssignError, AssignRefused, AssignReplicas, Assignment};
pub use elections::{ElectError, ElectLeaders, ElectionType, TopicElections};
pub use features::{FeatureUpdate, FeaturesUpdated, UpdateFeatures, UpdateFeaturesError, UpgradeType};
pub use heartbeat::{Heartbeat, HeartbeatReply, StaleBrokerEpoch};
pub use in_sync::{AlterPartition, GrantedState, InSyncRefused, InSyncReplica, InSyncRequest};
pub use partitions::{CreatePartitions, CreatePartitionsError, GrowTopic};
pub use placement::PlacementError;
pub use producer_ids::{ProducerIdBlock, ProducerIdsError};
pub use reassignments::{Reassign, ReassignError, Reassignments, TopicReassignments};
pub use topics::{
    CreateTopicError, CreateTopics, CreatedTopic, DeleteOutcome, DeleteTopicError, DeletedTopic,
    DeletionDisabled, Layout, NewTopic, TooMuch, TopicOutcome, TopicRef,
};
pub use view::{ControllerSetup, Decision};

use sessions::{Sessions, Told};
use view::View;

/// The controller of one node. It decides only while its node leads the quorum.
#[derive(Clone, Debug)]
pub struct Controller {
    setup: ControllerSetup,
    log: Replay,
    sessions: Sessions,
}

/// What a decision needs beside the state.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub random: &'a dyn Random,
    /// Offset of the next record of the log.
    pub next_offset: Offset,
    /// Level of `kraft.version`.
    pub kraft_version: i16,
    pub now: Instant,
}

impl Controller {
    /// A controller that knows what `log` says so far.
    pub fn new(setup: ControllerSetup, log: Replay) -> Controller {
        let sessions = Sessions::new(setup.session_timeout);
        Controller { setup, log, sessions }
    }

    /// The state with every record that was appended, committed or not.
    pub fn latest(&self) -> &MetadataImage {
        self.log.latest()
    }

    /// The state without the records of an unfinished transaction.
    pub fn visible(&self) -> &MetadataImage {
        self.log.visible()
    }

    /// Applies a record of the log: one just decided, or one that is read.
    pub fn replay(&mut self, record: &MetadataRecord, at: Offset) -> Result<(), ApplyError> {
        self.log.apply(record, at)
    }

    /// Notes the last record of a batch.
    pub fn advance(&mut self, provenance: Provenance) {
        self.log.advance(provenance);
    }

    /// The node leads the quorum now. Gives the records to begin with; `bootstrap` starts an empty log.
    pub fn activate(
        &mut self,
        circumstances: Circumstances<'_>,
        bootstrap: &[MetadataRecord],
    ) -> Vec<MetadataRecord> {
        self.sessions.on_activated(&self.log.latest().cluster, circumstances.now);
        let found = activation::Found {
            is_empty: !self.log.visible().features.has_metadata_version(),
            open_transaction: self.log.transaction_start(),
        };
        activation::records(&self.view(circumstances), found, bootstrap)
    }

    /// The node does not lead any more.
    pub fn deactivate(&mut self) {
        self.sessions.on_deactivated();
    }

    /// Notes that the sender of a command lives. Comes before the decision, however long that one waits.
    pub fn on_contact(&mut self, command: &Command, now: Instant) {
        if let Command::Heartbeat(beat) = command {
            let known = self.log.latest().cluster.broker(beat.broker);
            if known.is_some_and(|broker| broker.epoch == beat.epoch) {
                self.sessions.on_contact(beat.broker, beat.epoch, now);
            }
        }
    }

    /// What a command leads to. Nothing changes before the records are applied.
    pub fn decide(&self, command: &Command, circumstances: Circumstances<'_>) -> Decision<Answer> {
        command::decide(&self.view(circumstances), &self.sessions, command, circumstances.now)
    }

    /// Notes what is not recorded: the records of a decision end before `end`.
    pub fn on_decided(&mut self, command: &Command, answer: &Answer, end: Offset) {
        if let (Command::Heartbeat(beat), Answer::Heartbeat(Ok(reply))) = (command, answer) {
            if reply.is_shutting_down {
                self.sessions.on_shutdown_began(beat.broker, end.previous().unwrap_or(Offset::ZERO));
            }
            let told = Told { fenced: reply.is_fenced, metadata_offset: beat.metadata_offset };
            self.sessions.on_told(beat.broker, told);
            if reply.should_shut_down {
                // Its next life need not wait for a session that nobody will go on with.
                self.sessions.on_gone(beat.broker);
            }
        }
    }

    /// Records that fence a broker whose session is over. Call it again until it gives none.
    pub fn expire_session(&mut self, circumstances: Circumstances<'_>) -> Option<Vec<MetadataRecord>> {
        let (broker, epoch) = self.sessions.expired(circumstances.now)?;
        let records = heartbeat::expire(&self.view(circumstances), broker, epoch);
        self.sessions.on_gone(broker);
        Some(records)
    }

    /// When the next session is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.sessions.deadline()
    }

    fn view<'a>(&'a self, circumstances: Circumstances<'a>) -> View<'a> {
        View {
            image: self.log.latest(),
            setup: &self.setup,
            random: circumstances.random,
            next_offset: circumstances.next_offset,
            kraft_version: circumstances.kraft_version,
        }
    }
}
