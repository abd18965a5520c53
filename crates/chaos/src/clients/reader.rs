//! Readers outside of groups: one that follows, and those that read all at the end.
//!
//! Owns: what is written down of a record that was read. Does not own: members of groups (`group`).

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::consumer::ConsumerRecord;
use ottla_env::time;
use ottla_model::{Offset, TopicPartition};
use ottla_testkit::history::{Event, Name};

use super::{ANSWER, Cluster, FOLLOWER, POLL, name_of};
use crate::Fallible;
use crate::payload::{HEADER, digest_of, identity};

/// Longest a reader waits for the first record of what is there.
const READ: Duration = Duration::from_secs(10);

/// Longest for a reader that may have to stop at what is damaged.
const CARELESS: Duration = Duration::from_secs(6);

/// A record as any client gives it.
pub(super) struct Given<'a> {
    pub partition: i32,
    pub offset: i64,
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub header: &'a [u8],
}

impl<'a> Given<'a> {
    pub(super) fn of(record: &'a ConsumerRecord) -> Given<'a> {
        let header = record.headers.iter().find(|header| header.key == HEADER.as_bytes());
        Given {
            partition: record.partition.value(),
            offset: record.offset.value(),
            key: record.key.as_deref().unwrap_or_default(),
            value: record.value.as_deref().unwrap_or_default(),
            header: header.and_then(|header| header.value.as_deref()).unwrap_or_default(),
        }
    }
}

impl Cluster {
    pub(super) fn note_read(&self, (client, group): (&Name, Option<&Name>), given: &Given<'_>) {
        // What nobody can have sent is a phantom of nobody.
        let (producer, seq) =
            identity(&self.run, given.value, given.header).unwrap_or((Name::from("nobody"), 0));
        self.notes.add(Event::Read {
            at: self.notes.now(),
            client: client.clone(),
            group: group.cloned(),
            partition: name_of(given.partition),
            offset: given.offset,
            producer,
            seq,
            digest: digest_of(given.key, given.value, given.header),
        });
    }

    /// Reads all partitions as they grow.
    pub async fn follow(self) -> Fallible<()> {
        let mut consumer = self.consumer(&[])?;
        consumer.assign(self.partitions()?);
        let client = Name::from(FOLLOWER);
        while self.reading() {
            match consumer.poll(POLL).await {
                Ok(records) => {
                    for record in &records {
                        self.note_read((&client, None), &Given::of(record));
                        let (partition, next) = (record.partition.value(), record.offset.value() + 1);
                        self.notes.reached(FOLLOWER, partition, next);
                    }
                }
                Err(error) => {
                    self.notes.complain(format!("{client}: {error}"));
                    time::sleep(POLL).await;
                }
            }
        }
        Ok(())
    }

    /// A final read of everything by a client of its own.
    pub async fn read_all(&self, client: &str, ends: &BTreeMap<i32, i64>) -> Fallible<()> {
        let since = self.notes.now();
        let client = Name::from(client);
        let mut consumer = self.consumer(&[])?;
        consumer.assign(self.partitions()?);
        let mut left: BTreeMap<i32, i64> =
            ends.iter().filter(|(_, end)| **end > 0).map(|(p, e)| (*p, *e)).collect();
        while !left.is_empty() {
            let records = time::timeout(ANSWER, self.some_records(&mut consumer)).await;
            let records = records.map_err(|_| format!("{client} gets nothing; left to read: {left:?}"))?;
            for record in &records {
                self.note_read((&client, None), &Given::of(record));
                let partition = record.partition.value();
                if left.get(&partition).is_some_and(|end| record.offset.value() + 1 >= *end) {
                    left.remove(&partition);
                }
            }
        }
        self.note_read_all((&client, since), ends);
        Ok(())
    }

    /// Reads a partition from an offset on up to another one, or to an error, as somebody who compares no checksums and takes
    /// little at once. The last offset that was given.
    pub async fn read_from(&self, partition: i32, from: i64, to: i64) -> Fallible<Option<i64>> {
        let mut consumer =
            self.consumer(&[("check.crcs", "false"), ("max.partition.fetch.bytes", "20000")])?;
        let client = Name::from("careless reader");
        let of_it = |it: &TopicPartition| it.partition.value() == partition;
        let partition = self.partitions()?.into_iter().find(of_it).ok_or("no such partition")?;
        consumer.assign([partition.clone()]);
        consumer.handle().seek(&partition, Offset::new(from).ok_or("a negative offset")?)?;
        let (mut last, until) = (None, time::now() + CARELESS);
        while time::now() < until && last.is_none_or(|last| last < to) {
            match consumer.poll(POLL).await {
                Ok(records) => {
                    for record in &records {
                        self.note_read((&client, None), &Given::of(record));
                        last = Some(record.offset.value());
                    }
                }
                Err(error) => {
                    self.notes.complain(format!("{client}: {error}"));
                    // What is told again and again is so.
                    if time::now() + CARELESS / 2 > until {
                        break;
                    }
                }
            }
        }
        Ok(last)
    }

    /// Whether a new reader is given records.
    pub async fn can_read(&self, partition: i32) -> Fallible<bool> {
        let mut consumer = self.consumer(&[])?;
        consumer.assign(self.partitions()?.into_iter().filter(|it| it.partition.value() == partition));
        let records = time::timeout(READ, self.some_records(&mut consumer)).await;
        Ok(records.is_ok_and(|records| !records.is_empty()))
    }

    async fn some_records(&self, consumer: &mut ottla_client::Consumer) -> Vec<ConsumerRecord> {
        loop {
            match consumer.poll(POLL).await {
                Ok(records) if records.is_empty() => {}
                Ok(records) => return records,
                Err(error) => {
                    self.notes.complain(format!("final read: {error}"));
                    time::sleep(POLL).await;
                }
            }
        }
    }

    pub(super) fn note_read_all(&self, (client, since): (&Name, u64), ends: &BTreeMap<i32, i64>) {
        for (partition, end) in ends {
            let (client, partition, at) = (client.clone(), name_of(*partition), self.notes.now());
            self.notes.add(Event::ReadAll { since, at, client, partition, start: 0, end: *end });
        }
    }
}
