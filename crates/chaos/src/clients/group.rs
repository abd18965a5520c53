//! Members of a classic group. They commit behind every poll.
//!
//! Owns: what is written down of commits. Does not own: the end of the group's work (`Cluster::note_drained`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ottla_client::admin::CommittedOffset;
use ottla_client::consumer::ConsumerHandle;
use ottla_env::time;
use ottla_model::Offset;
use ottla_testkit::history::{Event, Name};

use super::reader::Given;
use super::{CLOSE, Cluster, GROUP, MEMBERS, POLL, name_of, topic};
use crate::Fallible;

/// Names every attempt to commit in this process.
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

impl Cluster {
    /// Reads what the group gives it, and commits behind every poll, until it shall stop.
    pub async fn follow_as_member(self, number: u64) -> Fallible<()> {
        let settings = [("group.id", GROUP), ("session.timeout.ms", "45000")];
        let mut consumer = self.consumer(&settings)?;
        consumer.subscribe([topic()?])?;
        let (client, group) = (Name::from(format!("member-{number}")), Name::from(GROUP));
        while self.reading() {
            let records = match consumer.poll(POLL).await {
                Ok(records) => records,
                Err(error) => {
                    self.notes.complain(format!("{client}: {error}"));
                    time::sleep(POLL).await;
                    continue;
                }
            };
            let mut next = BTreeMap::new();
            for record in &records {
                self.note_read((&client, Some(&group)), &Given::of(record));
                next.insert(record.topic_partition(), record.offset.value() + 1);
            }
            if !next.is_empty() {
                self.commit(consumer.handle(), &client, &next).await?;
            }
        }
        consumer.close(CLOSE).await;
        Ok(())
    }

    async fn commit(
        &self,
        consumer: &ConsumerHandle,
        client: &Name,
        next: &BTreeMap<ottla_model::TopicPartition, i64>,
    ) -> Fallible<()> {
        let first = ATTEMPTS.fetch_add(u64::try_from(next.len())?, Ordering::Relaxed);
        let at = self.notes.now();
        for (id, (partition, offset)) in (first..).zip(next) {
            let partition = name_of(partition.partition.value());
            let (client, group, offset) = (client.clone(), Name::from(GROUP), *offset);
            self.notes.add(Event::Commit { at, client, id, group, partition, offset, reset: false });
        }
        let position = |offset: i64| CommittedOffset::at(Offset::new(offset).unwrap_or_default());
        let offsets = next.iter().map(|(partition, offset)| (partition.clone(), position(*offset))).collect();
        let committed = consumer.commit_offsets(offsets).await;
        let at = self.notes.now();
        for (id, (partition, offset)) in (first..).zip(next) {
            let client = client.clone();
            self.notes.add(match committed.is_ok() {
                true => Event::CommitOk { at, client, id },
                false => Event::CommitInfo { at, client, id },
            });
            self.notes.reached(MEMBERS, partition.partition.value(), *offset);
        }
        if let Err(error) = committed {
            self.notes.complain(format!("{client}: {error}"));
        }
        Ok(())
    }
}
