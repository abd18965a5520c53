//! Very many connections that do nothing, and the limits of their number.
//!
//! Owns: opening and counting them. Does not own: connections that do something (`floods`, `frames`).

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::Stage;
use crate::Fallible;
use crate::report::Found;
use crate::wire::{Connection, Reply};

/// Descriptors that attacker and node need for other things.
const OTHER_DESCRIPTORS: u64 = 1_500;
/// As many as the design names.
const CONNECTIONS_MAX: u64 = 20_000;
const PER_SECOND: u32 = 2_000;

/// As many connections as the descriptors allow, 2 000 a second; every other one has sent half of a size.
pub async fn connections(stage: &Stage<'_>) -> Fallible<Found> {
    let mut found = Found::default();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = CONNECTIONS_MAX.min(limit.saturating_sub(OTHER_DESCRIPTORS));
    let (before, descriptors) = (stage.node.own_bytes()?, stage.node.descriptors()?);
    let (begun, mut open, mut slowest) = (Instant::now(), Vec::new(), Duration::ZERO);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    // One that had to wait for the system's next try does not make the others come all at once: the backlog is short.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..u32::try_from(wanted)? {
        pace.tick().await;
        let asked = Instant::now();
        let host = u8::try_from(1 + number % 200)?;
        let mut client = Connection::open_from(host, stage.node.port).await?;
        slowest = slowest.max(asked.elapsed());
        if number % 2 == 1 {
            client.send(&[0, 0]).await?;
        }
        open.push(client);
    }
    let took = begun.elapsed();
    // The node takes from its backlog what the system has accepted.
    let all = descriptors + open.len();
    let until = Instant::now() + Duration::from_secs(20);
    while stage.node.descriptors()? < all && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let taken = stage.node.descriptors()?.saturating_sub(descriptors);
    found.must(taken >= open.len(), || format!("{taken} of {} connections were accepted", open.len()));
    let each = stage.node.own_bytes()?.saturating_sub(before) / wanted.max(1);
    let answers = stage.node.answers().await;
    found.must(answers, || "a new client gets no answer beside them".to_owned());
    found.must(each <= 16 * 1024, || format!("an idle connection costs {each} bytes"));
    found.fact(format!("{wanted} connections in {:.1} s, {each} bytes each", took.as_secs_f64()));
    found.fact(format!("the slowest was open after {} ms", slowest.as_millis()));
    if wanted < CONNECTIONS_MAX {
        found.fact(format!("descriptors: {limit}, so not {CONNECTIONS_MAX}"));
    }
    drop(open);
    gone(stage, descriptors, &mut found).await
}

/// The node forgets connections whose clients went away.
async fn gone(stage: &Stage<'_>, descriptors: usize, found: &mut Found) -> Fallible<Found> {
    let until = Instant::now() + Duration::from_secs(10);
    while stage.node.descriptors()? > descriptors + 10 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = stage.node.descriptors()?.saturating_sub(descriptors);
    found.must(left <= 10, || format!("{left} connections are left after their clients went away"));
    Ok(std::mem::take(found))
}

/// Beyond `max.connections.per.ip` new connections end at once; beyond `max.connections` they wait. `max.connections` is
/// 300, of one address 100.
pub async fn caps(stage: &Stage<'_>) -> Fallible<Found> {
    let mut found = Found::default();
    let descriptors = stage.node.descriptors()?;
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..200 {
        let mut client = Connection::open_from(2, stage.node.port).await?;
        match client.receive(Duration::from_millis(20)).await {
            Reply::Closed => refused += 1,
            Reply::Silent | Reply::Answer(_) => open.push(client),
        }
    }
    found.must(open.len() == 100 && refused == 100, || {
        format!("of 200 connections of one address {} are open and {refused} were refused", open.len())
    });
    // Where the backlog is full, too, connecting takes as long as the client likes.
    for number in 0..600_u32 {
        let opening = Connection::open_from(u8::try_from(3 + number % 100)?, stage.node.port);
        if let Ok(Ok(client)) = tokio::time::timeout(Duration::from_millis(10), opening).await {
            open.push(client);
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let all = stage.node.descriptors()?;
    found.fact(format!("{} connections asked for, {} accepted", open.len(), all - descriptors));
    found.must(all - descriptors <= 300, || format!("{} connections are open", all - descriptors));
    drop(open);
    let mut found = gone(stage, descriptors, &mut found).await?;
    let answers = stage.node.answers().await;
    found.must(answers, || "a new client gets no answer once there is room".to_owned());
    found.fact("max.connection.creation.rate is not done yet, and not tried");
    Ok(found)
}
