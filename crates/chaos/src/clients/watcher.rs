//! A watcher: asks again and again how far the logs reach, and what the group has committed.
//!
//! Owns: the questions and what is written down of their answers. Does not own: judging them.

use std::time::Duration;

use ottla_client::Admin;
use ottla_client::admin::OffsetSpec;
use ottla_client::config::IsolationLevel;
use ottla_env::time;
use ottla_testkit::history::{Event, Name};

use super::{Cluster, GROUP, POLL, name_of};
use crate::Fallible;

/// A question that a node which is away does not answer is given up after this time.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Asks until it shall stop.
    pub async fn watch(self) -> Fallible<()> {
        let admin = self.admin()?;
        while self.reading() {
            // Something shall have happened since the last look; at the end nothing does.
            let _ = time::timeout(POLL, self.notes.more_acks(50)).await;
            // An answer that does not come is no answer.
            if let Ok(asked) = time::timeout(PATIENCE, self.ask_bounds(&admin)).await {
                asked?;
            }
            if let Ok(asked) = time::timeout(PATIENCE, self.ask_committed(&admin)).await {
                asked?;
            }
        }
        Ok(())
    }

    /// Asks a node that was started, as soon as it answers, what the group has committed.
    pub async fn look_at_commits(&self) -> Fallible<()> {
        let admin = self.admin()?;
        let asked = async {
            while !self.ask_committed(&admin).await? {}
            Fallible::Ok(())
        };
        // One that does not answer has other things to be told about.
        time::timeout(PATIENCE, asked).await.unwrap_or(Ok(()))
    }

    async fn ask_bounds(&self, admin: &Admin) -> Fallible<()> {
        let since = self.notes.now();
        let (dirty, clean) = (IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted);
        let start = self.offsets(admin, OffsetSpec::Earliest, dirty).await?;
        let stable = self.offsets(admin, OffsetSpec::Latest, clean).await?;
        let end = self.offsets(admin, OffsetSpec::Latest, dirty).await?;
        let (Some(start), Some(stable), Some(end)) = (start, stable, end) else { return Ok(()) };
        for (partition, (high_watermark, epoch)) in end {
            let (Some((log_start, _)), Some((last_stable, _))) =
                (start.get(&partition), stable.get(&partition))
            else {
                continue;
            };
            self.notes.add(Event::Bounds {
                since,
                at: self.notes.now(),
                client: Name::from("watcher"),
                partition: name_of(partition),
                epoch,
                log_start: *log_start,
                last_stable: *last_stable,
                high_watermark,
                log_end: high_watermark,
            });
        }
        Ok(())
    }

    /// Partitions without an answer are no news; a partition that the answer leaves out has no offset. Whether any was told.
    async fn ask_committed(&self, admin: &Admin) -> Fallible<bool> {
        let (since, partitions) = (self.notes.now(), self.partitions()?);
        let Ok(told) = admin.list_group_offsets(GROUP, Some(&partitions), false).await else {
            return Ok(false);
        };
        let (at, mut told_any) = (self.notes.now(), false);
        for partition in partitions {
            let offset = match told.get(&partition) {
                None => None,
                Some(Ok(committed)) => Some(committed.offset.value()),
                Some(Err(_)) => continue,
            };
            told_any = true;
            let (client, group) = (Name::from("watcher"), Name::from(GROUP));
            let partition = name_of(partition.partition.value());
            self.notes.add(Event::Fetched { since, at, client, group, partition, offset });
        }
        Ok(told_any)
    }
}
