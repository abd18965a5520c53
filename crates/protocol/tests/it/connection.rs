//! The connection machine, driven by bytes. Answers beside the bytes are those of Apache Kafka 4.3.1 on a socket.
//!
//! Owns: the script. Does not own: bodies of requests.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::ApiKey;
use ottla_protocol::connection::*;
use ottla_protocol::reply::Reply;
use proptest::prelude::*;

type Machine = Connection<Reply<()>>;

fn offered(api: ApiKey) -> Option<RangeInclusive<i16>> {
    (api != ApiKey::Vote && api != ApiKey::ControlledShutdown).then(|| api.stable_versions())
}

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        request_bytes_max: 104_857_600,
        inflight_bytes_max: INFLIGHT_BYTES_MAX,
        requests_max: REQUESTS_MAX,
        idle_max: Duration::from_mins(10),
    }
}

/// A header of version 1, or of version 2 where `tags` are given.
fn header(api: i16, version: i16, correlation_id: i32, tags: &[u8]) -> Vec<u8> {
    let mut bytes = api.to_be_bytes().to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(correlation_id.to_be_bytes());
    bytes.extend([0, 1, b'x']);
    bytes.extend(tags);
    bytes
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&i32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat()
}

/// Metadata version 0: the simplest request that is let through.
fn metadata(correlation_id: i32) -> Vec<u8> {
    frame(&[header(3, 0, correlation_id, &[]), vec![0; 4]].concat())
}

struct Script {
    machine: Machine,
    start: Instant,
}

impl Script {
    fn with(limits: ConnectionLimits) -> Script {
        let start = Instant::now();
        Script { machine: Machine::new(limits, offered, start), start }
    }

    fn new() -> Script {
        Script::with(limits())
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.machine.read_buffer().expect("reading is allowed").extend_from_slice(bytes);
        self.machine.on_read(self.start);
    }

    fn requests(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.machine.poll_request()).collect()
    }

    fn reply(&mut self, request: &Request, text: &'static [u8]) {
        let reply = Reply::Bytes(Bytes::from_static(text));
        self.machine.complete(request.ticket, Completion::Reply(reply));
    }

    fn replies(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.machine.poll_reply())
            .map(|reply| match reply {
                Reply::Bytes(bytes) => bytes.to_vec(),
                Reply::Parts(parts) => panic!("{parts:?}"),
            })
            .collect()
    }
}

/// The reason for which the machine ends after these bytes.
fn reason(bytes: &[u8]) -> CloseReason {
    let mut script = Script::new();
    script.receive(bytes);
    assert!(script.requests().is_empty());
    assert!(script.machine.is_over());
    assert!(script.machine.read_buffer().is_none());
    script.machine.closing().unwrap().clone()
}

/// WIRE-02: version 1 and 2 of the header; the client id keeps its classic form.
#[test]
fn headers_of_both_versions_are_read() {
    let mut script = Script::new();
    script.receive(&frame(&[header(3, 0, 7, &[]), b"body".to_vec()].concat()));
    script.receive(&frame(&[header(18, 3, -8, &[1, 5, 3, b'a', b'b', b'c']), b"body".to_vec()].concat()));
    let requests = script.requests();
    let seen: Vec<_> =
        requests.iter().map(|r| (r.api, r.version, r.correlation_id, r.body_bytes())).collect();
    assert_eq!(
        seen,
        [(ApiKey::Metadata, 0, 7, b"body".as_slice()), (ApiKey::ApiVersions, 3, -8, b"body".as_slice())]
    );
    assert!(requests.iter().all(|request| request.client_id() == "x"));
}

/// WIRE-02: null is "", and bytes that are no text do no harm, as in Kafka.
#[test]
fn any_client_id_is_taken() {
    for (id, expected) in [(&[0xff, 0xff][..], ""), (&[0, 0], ""), (&[0, 2, 0xff, 0xfe], "\u{fffd}\u{fffd}")]
    {
        let mut script = Script::new();
        script.receive(&frame(&[&[0, 3, 0, 0, 0, 0, 0, 7], id, &[0, 0, 0, 0]].concat()));
        let requests = script.requests();
        assert_eq!(requests[0].client_id(), expected);
        assert_eq!(requests[0].body_bytes(), [0; 4]);
    }
}

