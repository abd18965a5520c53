//! Consumes a topic as a member of a group and commits what it has handled. Start it twice to see them share.
//!
//! ```text
//! cargo run -p ottla-client --example consume -- localhost:9092 greetings
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use ottla_client::Consumer;
use ottla_client::config::ConsumerConfig;
use ottla_client::consumer::{ConsumerHandle, PollError, RebalanceListener, Step};
use ottla_client::model::{TopicName, TopicPartition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "greetings".to_owned());
    let read = run((&bootstrap, &topic, "greeters"), 1002).await?;
    println!("{read} records");
    Ok(())
}

/// Commits what was handled before other members get the partitions.
struct Rebalances;

impl RebalanceListener for Rebalances {
    fn on_assigned<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        println!("assigned {partitions:?}");
        Box::pin(std::future::ready(()))
    }

    fn on_revoked<'a>(
        &'a mut self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> Step<'a> {
        Box::pin(async move {
            println!("giving up {partitions:?}");
            if let Err(error) = consumer.commit().await {
                eprintln!("others will read some records again: {error}");
            }
        })
    }
}

/// The example itself: reads until `count` records came or none came for ten seconds.
pub async fn run(
    (bootstrap, topic, group): (&str, &str, &str),
    count: usize,
) -> Result<usize, Box<dyn Error>> {
    let properties = [
        ("bootstrap.servers", bootstrap),
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
    ];
    let properties: BTreeMap<String, String> =
        properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut consumer = Consumer::new(ConsumerConfig::from_properties(&properties)?)?;
    consumer.set_rebalance_listener(Rebalances);
    consumer.subscribe([TopicName::new(topic)?])?;

    let mut read = 0;
    while read < count {
        let records = match consumer.poll(Duration::from_secs(10)).await {
            Ok(records) if records.is_empty() => break,
            Ok(records) => records,
            // The bytes of a record are damaged: step over it, or give up. Everything that may pass is tried again inside.
            Err(PollError::Read(error)) => {
                eprintln!("{error}");
                break;
            }
            Err(error) => return Err(error.into()),
        };
        for record in &records {
            // Handle it. The bytes are shared with the answer of the broker, not copied.
            let _ = (&record.key, &record.value, &record.headers);
        }
        read += records.len();
        // In the background, in order; the last one is waited for below.
        drop(consumer.handle().commit_async().await?);
    }
    consumer.handle().commit().await?;
    consumer.close(Duration::from_secs(30)).await;
    Ok(read)
}
