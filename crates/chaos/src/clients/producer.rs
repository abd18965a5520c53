//! Idempotent producers with `acks=all`.
//!
//! Owns: the pace, and what is written down of each record. Does not own: the form of records (`payload`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_client::Producer;
use ottla_client::config::ProducerConfig;
use ottla_client::error::ErrorCode;
use ottla_client::producer::{DeliveryError, Header, ProduceError, ProducerRecord, SendError};
use ottla_env::sync::Semaphore;
use ottla_env::{task, time};
use ottla_model::{Offset, PartitionIndex};
use ottla_testkit::history::{Event, Name};

use super::{CLOSE, Cluster, name_of, topic};
use crate::Fallible;
use crate::payload::{HEADER, Origin, Payload};

/// Records between two looks at the clock.
const PACED: u64 = 20;

impl Cluster {
    /// Sends records, at most so many in flight, until it shall stop; ends when all outcomes are written down.
    pub async fn write(self, number: u64) -> Fallible<()> {
        let settings = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "1"),
            // A fault may last; nobody gives up before the end.
            ("delivery.timeout.ms", "600000"),
            ("max.block.ms", "600000"),
        ];
        let producer = Producer::new(ProducerConfig::from_properties(&self.properties(&settings))?)?;
        let room = Arc::new(Semaphore::new(usize::try_from(self.load.in_flight)?));
        let pause = self.load.per_second.map(|rate| Duration::from_secs(1) * 20 / rate.max(1));
        let mut due = time::now();
        for seq in 0.. {
            if !self.writing() {
                break;
            }
            let permit = Arc::clone(&room).acquire_owned().await?;
            self.send(&producer, (number, seq), permit).await?;
            if let Some(pause) = pause.filter(|_| seq % PACED == 0) {
                // What a fault has delayed is not made up for.
                due = (due + pause).max(time::now());
                time::sleep_until(due).await;
            }
        }
        // All permits are back when the last outcome is written down.
        drop(room.acquire_many(self.load.in_flight).await?);
        producer.close(CLOSE).await;
        Ok(())
    }

    /// Makes record `seq` of producer `number`, as the history knows it.
    pub(super) fn payload(&self, client: &str, seq: u64, partition: i32) -> Payload {
        let origin = Origin {
            run: &self.run,
            client,
            seq,
            partition: &format!("{}", name_of(partition)),
            wall_ms: time::wall_now().millis(),
            since_ns: self.notes.now(),
        };
        // Small and large ones by turns, from the first on.
        let filling = seq.wrapping_mul(31) % self.load.filling_max.max(1);
        let filling = usize::try_from(filling).unwrap_or(0);
        Payload::new(origin, filling)
    }

    /// A record of an idempotent producer is on its way.
    pub(super) fn note_send(&self, (client, seq): (&Name, u64), partition: i32, payload: &Payload) {
        self.note_sent((client, seq, true), partition, payload);
    }

    fn note_sent(&self, (client, seq, idempotent): (&Name, u64, bool), partition: i32, payload: &Payload) {
        self.notes.add(Event::Send {
            at: self.notes.now(),
            client: client.clone(),
            seq,
            partition: name_of(partition),
            digest: payload.digest(),
            idempotent,
            durable: true,
        });
    }

    async fn send<P: Send + 'static>(
        &self,
        producer: &Producer,
        (number, seq): (u64, u64),
        permit: P,
    ) -> Fallible<()> {
        let client = format!("producer-{number}");
        let index = i32::try_from(seq % u64::try_from(self.partitions)?)?;
        let payload = self.payload(&client, seq, index);
        let client = Name::from(client);
        self.note_send((&client, seq), index, &payload);
        let topic = topic()?;
        let partition = PartitionIndex::new(index).ok_or("a negative partition")?;
        let headers = [Header { key: HEADER.as_bytes(), value: Some(payload.header.as_bytes()) }];
        let record = ProducerRecord::to(&topic)
            .partition(partition)
            .key(payload.key.as_bytes())
            .value(payload.value.as_bytes())
            .headers(&headers);
        let sent = producer.send(record).await;
        let notes = Arc::clone(&self.notes);
        task::spawn(async move {
            let outcome = match sent {
                Ok(delivery) => delivery.await.map_err(ProduceError::from),
                Err(error) => Err(error.into()),
            };
            let at = notes.now();
            notes.add(match outcome {
                Ok(stored) => Event::SendOk { at, client, seq, offset: stored.offset.map(Offset::value) },
                Err(error) => {
                    notes.complain(format!("{client}: {error}"));
                    match is_certain(&error) {
                        true => Event::SendFail { at, client, seq },
                        false => Event::SendInfo { at, client, seq },
                    }
                }
            });
            drop(permit);
        });
        Ok(())
    }
}