/// WIRE-01
#[test]
fn a_frame_of_an_impossible_size_ends_the_connection() {
    for got in [-1, i32::MIN, i32::MAX, 104_857_601] {
        assert_eq!(reason(&got.to_be_bytes()), CloseReason::Size { got, max: 104_857_600 });
    }
    let mut script = Script::new();
    script.receive(&104_857_600_i32.to_be_bytes());
    assert!(script.requests().is_empty());
    assert_eq!(script.machine.closing(), None);
    assert_eq!(script.machine.announced_bytes(), Some(104_857_604));
}

/// WIRE-01: authentication has a limit of its own.
#[test]
fn the_limit_of_a_request_can_change() {
    let mut script = Script::new();
    script.machine.set_request_bytes_max(524_288);
    script.receive(&524_289_i32.to_be_bytes());
    assert!(script.machine.poll_request().is_none());
    assert_eq!(script.machine.closing(), Some(&CloseReason::Size { got: 524_289, max: 524_288 }));
}

/// WIRE-05
#[test]
fn what_is_no_offered_request_ends_the_connection() {
    assert!(matches!(reason(&frame(&[])), CloseReason::Header(_)));
    assert!(matches!(reason(&frame(&[0, 3, 0, 0, 0, 0, 0])), CloseReason::Header(_)));
    assert!(matches!(reason(&frame(&[0, 3, 0, 0, 0, 0, 0, 7, 0x7f, 0xff])), CloseReason::Header(_)));
    assert!(matches!(
        reason(&frame(&header(18, 3, 7, &[0xff, 0xff, 0xff, 0xff, 0x0f]))),
        CloseReason::Header(_)
    ));
    assert_eq!(reason(&frame(&header(999, 0, 7, &[]))), CloseReason::UnknownApi { key: 999 });
    assert_eq!(reason(&frame(&header(-1, 0, 7, &[]))), CloseReason::UnknownApi { key: -1 });
    for (key, version) in [(0, 2), (0, 99), (0, -1), (3, 99), (52, 1), (7, 0), (4, 0)] {
        let tags: &[u8] = if version > 0 && key != 4 { &[0] } else { &[] };
        let expected = CloseReason::Version { api: ApiKey::from_number(key).unwrap(), version };
        assert_eq!(reason(&frame(&header(key, version, 7, tags))), expected);
    }
}

/// WIRE-06, TRAP-02, TRAP-03: byte for byte what Kafka answers, and the connection lives on.
#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let kafka = [0, 0, 0, 16, 0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
    for (version, tags) in [(99, &[0][..]), (-1, &[]), (5, &[0])] {
        let mut script = Script::new();
        script.receive(&frame(&header(18, version, 7, tags)));
        script.receive(&metadata(8));
        let requests = script.requests();
        assert_eq!(requests.len(), 1);
        script.reply(&requests[0], b"metadata");
        assert_eq!(script.replies(), [kafka.to_vec(), b"metadata".to_vec()]);
        assert_eq!(script.machine.closing(), None);
    }
    // Its header must still be one of that version.
    assert!(matches!(reason(&frame(&header(18, 99, 7, &[]))), CloseReason::Header(_)));
}

/// WIRE-04, TRAP-01
#[test]
fn replies_leave_in_the_order_of_the_requests() {
    let mut script = Script::new();
    script.receive(&[metadata(1), metadata(2), metadata(3)].concat());
    let requests = script.requests();
    script.reply(&requests[2], b"three");
    assert!(script.replies().is_empty());
    script.reply(&requests[0], b"one");
    assert_eq!(script.replies(), [b"one"]);
    script.reply(&requests[1], b"two");
    assert_eq!(script.replies(), [b"two".as_slice(), b"three"]);
    assert_eq!(script.machine.inflight(), (0, 0));
}

/// PRD-19, TRAP-08: a request without a reply leaves no trace, but it keeps its place.
#[test]
fn a_request_without_a_reply_is_passed_over_in_order() {
    let mut script = Script::new();
    script.receive(&[metadata(1), metadata(2), metadata(3)].concat());
    let requests = script.requests();
    script.machine.complete(requests[0].ticket, Completion::NoReply);
    script.reply(&requests[2], b"three");
    assert!(script.replies().is_empty());
    script.machine.complete(requests[1].ticket, Completion::NoReply);
    assert_eq!(script.replies(), [b"three"]);
}

