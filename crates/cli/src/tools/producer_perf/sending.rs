//! Sending the records, and seeing them arrive.
//!
//! Owns: the task that sends, the wait for deliveries of each partition, when both end.
//! Does not own: what is measured (`stats`), the producer (`ottla_client`).
//!
//! One task sends as fast as it may. Another one, that of the caller, watches the oldest open delivery of each partition:
//! the records of a partition arrive in order. Between both lies a queue of bundles; a bundle is passed on at the latest
//! when sending has to wait.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future as _, poll_fn, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use ottla_client::Producer;
use ottla_client::producer::{Delivery, DeliveryError, ProducerRecord, SendError};
use ottla_env::sync::mpsc;
use ottla_env::{task, time};
use ottla_model::{PartitionIndex, TopicName};

use super::super::clients;
use super::super::throttle::{Pause, Throttle};
use super::Pace;
use super::payload::Payloads;
use super::stats::{Arrived, Run};
use crate::terminal::Terminal;

/// Records of a bundle.
const BUNDLE_MAX: usize = 256;
/// Bundles that may wait to be looked at.
const BUNDLES_MAX: usize = 64;
/// How long the last records may take. The producer's own timeouts end before.
const CLOSE_MAX: time::Duration = time::Duration::from_secs(3_600);

/// Everything that sending needs.
pub(super) struct Sending {
    pub producer: Producer,
    pub topic: TopicName,
    pub payloads: Payloads,
    pub pace: Pace,
}

/// A record that the producer took.
struct Underway {
    delivery: Delivery,
    sent_ms: i64,
    bytes: usize,
    is_steady: bool,
}

/// What became of a record when it was sent.
enum Sent {
    Underway(Underway),
    Refused(SendError),
}

/// Sends all records and prints what is measured.
pub(super) async fn run(sending: Sending, terminal: &mut Terminal<'_>) {
    let mut run = Run::new(sending.pace, time::wall_now().millis());
    let (bundles, arriving) = mpsc::channel(BUNDLES_MAX);
    let sender = task::spawn(send_all(sending, bundles));
    watch(arriving, &mut run, terminal).await;
    if let Ok(producer) = sender.await {
        producer.close(CLOSE_MAX).await;
    }
    run.print_totals(time::wall_now().millis(), terminal);
}

async fn send_all(mut sending: Sending, bundles: mpsc::Sender<Vec<Sent>>) -> Producer {
    let pace = sending.pace;
    let start = time::now();
    let mut throttle = Throttle::new(pace.throughput);
    let mut bundle = Bundle { sent: Vec::with_capacity(BUNDLE_MAX), at_ms: 0, bundles };
    for number in 0..pace.records {
        let value = sending.payloads.next(number);
        let bytes = value.len();
        let sent_ms = time::wall_now().millis();
        let record = ProducerRecord::to(&sending.topic).value(value);
        let taken = bundle.pass_on_while_waiting(sending.producer.send(record)).await;
        let is_steady = pace.warmup > 0 && number >= pace.warmup;
        let underway = |delivery| Sent::Underway(Underway { delivery, sent_ms, bytes, is_steady });
        bundle.push(taken.map_or_else(Sent::Refused, underway), sent_ms).await;
        match throttle.on_sent(number, start.elapsed()) {
            Pause::None => {}
            Pause::For(pause) => bundle.pass_on_while_waiting(time::sleep(pause)).await,
            Pause::ForEver => bundle.pass_on_while_waiting(std::future::pending()).await,
        }
    }
    bundle.pass_on().await;
    drop(bundle);
    sending.producer.flush().await;
    sending.producer
}

/// Records on their way to whoever watches them.
struct Bundle {
    sent: Vec<Sent>,
    /// When the last of them was sent.
    at_ms: i64,
    bundles: mpsc::Sender<Vec<Sent>>,
}

impl Bundle {
    async fn push(&mut self, sent: Sent, now_ms: i64) {
        if self.sent.len() >= BUNDLE_MAX || self.at_ms != now_ms {
            self.pass_on().await;
        }
        self.at_ms = now_ms;
        self.sent.push(sent);
    }

    async fn pass_on(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let bundle = std::mem::replace(&mut self.sent, Vec::with_capacity(BUNDLE_MAX));
        // The receiver lives as long as there are bundles.
        let _ = self.bundles.send(bundle).await;
    }

    /// Does something that may have to wait; what was sent so far is passed on before the wait.
    async fn pass_on_while_waiting<F: Future>(&mut self, work: F) -> F::Output {
        task::pin!(work);
        task::select! {
            biased;
            done = &mut work => return done,
            () = ready(()) => {}
        }
        self.pass_on().await;
        work.await
    }
}

/// The records that were sent and have not arrived.
struct Watched<'a, 't> {
    partitions: BTreeMap<PartitionIndex, VecDeque<Underway>>,
    run: &'a mut Run,
    terminal: &'a mut Terminal<'t>,
}

/// Sees records arrive until none is left and none follows.
async fn watch(mut arriving: mpsc::Receiver<Vec<Sent>>, run: &mut Run, terminal: &mut Terminal<'_>) {
    let mut watched = Watched { partitions: BTreeMap::new(), run, terminal };
    poll_fn(|context| {
        let ended = loop {
            match arriving.poll_recv(context) {
                Poll::Ready(Some(bundle)) => bundle.into_iter().for_each(|sent| watched.take(sent)),
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
        };
        watched.settle(context);
        match ended && watched.partitions.values().all(VecDeque::is_empty) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

impl Watched<'_, '_> {
    fn take(&mut self, sent: Sent) {
        match sent {
            Sent::Underway(underway) => {
                if underway.is_steady {
                    self.run.on_steady(underway.sent_ms);
                }
                self.partitions.entry(underway.delivery.partition()).or_default().push_back(underway);
            }
            Sent::Refused(error) => self.terminal.err_line(clients::send_failure(&error)),
        }
    }

    fn settle(&mut self, context: &mut Context<'_>) {
        let now_ms = time::wall_now().millis();
        for underway in self.partitions.values_mut() {
            while let Some(first) = underway.front_mut() {
                let Poll::Ready(outcome) = Pin::new(&mut first.delivery).poll(context) else { break };
                let outcome: Result<_, DeliveryError> = outcome;
                let arrived =
                    Arrived { latency_ms: now_ms - first.sent_ms, bytes: first.bytes, at_ms: now_ms };
                match outcome {
                    Ok(_) => self.run.on_arrived(arrived, first.is_steady, self.terminal),
                    Err(error) => self.terminal.err_line(clients::delivery_failure(&error)),
                }
                underway.pop_front();
            }
        }
    }
}
