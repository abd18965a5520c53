//! Frames that are none, and frames that never end.
//!
//! Owns: impossible sizes, connections that send a byte now and then, bytes that are no requests.
//! Does not own: requests that are wrong inside (`requests`).

use std::time::{Duration, Instant};

use ottla_protocol::messages::{ApiKey, ApiVersionsRequest};

use super::Stage;
use crate::Fallible;
use crate::report::Found;
use crate::wire::{Connection, Reply, frame, framed};

/// How long an end may be waited for that has to come at once.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Sizes that no request has: the connection ends at once.
pub async fn sizes(stage: &Stage<'_>) -> Fallible<Found> {
    const TIMES: usize = 200;
    let mut found = Found::default();
    let mut slowest = Duration::ZERO;
    for size in [-1, 0, i32::MIN, i32::MAX, 100 * (1 << 20) + 1] {
        for _ in 0..TIMES {
            let mut client = Connection::open(stage.node.port).await?;
            let begun = Instant::now();
            client.send(&size.to_be_bytes()).await?;
            let reply = client.receive(AT_ONCE).await;
            slowest = slowest.max(begun.elapsed());
            let closed = reply == Reply::Closed;
            found.must(closed, || format!("a frame of {size} bytes got {reply:?}"));
            if !closed {
                break;
            }
        }
    }
    found.fact(format!("{} frames, the last connection closed after {} ms", 5 * TIMES, slowest.as_millis()));
    Ok(found)
}

/// Many connections announce 100 MiB and send a byte a second.
pub async fn slowloris(stage: &Stage<'_>) -> Fallible<Found> {
    const CONNECTIONS: u32 = 5_000;
    const SECONDS: u32 = 10;
    const PER_SECOND: u32 = 2_000;
    let mut found = Found::default();
    let before = stage.node.own_bytes()?;
    let announced = (100_i32 << 20).to_be_bytes();
    let start = framed(ApiKey::Produce, 9, &[0; 8])?;
    let start = [&announced[..], &start[4..]].concat();
    let mut open = Vec::new();
    let begun = Instant::now();
    for number in 0..CONNECTIONS {
        // More at once than the backlog holds (`socket.listen.backlog.size`) wait for the system's next try, a second later.
        tokio::time::sleep_until((begun + Duration::from_secs(1) * number / PER_SECOND).into()).await;
        let mut client = Connection::open_from(u8::try_from(1 + number % 200)?, stage.node.port).await?;
        client.send(&start).await?;
        open.push(client);
    }
    for _ in 0..SECONDS {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for client in &mut open {
            // The node may end any of them.
            let _ = client.stream.try_write(&[0]);
        }
    }
    let each = stage.node.own_bytes()?.saturating_sub(before) / u64::from(CONNECTIONS);
    found.fact(format!("{CONNECTIONS} connections that announce 100 MiB each cost {each} bytes each"));
    found.must(each <= 32 * 1024, || format!("{each} bytes for a connection that sent 40"));
    drop(open);
    Ok(found)
}

/// Bytes that are no requests, unknown APIs and versions, headers of the wrong form: each ends its connection. A question
/// for the versions may come at any time.
pub async fn garbage(stage: &Stage<'_>) -> Fallible<Found> {
    const TIMES: usize = 2_000;
    let mut found = Found::default();
    let header = |key: i16, version: i16| {
        [
            &[0, 0, 0, 14][..],
            &key.to_be_bytes(),
            &version.to_be_bytes(),
            &[0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0],
        ]
        .concat()
    };
    let mut hostile: Vec<Vec<u8>> = vec![
        header(1234, 0),
        header(-1, 0),
        header(i16::MAX, 0),
        header(3, 99),
        header(3, -1),
        header(0, i16::MAX),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3],
    ];
    for _ in 0..TIMES {
        let length = 1 + stage.random.index(200);
        let bytes: Vec<u8> =
            (0..length).map(|_| u8::try_from(stage.random.index(256)).unwrap_or_default()).collect();
        hostile.push([&u32::try_from(length)?.to_be_bytes()[..], &bytes].concat());
    }
    let mut answered = 0;
    for bytes in &hostile {
        let mut client = Connection::open(stage.node.port).await?;
        client.send(bytes).await?;
        match client.receive(AT_ONCE).await {
            Reply::Closed => {}
            // Chance may make a request for the versions.
            Reply::Answer(_) => answered += 1,
            Reply::Silent => found.misses.push(format!("{bytes:?} is neither answered nor refused")),
        }
    }
    found.must(answered <= 2, || format!("{answered} of {} pieces of garbage were answered", hostile.len()));
    out_of_order(stage, &mut found).await?;
    found.fact(format!("{} pieces of garbage, {answered} answered", hostile.len()));
    Ok(found)
}

/// Versions may be asked for at any time, in any version.
async fn out_of_order(stage: &Stage<'_>, found: &mut Found) -> Fallible<()> {
    let mut client = Connection::open(stage.node.port).await?;
    for version in [4_i16, 0, 3, 99, i16::MAX, 2] {
        let known = (0..=4).contains(&version);
        let mut request = frame(ApiKey::ApiVersions, if known { version } else { 4 }, &software(version))?;
        request[6..8].copy_from_slice(&version.to_be_bytes());
        client.send(&request).await?;
        let reply = client.receive(AT_ONCE).await;
        let code =
            if let Reply::Answer(answer) = &reply { answer.get(4..6).map(<[u8]>::to_vec) } else { None };
        let wanted = if known { [0, 0] } else { [0, 35] };
        found.must(code.as_deref() == Some(&wanted), || format!("ApiVersions {version} got {reply:?}"));
    }
    Ok(())
}

fn software(version: i16) -> ApiVersionsRequest {
    let word = |text: &str| if (0..3).contains(&version) { String::new() } else { text.to_owned() };
    ApiVersionsRequest { client_software_name: word("attack"), client_software_version: word("1") }
}