/// PRD-19: nothing can be said about a failed request without a reply, so the connection ends at its place.
#[test]
fn a_failure_without_a_reply_ends_the_connection_at_its_place() {
    let mut script = Script::new();
    script.receive(&[metadata(1), metadata(2), metadata(3)].concat());
    let requests = script.requests();
    script.machine.complete(requests[1].ticket, Completion::Close);
    assert!(script.replies().is_empty());
    assert!(!script.machine.is_over());
    script.reply(&requests[0], b"one");
    assert_eq!(script.replies(), [b"one"]);
    assert!(script.machine.is_over());
    assert_eq!(script.machine.closing(), Some(&CloseReason::Failed));
    // The third is late, not wrong.
    script.reply(&requests[2], b"three");
    assert!(script.replies().is_empty());
}

/// WIRE-05: what came before the fault is answered first.
#[test]
fn good_requests_before_a_bad_one_are_answered() {
    let mut script = Script::new();
    script.receive(&[metadata(1), frame(&header(999, 0, 2, &[])), metadata(3)].concat());
    let requests = script.requests();
    assert_eq!(requests.len(), 1);
    assert!(!script.machine.is_over());
    script.reply(&requests[0], b"one");
    assert_eq!(script.replies(), [b"one"]);
    assert!(script.machine.is_over());
}

/// WIRE-04: the bound on what one connection has in flight, in requests and in bytes.
#[test]
fn reading_pauses_while_too_much_is_in_flight() {
    let mut script = Script::with(ConnectionLimits { requests_max: 2, ..limits() });
    script.receive(&[metadata(1), metadata(2), metadata(3)].concat());
    let first = script.requests();
    assert_eq!(first.len(), 2);
    assert!(script.machine.read_buffer().is_none());
    script.reply(&first[0], b"one");
    assert!(script.machine.read_buffer().is_none(), "it did not leave yet");
    assert_eq!(script.replies(), [b"one"]);
    assert_eq!(script.requests()[0].correlation_id, 3);

    let bytes = u64::try_from(metadata(1).len() - 4).unwrap();
    let mut script = Script::with(ConnectionLimits { inflight_bytes_max: bytes + 1, ..limits() });
    script.receive(&[metadata(1), metadata(2), metadata(3)].concat());
    assert_eq!(script.requests().len(), 2);
    assert_eq!(script.machine.inflight(), (2, 2 * bytes));
    assert!(script.machine.read_buffer().is_none());
}

/// WIRE-14, TRAP-24: the reply leaves at once, then the client is not read for a while, whatever it sent before.
#[test]
fn a_throttled_client_is_answered_and_then_not_read() {
    let mut script = Script::new();
    script.receive(&[metadata(1), metadata(2)].concat());
    let first = script.machine.poll_request().unwrap();
    let until = script.at(300);
    script.reply(&first, b"one");
    script.machine.on_throttle(until);
    assert_eq!(script.replies(), [b"one"]);
    assert!(script.machine.read_buffer().is_none());
    assert!(script.machine.poll_request().is_none());
    assert_eq!(script.machine.deadline(), Some(until));
    let earlier = script.at(200);
    script.machine.on_throttle(earlier);
    script.machine.on_time(earlier);
    assert!(script.machine.poll_request().is_none());
    script.machine.on_time(until);
    assert_eq!(script.machine.poll_request().unwrap().correlation_id, 2);
    assert!(script.machine.read_buffer().is_some());
}

/// WIRE-12
#[test]
fn an_idle_connection_ends() {
    let mut script = Script::new();
    let (read, written) = (script.at(1_000), script.at(5_000));
    script.receive(&metadata(1));
    script.machine.on_read(read);
    let request = script.requests().remove(0);
    script.machine.on_written(written);
    assert_eq!(script.machine.deadline(), Some(script.at(605_000)));
    let just_before = script.at(604_999);
    script.machine.on_time(just_before);
    assert_eq!(script.machine.closing(), None);
    let then = script.at(605_000);
    script.machine.on_time(then);
    assert_eq!(script.machine.closing(), Some(&CloseReason::Idle { idle_ms: 600_000 }));
    assert!(script.machine.is_over());
    script.reply(&request, b"late");
    assert!(script.replies().is_empty());
}

