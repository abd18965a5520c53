//! Sends or reads records as fast as it goes and says how fast that was: the same work as librdkafka's
//! `rdkafka_performance`, with a callback for each delivery and a look at each record.
//!
//! ```text
//! cargo run --release -p ottla-client --example performance -- produce localhost:9092 topic COUNT BYTES [KEY=VALUE…]
//! cargo run --release -p ottla-client --example performance -- consume localhost:9092 topic COUNT [KEY=VALUE…]
//! ```
//!
//! It works on partition 0. `cargo xtask bench client` runs both programs in turn.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_client::config::{ConsumerConfig, ProducerConfig};
use ottla_client::model::{PartitionIndex, TopicName, TopicPartition};
use ottla_client::producer::ProducerRecord;
use ottla_client::{Consumer, Producer};

const USAGE: &str = "usage: performance produce BOOTSTRAP TOPIC COUNT BYTES [KEY=VALUE...]\n       \
                     performance consume BOOTSTRAP TOPIC COUNT [KEY=VALUE...]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (count, seconds) = match words.as_slice() {
        ["produce", bootstrap, topic, count, bytes, settings @ ..] => {
            let properties = properties(bootstrap, settings)?;
            // Batches are sent beside the loop that fills them.
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(produce(properties, topic, (count.parse()?, bytes.parse()?)))?
        }
        ["consume", bootstrap, topic, count, settings @ ..] => {
            let properties = properties(bootstrap, settings)?;
            // Records stay on the processor that received them.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(consume(properties, topic, count.parse()?))?
        }
        _ => return Err(USAGE.into()),
    };
    println!("{count} records in {seconds:.3} s: {:.0} msgs/s", f64::from(count) / seconds);
    Ok(())
}

fn properties(bootstrap: &str, settings: &[&str]) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or(USAGE)?;
        properties.insert(key.to_owned(), value.to_owned());
    }
    Ok(properties)
}

async fn produce(
    properties: BTreeMap<String, String>,
    topic: &str,
    (count, bytes): (u32, usize),
) -> Result<(u32, f64), Box<dyn Error>> {
    let producer = Producer::new(ProducerConfig::from_properties(&properties)?)?;
    let (topic, value) = (TopicName::new(topic)?, vec![b'x'; bytes]);
    let (delivered, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    for _ in 0..count {
        let record = ProducerRecord::to(&topic).partition(PartitionIndex::default()).value(&value);
        let (delivered, failed) = (Arc::clone(&delivered), Arc::clone(&failed));
        let tell = move |outcome: Result<_, _>| {
            let counter = if outcome.is_ok() { &delivered } else { &failed };
            counter.fetch_add(1, Ordering::Relaxed);
        };
        producer.send_with(record, tell).await?;
    }
    producer.flush().await;
    let seconds = begun.elapsed().as_secs_f64();
    let (delivered, failed) = (delivered.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    if delivered != u64::from(count) {
        return Err(format!("{delivered} of {count} records arrived, {failed} failed").into());
    }
    producer.close(Duration::from_secs(10)).await;
    Ok((count, seconds))
}

async fn consume(
    properties: BTreeMap<String, String>,
    topic: &str,
    count: u32,
) -> Result<(u32, f64), Box<dyn Error>> {
    let mut consumer = Consumer::new(ConsumerConfig::from_properties(&properties)?)?;
    let partition = TopicPartition::new(TopicName::new(topic)?, PartitionIndex::default());
    consumer.assign([partition.clone()]);
    consumer.handle().seek_to_beginning(&partition)?;
    // The first records begin the time, as in librdkafka's program: connecting is not measured.
    let (mut read, mut begun) = (0, None);
    while read < count {
        let records = consumer.poll(Duration::from_secs(10)).await?;
        begun.get_or_insert_with(Instant::now);
        for record in &records {
            black_box((&record.key, &record.value, record.offset));
            read += 1;
        }
    }
    let seconds = begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
    consumer.close(Duration::from_secs(10)).await;
    Ok((read, seconds))
}
