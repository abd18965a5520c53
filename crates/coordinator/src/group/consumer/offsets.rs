//! Which members of a consumer group may commit and fetch offsets.
//!
//! Owns: the epochs. Does not own: the offsets.
//!
//! A commit may be late: it is taken as long as the member has had the partition, without a break, since the epoch it
//! speaks of. Somebody else's progress is never overwritten.
//!
//! Source: requirement CGP-14; KIP-1251.

use ottla_model::{GenerationId, MemberId};

use super::super::answer::{CommitError, FetchError};
use super::super::command::{CommitOffsets, FetchAs};
use super::record::{IdPartition, MemberEpoch, Subscriber};
use super::state::ConsumerGroup;

/// How a member is told that it speaks of an epoch that is not its own: each protocol has its word for it.
fn stale(member: &Subscriber, got: Option<GenerationId>, current: MemberEpoch) -> CommitError {
    let known = GenerationId::new(current.value()).unwrap_or_default();
    match member.classic {
        Some(_) => CommitError::IllegalGeneration { got, current: known },
        None => CommitError::StaleEpoch { got, current: current.value() },
    }
}

impl ConsumerGroup {
    /// Whether the offsets may be committed.
    pub fn admit_commit(&self, command: &CommitOffsets) -> Result<(), CommitError> {
        // A transaction need not say which member it is of (KIP-447).
        let is_anonymous = command.member.is_empty() && command.instance.is_none();
        let is_believed = self.is_empty() || (command.transaction.is_some() && is_anonymous);
        if command.generation.is_none() && is_believed {
            return Ok(());
        }
        let member = self.member(&command.member).ok_or(CommitError::UnknownMember)?;
        if member.classic.is_none() && !command.speaks_of_epochs {
            return Err(CommitError::NeedsEpochs);
        }
        let current = self.current(&command.member);
        let got = MemberEpoch::new(command.generation.map_or(-1, GenerationId::value));
        if got == current.epoch {
            return Ok(());
        }
        if got > current.epoch {
            return Err(stale(member, command.generation, current.epoch));
        }
        for topic in &command.topics {
            for partition in &topic.partitions {
                let since = topic.topic_id.and_then(|topic| {
                    let partition = IdPartition { topic, partition: partition.partition };
                    current.assigned.get(&partition).or_else(|| current.revoking.get(&partition))
                });
                if since.is_none_or(|since| *since > got) {
                    return Err(stale(member, command.generation, current.epoch));
                }
            }
        }
        Ok(())
    }

    /// Whether the member may fetch offsets.
    pub fn admit_fetch(&self, asker: &FetchAs) -> Result<(), FetchError> {
        if asker.member.is_none() && asker.epoch < 0 {
            return Ok(());
        }
        let nobody = MemberId::new("");
        let id = asker.member.as_ref().unwrap_or(&nobody);
        let member = self.member(id).ok_or(FetchError::UnknownMember)?;
        let current = self.current(id).epoch.value();
        match &member.classic {
            _ if asker.epoch == current => Ok(()),
            Some(_) => Err(FetchError::IllegalGeneration { got: asker.epoch, current }),
            None => Err(FetchError::StaleEpoch { got: asker.epoch, current }),
        }
    }
}