/// What became of a record that was sent to see whether the node takes any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    Taken,
    Refused(ErrorCode),
    /// Any other end, in words.
    Unknown(String),
}

impl Cluster {
    /// Sends one record to a partition. Without `patience` the first answer counts, whatever it is.
    pub async fn probe(&self, partition: i32, patience: bool) -> Fallible<Probed> {
        let seq = PROBES.fetch_add(1, Ordering::Relaxed);
        let client = Name::from("probe");
        let payload = self.payload("probe", seq, partition);
        // One whose first answer counts is not kept for a leader that may not come.
        let [request, delivery, retries] = match patience {
            true => ["4000", "8000", "2147483647"],
            false => ["2000", "2500", "0"],
        };
        let settings = [
            ("acks", "all"),
            ("enable.idempotence", "false"),
            ("linger.ms", "0"),
            ("request.timeout.ms", request),
            ("delivery.timeout.ms", delivery),
            ("max.block.ms", delivery),
            ("retries", retries),
        ];
        let producer = Producer::new(ProducerConfig::from_properties(&self.properties(&settings))?)?;
        self.note_sent((&client, seq, false), partition, &payload);
        let topic = topic()?;
        let headers = [Header { key: HEADER.as_bytes(), value: Some(payload.header.as_bytes()) }];
        let record = ProducerRecord::to(&topic)
            .partition(PartitionIndex::new(partition).ok_or("a negative partition")?)
            .key(payload.key.as_bytes())
            .value(payload.value.as_bytes())
            .headers(&headers);
        let outcome = producer.deliver(record).await;
        let at = self.notes.now();
        let (event, probed) = match outcome {
            Ok(stored) => {
                let offset = stored.offset.map(Offset::value);
                (Event::SendOk { at, client, seq, offset }, Probed::Taken)
            }
            Err(error) => (Event::SendInfo { at, client, seq }, Probed::of(&error)),
        };
        self.notes.add(event);
        Ok(probed)
    }
}

/// Numbers the probes of this process.
static PROBES: AtomicU64 = AtomicU64::new(0);

impl Probed {
    fn of(error: &ProduceError) -> Probed {
        match error {
            ProduceError::Delivery(DeliveryError::Refused { error, .. })
            | ProduceError::Send(SendError::TopicRefused { error, .. }) => Probed::Refused(error.code),
            ProduceError::Send(_) | ProduceError::Delivery(_) => Probed::Unknown(error.to_string()),
        }
    }
}

/// Whether the record was certainly not written. A refusal by the broker may follow an attempt that was not answered.
fn is_certain(error: &ProduceError) -> bool {
    match error {
        ProduceError::Send(_) => true,
        ProduceError::Delivery(DeliveryError::Expired { maybe_stored, .. }) => !maybe_stored,
        ProduceError::Delivery(
            DeliveryError::Refused { .. }
            | DeliveryError::Call(_)
            | DeliveryError::Build(_)
            | DeliveryError::Closed,
        ) => false,
    }
}
