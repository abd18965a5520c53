//! Sends lines to a topic: many at once, with a key, a header and a callback; then one that is waited for.
//!
//! ```text
//! cargo run -p ottla-client --example produce -- localhost:9092 greetings
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use ottla_client::Producer;
use ottla_client::config::ProducerConfig;
use ottla_client::model::TopicName;
use ottla_client::producer::{Header, ProducerRecord};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "greetings".to_owned());
    run(&bootstrap, &topic).await
}

/// The example itself.
pub async fn run(bootstrap: &str, topic: &str) -> Result<(), Box<dyn Error>> {
    // Keys and defaults are those of the Java client: idempotent, acks=all, linger.ms=5.
    let properties = BTreeMap::from([
        ("bootstrap.servers".to_owned(), bootstrap.to_owned()),
        ("compression.type".to_owned(), "zstd".to_owned()),
    ]);
    let producer = Producer::new(ProducerConfig::from_properties(&properties)?)?;
    let topic = TopicName::new(topic)?;

    // `send` answers once the record is in a batch; it waits only while the buffer is full. The delivery is a future.
    let mut deliveries = Vec::new();
    for number in 0..1000_u32 {
        let (key, value) = (number.to_string(), format!("hello {number}"));
        let headers = [Header { key: b"lang", value: Some(b"en") }];
        let record = ProducerRecord::to(&topic).key(key.as_bytes()).value(value.as_bytes()).headers(&headers);
        deliveries.push(producer.send(record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }

    // Or a callback instead of a future.
    let record = ProducerRecord::to(&topic).value(b"with a callback");
    producer
        .send_with(record, |outcome| match outcome {
            Ok(stored) => println!("stored in partition {} at {:?}", stored.partition, stored.offset),
            Err(error) => eprintln!("not stored: {error}"),
        })
        .await?;

    // Or wait at once, where there is only one.
    let stored = producer.deliver(ProducerRecord::to(&topic).value(b"the last one")).await?;
    println!("the last one is in partition {} at {:?}", stored.partition, stored.offset);
    producer.close(Duration::from_secs(30)).await;
    Ok(())
}
