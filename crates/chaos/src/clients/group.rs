//! Members of a classic group. They commit behind every poll.
//!
//! Owns: what is written down of commits and of ownership, one member that comes and goes, the look at a group that has
//! settled. Does not own: the end of the group's work (`Cluster::note_drained`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_client::admin::CommittedOffset;
use ottla_client::consumer::{ConsumerHandle, RebalanceListener, Step};
use ottla_env::time;
use ottla_model::{Offset, TopicPartition};
use ottla_testkit::history::{Event, Name};

use super::reader::Given;
use super::{CLOSE, Cluster, GROUP, MEMBERS, POLL, name_of, topic};
use crate::Fallible;
use crate::notes::Notes;

/// Names every attempt to commit in this process.
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// How long a group may take to settle once no fault is left: a member that was cut off in the middle of leaving is missed for a
/// session.
const SETTLE: Duration = Duration::from_secs(45);
/// Sessions of members, in milliseconds.
const SESSION: &str = "10000";
/// The shortest stay of a member that comes and goes; some are longer by up to four seconds.
const STAY: Duration = Duration::from_secs(2);

/// Writes down what a member owns.
struct Ownership {
    client: Name,
    notes: Arc<Notes>,
}

impl Ownership {
    fn note(&self, partitions: &[TopicPartition], event: impl Fn(u64, Name, Name, Name) -> Event) {
        let at = self.notes.now();
        for partition in partitions {
            let partition = name_of(partition.partition.value());
            self.notes.add(event(at, self.client.clone(), Name::from(GROUP), partition));
        }
    }

    fn note_end(&self, partitions: &[TopicPartition], lost: bool) {
        self.note(partitions, |at, client, group, partition| Event::Revoked {
            at,
            client,
            group,
            partition,
            lost,
        });
    }
}

impl RebalanceListener for Ownership {
    fn on_revoked<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.note_end(partitions, false);
        Box::pin(std::future::ready(()))
    }

    fn on_assigned<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.note(partitions, |at, client, group, partition| Event::Assigned {
            at,
            client,
            group,
            partition,
        });
        Box::pin(std::future::ready(()))
    }

    fn on_lost<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.note_end(partitions, true);
        Box::pin(std::future::ready(()))
    }
}

impl Cluster {
    /// Reads what the group gives it, and commits behind every poll, until it shall stop.
    pub async fn follow_as_member(self, number: u64) -> Fallible<()> {
        self.stay(format!("member-{number}"), None).await
    }

    /// As [`Cluster::follow_as_member`], but leaves again and again and comes back as another member, until writing stops.
    pub async fn come_and_go_as_member(self, number: u64) -> Fallible<()> {
        let mut turn = 0;
        while self.reading() {
            let stay = STAY + Duration::from_secs(turn % 5);
            self.clone().stay(format!("member-{number}.{turn}"), Some(stay)).await?;
            turn += 1;
        }
        Ok(())
    }

    async fn stay(self, name: String, stay: Option<Duration>) -> Fallible<()> {
        let settings =
            [("group.id", GROUP), ("session.timeout.ms", SESSION), ("heartbeat.interval.ms", "1000")];
        let mut consumer = self.consumer(&settings)?;
        let (client, group) = (Name::from(name), Name::from(GROUP));
        let notes = Arc::clone(&self.notes);
        consumer.set_rebalance_listener(Ownership { client: client.clone(), notes });
        consumer.subscribe([topic()?])?;
        let until = stay.map(|stay| time::now() + stay);
        let goes = |now| until.is_some_and(|until| now >= until) && self.writing();
        while self.reading() && !goes(time::now()) {
            let records = match consumer.poll(POLL).await {
                Ok(records) => records,
                Err(error) => {
                    self.notes.complain(format!("{GROUP}: {error}"));
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

    /// Looks at the group until it has settled, or for as long as that may take.
    pub async fn await_settled(&self) -> Fallible<()> {
        let admin = self.admin()?;
        let since = self.notes.now();
        let until = time::now() + SETTLE;
        loop {
            let described = admin.describe_groups(&[GROUP.to_owned()]).await;
            let group = described.into_iter().find_map(|(_, group)| group.ok());
            let stable = group.as_ref().is_some_and(|group| group.state == "Stable");
            let owned: Vec<TopicPartition> = group
                .into_iter()
                .flat_map(|group| group.members)
                .flat_map(|member| member.assignment)
                .collect();
            let owners = |one: &TopicPartition| owned.iter().filter(|owned| *owned == one).count() as u64;
            let partitions = self.partitions()?;
            if (stable && partitions.iter().all(|one| owners(one) == 1)) || time::now() >= until {
                for one in &partitions {
                    self.notes.add(Event::Settled {
                        since,
                        at: self.notes.now(),
                        within: u64::try_from(SETTLE.as_nanos())?,
                        group: Name::from(GROUP),
                        partition: name_of(one.partition.value()),
                        stable,
                        owners: owners(one),
                    });
                }
                return Ok(());
            }
            time::sleep(POLL).await;
        }
    }

    async fn commit(
        &self,
        consumer: &ConsumerHandle,
        client: &Name,
        next: &BTreeMap<TopicPartition, i64>,
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