/// WIRE-12, reliability 4.4: a request that is larger than a read buffer has to come at some pace, while it is read. Small ones may
/// take their time, as by Kafka.
#[test]
fn a_large_request_has_to_come_at_some_pace() {
    let mut script = Script::new();
    let announced = 104_857_600_i32.to_be_bytes();
    script.receive(&announced);
    assert!(script.requests().is_empty());
    script.machine.on_wait(script.start, true);
    assert_eq!(script.machine.deadline(), Some(script.at(30_000)));
    // Two seconds' worth of bytes give two seconds.
    script.receive(&[0; 32 * 1024]);
    assert_eq!(script.machine.deadline(), Some(script.at(32_000)));
    // While the node has no memory for it, the client is not to blame.
    let (asked, granted) = (script.at(31_000), script.at(50_000));
    script.machine.on_wait(asked, false);
    script.machine.on_time(granted);
    script.machine.on_wait(granted, true);
    assert_eq!(script.machine.deadline(), Some(script.at(80_000)));
    let (just_before, then) = (script.at(79_999), script.at(80_000));
    script.machine.on_time(just_before);
    assert_eq!(script.machine.closing(), None);
    script.machine.on_time(then);
    assert_eq!(script.machine.closing(), Some(&CloseReason::Slow { got: 32_772, size: 104_857_604 }));

    let mut small = Script::new();
    small.receive(&1_000_i32.to_be_bytes());
    assert!(small.requests().is_empty());
    small.machine.on_wait(small.start, true);
    assert_eq!(small.machine.deadline(), Some(small.at(600_000)));
}

/// TRAP-42: the end of a connection can be reported with what the client is.
#[test]
fn reason_and_software_are_told_at_the_end() {
    let mut script = Script::new();
    let software = ClientSoftware { name: "netscaler".to_owned(), version: "1.0".to_owned() };
    script.machine.set_software(software);
    script.receive(&frame(&header(0, 0, 7, &[])));
    script.requests();
    script.machine.close(CloseReason::Server { why: "later".to_owned() });
    assert_eq!(script.machine.closing().unwrap().to_string(), "Produce version 0 is not offered here");
    assert_eq!(script.machine.software().unwrap().to_string(), "netscaler 1.0");
}

/// PRD-21, performance 4.2: the frame is the request's own and can be patched in place.
#[test]
fn a_request_s_frame_can_be_changed_in_place() {
    let mut script = Script::new();
    script.receive(&[metadata(1), metadata(2)].concat());
    let mut requests = script.requests();
    let body = requests[0].body;
    requests[0].frame[body..].fill(9);
    assert_eq!(requests[0].body_bytes(), [9; 4]);
    assert_eq!(requests[1].body_bytes(), [0; 4]);
}

/// Performance 4.2: an idle connection owns no buffer, and neither does one that waits for the rest of a small request.
#[test]
fn a_buffer_with_little_or_nothing_in_it_can_be_given_away() {
    let mut script = Script::new();
    script.receive(&metadata(1)[..5]);
    let buffer = script.machine.take_buffer().unwrap();
    assert!(buffer.is_empty() && script.machine.take_buffer().is_none());
    script.machine.put_buffer(buffer);
    script.receive(&metadata(1)[5..]);
    assert_eq!(script.requests()[0].correlation_id, 1);
    let buffer = script.machine.take_buffer().unwrap();
    assert!(buffer.is_empty());
    script.machine.put_buffer(buffer);
    script.receive(&metadata(2));
    assert_eq!(script.requests()[0].correlation_id, 2);
}

#[test]
#[should_panic(expected = "was completed before")]
fn completing_a_request_twice_is_our_fault() {
    let mut script = Script::new();
    script.receive(&metadata(1));
    let request = script.requests().remove(0);
    script.reply(&request, b"one");
    script.reply(&request, b"again");
}

proptest! {
    /// WIRE-04, TRAP-01
    #[test]
    fn replies_keep_the_order_whatever_ends_first(order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let mut script = Script::new();
        script.receive(&(0..40).flat_map(metadata).collect::<Vec<u8>>());
        let requests = script.requests();
        let mut left = Vec::new();
        for at in order {
            let id = requests[at].correlation_id;
            let reply = Reply::Bytes(Bytes::copy_from_slice(&id.to_be_bytes()));
            script.machine.complete(requests[at].ticket, Completion::Reply(reply));
            left.extend(script.replies().into_iter().map(|reply| i32::from_be_bytes(reply.try_into().unwrap())));
        }
        prop_assert_eq!(left, (0..40).collect::<Vec<_>>());
    }

    /// WIRE-01, WIRE-05: any bytes at all.
    #[test]
    fn no_bytes_make_the_machine_panic(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..10)) {
        let mut script = Script::new();
        for chunk in chunks {
            let Some(buffer) = script.machine.read_buffer() else { break };
            buffer.extend_from_slice(&chunk);
            let _ = script.requests();
        }
    }
}
