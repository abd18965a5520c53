//! Clients that ask and do not read.
//!
//! Owns: pipelined requests without end, large fetches that are read byte by byte. Does not own: idle clients (`crowds`).

use std::time::{Duration, Instant};

use ottla_protocol::messages::{ApiKey, MetadataRequest};

use super::Stage;
use crate::Fallible;
use crate::honest::{batch, create_topics, fetch_frame, produce_code, produce_frame};
use crate::node::Node;
use crate::report::Found;
use crate::wire::{Connection, Reply, frame};

/// A socket that takes nothing for so long takes nothing any more.
const STALLED: Duration = Duration::from_secs(2);

/// A million requests on each of a few connections, none of whose answers is read: the node stops reading them.
pub async fn pipeline(stage: &Stage<'_>) -> Fallible<Found> {
    const CONNECTIONS: usize = 10;
    const REQUESTS: usize = 1_000_000;
    let mut found = Found::default();
    let one = frame(ApiKey::Metadata, 9, &MetadataRequest { topics: None, ..MetadataRequest::default() })?;
    let many = one.repeat(1_000);
    let mut open = Vec::new();
    let mut most = 0;
    for _ in 0..CONNECTIONS {
        let client = Connection::open(stage.node.port).await?;
        let taken = written_until_it_stalls(&client, &many, one.len() * REQUESTS).await?;
        most = most.max(taken / one.len());
        open.push(client);
    }
    found.must(most < REQUESTS, || format!("all {REQUESTS} requests were read"));
    found.fact(format!(
        "of {REQUESTS} requests on each of {CONNECTIONS} connections at most {most} were taken"
    ));
    // Whoever reads after all gets the answers.
    let mut client = open.swap_remove(0);
    for number in 0..1_000 {
        let reply = client.receive(Duration::from_secs(10)).await;
        let is_answer = matches!(reply, Reply::Answer(_));
        found.must(is_answer, || format!("answer {number} is {reply:?}"));
        if !is_answer {
            break;
        }
    }
    Ok(found)
}

/// Bytes that a socket took until it took no more, at most `bytes_max`.
async fn written_until_it_stalls(client: &Connection, bytes: &[u8], bytes_max: usize) -> Fallible<usize> {
    let mut written = 0;
    while written < bytes_max {
        let writable = tokio::time::timeout(STALLED, client.stream.writable()).await;
        let Ok(writable) = writable else { break };
        writable?;
        match client.stream.try_write(&bytes[written % bytes.len()..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

const TOPIC: &str = "large";

/// 64 MiB in a topic.
pub async fn fill(node: &Node) -> Fallible<()> {
    create_topics(node.port, &[TOPIC]).await?;
    let request = produce_frame((TOPIC, 1), batch(1, 1_000_000)?)?;
    let mut client = Connection::open(node.port).await?;
    for _ in 0..64 {
        client.send(&request).await?;
        match client.receive(Duration::from_secs(30)).await {
            Reply::Answer(answer) if produce_code(&answer)? == 0 => {}
            other @ (Reply::Answer(_) | Reply::Closed | Reply::Silent) => {
                return Err(format!("records for {TOPIC} got {other:?}").into());
            }
        }
    }
    Ok(())
}

/// Many consumers ask for 50 MiB each and read a byte a second.
pub async fn slow_readers(stage: &Stage<'_>) -> Fallible<Found> {
    const CONNECTIONS: u32 = 1_000;
    const SECONDS: u32 = 8;
    let mut found = Found::default();
    let before = stage.node.own_bytes()?;
    let request = fetch_frame(TOPIC, 0, (500, 50 << 20))?;
    let (begun, mut open) = (Instant::now(), Vec::new());
    for number in 0..CONNECTIONS {
        let mut client = Connection::open_from(u8::try_from(1 + number % 200)?, stage.node.port).await?;
        client.send(&request).await?;
        open.push(client);
    }
    for second in 1..=SECONDS {
        tokio::time::sleep_until((begun + Duration::from_secs(1) * second).into()).await;
        for client in &open {
            let mut byte = [0];
            let _ = client.stream.try_read(&mut byte);
        }
    }
    let each = stage.node.own_bytes()?.saturating_sub(before) / u64::from(CONNECTIONS);
    found.fact(format!("{CONNECTIONS} consumers of 50 MiB each cost {each} bytes of memory each"));
    found.must(each <= 64 * 1024, || format!("a slow reader costs {each} bytes"));
    drop(open);
    Ok(found)
}
