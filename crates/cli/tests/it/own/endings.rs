//! How `ottla produce` and `ottla consume` end: by signals, readers that leave, groups, refusals.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use crate::process::{Node, Place};

/// A process of `ottla` with all three streams.
fn start(node: &Node, line: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(line.split(' '))
        .env_clear()
        .env("OTTLA_BOOTSTRAP", &node.address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn next_line(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line
}

/// Sends a signal and answers the exit code and standard error.
fn end_by(mut child: Child, signal: &str) -> (Option<i32>, String) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    let code = child.wait().unwrap().code();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (code, err)
}

fn produce(node: &Node, topic: &str, input: &str) {
    let ran = node.ottla_with(&format!("produce {topic}"), input.as_bytes());
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""), "{ran:?}");
}

#[test]
fn a_reader_that_follows_sees_what_comes_and_says_how_much_it_was() {
    let node = Node::start("own-follow", "");
    node.done("topic create t -p 1");
    produce(&node, "t", "early\n");
    for (line, first, signal, exit, told) in [
        ("consume t --follow", Some("early\n"), "INT", 130, "ended: 2 records were printed\n"),
        ("consume t --offset -1 --follow", Some("late\n"), "TERM", 143, "ended: 2 records were printed\n"),
        ("consume t --offset 3 --follow", None, "INT", 130, "ended: 1 record was printed\n"),
    ] {
        let mut child = start(&node, line);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        if let Some(first) = first {
            assert_eq!(next_line(&mut out), first, "{line}");
        }
        produce(&node, "t", "late\n");
        assert_eq!(next_line(&mut out), "late\n", "{line}");
        assert_eq!(end_by(child, signal), (Some(exit), told.to_owned()), "{line}");
    }
    for line in ["consume t --follow -n 5", "consume t --follow --offset 5:6"] {
        let mut child = start(&node, line);
        produce(&node, "t", "more\n");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{line}");
    }
}

/// A reader that sleeps while records come and go goes on with the first one that is left.
#[test]
fn records_that_are_deleted_before_they_are_read_are_passed_over_with_a_note() {
    let node = Node::start("own-deleted", "");
    let place = Place::new("own-deleted-file");
    let file = place.0.join("offsets.json").display().to_string();
    let all = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"offset":-1}]}"#;
    std::fs::write(&file, all).unwrap();
    node.done("topic create t -p 1");
    produce(&node, "t", "first\n");
    let mut child = start(&node, "consume t --follow");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next_line(&mut out), "first\n");
    let id = child.id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    };
    signal("STOP");
    // The answer to a fetch that is under way may bring the one, but not the other.
    produce(&node, "t", "one\n");
    produce(&node, "t", "other\n");
    node.done(&format!("kafka-delete-records --bootstrap-server {} --offset-json-file {file}", node.address));
    produce(&node, "t", "last\n");
    signal("CONT");
    let mut seen = String::new();
    while seen != "last\n" {
        seen = next_line(&mut out);
        assert!(["one\n", "last\n"].contains(&seen.as_str()), "{seen}");
    }
    let (exit, told) = end_by(child, "INT");
    assert_eq!(exit, Some(130), "{told}");
    assert!(told.contains(" to 3 were deleted meanwhile\n"), "{told}");
}

/// `ottla consume --follow | head -1`, also where nothing more comes.
#[test]
fn a_reader_of_the_output_that_leaves_ends_it_well() {
    let node = Node::start("own-pipe", "");
    node.done("topic create t -p 1");
    produce(&node, "t", "one\ntwo\n");
    let mut child = start(&node, "consume t --follow");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next_line(&mut out), "one\n");
    drop(out);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn a_group_goes_on_behind_what_it_printed() {
    let node = Node::start("own-group", "group.initial.rebalance.delay.ms=0");
    node.done("topic create t -p 1");
    produce(&node, "t", "1\n2\n3\n");
    assert_eq!(node.done("consume t -g g -n 2"), "1\n2\n");
    // Had the first one committed too much, this would come next.
    produce(&node, "t", "4\n");
    let mut child = start(&node, "consume t -g g");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next_line(&mut out), "3\n");
    assert_eq!(next_line(&mut out), "4\n");
    let (exit, told) = end_by(child, "INT");
    assert_eq!((exit, told.as_str()), (Some(130), "ended: 2 records were printed and committed\n"));
    let described = node
        .ottla(&format!("kafka-consumer-groups --bootstrap-server {} --describe --group g", node.address));
    assert!(described.err.contains("Consumer group 'g' has no active members."), "it left: {described:?}");
    produce(&node, "t", "5\n");
    assert_eq!(node.done("consume t. t -r -g g -n 1"), "5\n");
    // A group that is new begins where it is told to, and reading without a group commits nothing.
    let mut late = start(&node, "consume t -g late --offset start -n 1");
    assert_eq!(next_line(&mut BufReader::new(late.stdout.take().unwrap())), "1\n");
    assert_eq!(late.wait().unwrap().code(), Some(0));
    assert_eq!(node.done("consume t -n 1 -X group.id=late"), "1\n");
    assert_eq!(node.done("consume t -g late -n 1"), "2\n");
}

/// What was typed arrives, and what was not finished does not.
#[test]
fn a_signal_ends_producing_behind_the_last_whole_record() {
    let node = Node::start("own-typed", "");
    node.done("topic create t -p 1");
    let mut child = start(&node, "produce t -o %o:%v\\n");
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(b"one\ntwo\nhal").unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(next_line(&mut out), "0:one\n");
    assert_eq!(next_line(&mut out), "1:two\n");
    assert_eq!(end_by(child, "INT"), (Some(130), "ended: 2 records were produced\n".to_owned()));
    // All of this does not fit into a pipe, so it is read; and no batch leaves before its time but by the signal.
    let mut child =
        start(&node, "produce t -X linger.ms=3600000 -X delivery.timeout.ms=7200000 -X batch.size=10000000");
    let mut typed = child.stdin.take().unwrap();
    typed.write_all("x\n".repeat(100_000).as_bytes()).unwrap();
    let (exit, told) = end_by(child, "TERM");
    let count = node.done("consume t --offset 2").lines().count();
    let were = if count == 1 { "record was" } else { "records were" };
    assert_eq!((exit, told), (Some(143), format!("ended: {count} {were} produced\n")));
}

#[test]
fn a_slip_is_told_in_one_line_before_anything_is_done() {
    let node = Node::start("own-slips", "");
    node.done("topic create orders -p 2");
    for (line, message) in [
        ("consume", "the following required arguments were not provided"),
        ("consume orders --no-such-flag", "unexpected argument '--no-such-flag'"),
        ("consume orders orders", "'orders' is named twice"),
        ("consume orders --offset 9:3", "'9:3' is no offset"),
        ("consume orders --offset @yesterday", "'@yesterday' is no offset"),
        ("consume orders -n 0", "invalid value '0'"),
        ("consume orders -p 0 -g g", "cannot be used with"),
        ("consume orders -p x", "invalid value 'x'"),
        ("consume orders -g g --offset 7", "--group and --offset 7 contradict each other"),
        ("consume orders --follow --offset :end", "--follow and --offset :end contradict each other"),
        ("consume orders -f %k%z", "'%k%z' is no format\ndetail: At character 3: %z"),
        ("consume orders -f x -o json", "--format and --output json contradict each other"),
        ("consume o(rders -r", "'o(rders' is no regular expression"),
        ("consume orders --grep [", "'[' is no regular expression"),
        ("consume orders -X no.such=1", "'no.such' is no setting of a client"),
        ("produce", "no topic was named"),
        ("produce orders -f %v", "records cannot be read by the format '%v'\ndetail: %v has neither"),
        ("produce orders -f %o%v\\n", "'%o%v\\n' is no format\ndetail: At character 1: %o"),
        ("produce orders -i json -f %v\\n", "--format and --input json contradict each other"),
        ("produce orders -p 0 --repartition", "cannot be used with"),
        ("produce orders -z brotli", "invalid value 'brotli'"),
        ("produce orders --acks 2", "invalid value '2'"),
        ("produce orders --acks 0 -o json", "--output and --acks 0 contradict each other"),
        ("produce orders -H nonsense", "invalid value 'nonsense'"),
        ("produce orders --dry-run -o %o", "--dry-run and an --output of single records contradict"),
        (
            "produce orders --acks 1 -X enable.idempotence=true",
            "the settings of the connection are not valid",
        ),
    ] {
        let ran = node.ottla_with(line, b"x\n");
        assert_eq!((ran.exit, ran.out.len()), (Some(2), 0), "{line}: {ran:?}");
        assert!(
            ran.err.starts_with(&format!("error: {message}")) || ran.err.contains(message),
            "{}",
            ran.err
        );
        assert!(ran.err.starts_with("error: "), "{line}: {}", ran.err);
    }
    assert_eq!(node.done("consume orders"), "");
}

#[test]
fn what_the_cluster_does_not_have_is_told_with_what_it_has() {
    let node = Node::start("own-unknown", "");
    node.done("topic create orders -p 2");
    for (line, message, more) in [
        ("consume ordres", "there is no topic 'ordres'", "hint: Did you mean 'orders'?"),
        ("consume orders nothing", "there is no topic 'nothing'", "`ottla topic create nothing` makes it"),
        ("consume zz.* -r", "no topic has a name that matches", "ottla topic list"),
        ("consume orders -p 2", "topic orders has no partition 2", "detail: Its partitions are 0 to 1."),
        ("consume ordres -g g", "there is no topic 'ordres'", "hint: Did you mean 'orders'?"),
        ("produce Orders", "there is no topic 'Orders'", "hint: Did you mean 'orders'?"),
        ("produce orders --file /no/such", "/no/such cannot be read", "detail: No such file"),
        ("produce orders --file /", "/ cannot be read", "detail: It is a directory."),
        ("consume orders -b localhost:1 --timeout 1", "the topics could not be described", "No node"),
        ("produce orders -b localhost:1 --timeout 1", "the topics could not be described", "No node"),
    ] {
        let ran = node.ottla_with(line, b"x\n");
        assert_eq!((ran.exit, ran.out.len()), (Some(1), 0), "{line}: {ran:?}");
        assert!(ran.err.starts_with(&format!("error: {message}\n")), "{line}: {}", ran.err);
        assert!(ran.err.contains(more), "{line}: {}", ran.err);
    }
    assert_eq!(node.done("topic list -o csv").lines().count(), 2, "no topic was made by asking for it");
    assert_eq!(node.done("consume orders"), "");
}

/// A command line, its input, how many good records are in it, the message, the reason.
const BROKEN: &[(&str, &str, usize, &str, &str)] = &[
    (
        "produce t -i json",
        "{\"value\":\"a\"}\n\n{\"value\":\"b\"}\n{\"value\":\"c\"",
        2,
        "the input cannot be read at line 4",
        "It is no JSON at character 12: EOF while parsing an object.",
    ),
    (
        "produce t -i json",
        "{\"value\":\"a\"}\n[]\n",
        1,
        "the input cannot be read at line 2",
        "It is no JSON object.",
    ),
    (
        "produce t -i json",
        "{\"value\":\"a\"}\n{\"value\":1}\n",
        1,
        "the input cannot be read at line 2",
        "'value' is neither a text nor null",
    ),
    (
        "produce t -i json",
        "{\"value\":\"a\"}\n{\"value\":\"b\",\"partition\":7}\n",
        1,
        "topic t has no partition 7",
        "It has 2, and the record at line 2 is for another.",
    ),
    ("produce -f %t,%v\\n", "t,a\nt,b\nu,c\n", 2, "there is no topic 'u'", "The record at line 3 names it."),
    ("produce -f %t,%v\\n", "t,a\n,b\n", 1, "the record at line 2 has no topic", ""),
    (
        "produce t -f %V{big16}%v",
        "\0\x01a\0\x02b",
        1,
        "the input cannot be read at line 1",
        "The input ends in the middle of a record.",
    ),
    (
        "produce t -f %v{hex}\\n",
        "61\n6\n",
        1,
        "the input cannot be read at line 2",
        "'6' is no hexadecimal text.",
    ),
    (
        "produce t -X max.request.size=100",
        "a\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n",
        1,
        "the record at line 2 was not sent",
        "",
    ),
];

/// Each input has good records before the bad one.
#[test]
fn input_that_breaks_off_says_where_and_how_much_was_done_before() {
    let node = Node::start("own-broken", "");
    node.done("topic create t -p 2");
    let mut produced = 0;
    for (line, input, good, message, reason) in BROKEN {
        let ran = node.ottla_with(line, input.as_bytes());
        assert_eq!(ran.exit, Some(1), "{line}: {ran:?}");
        assert!(ran.err.starts_with(&format!("error: {message}\ndetail: {reason}")), "{line}: {}", ran.err);
        let were = if *good == 1 { "record was" } else { "records were" };
        assert!(ran.err.contains(&format!("{good} {were} produced.")), "{line}: {}", ran.err);
        produced += *good;
        assert_eq!(node.done("consume t").lines().count(), produced, "{line}");
    }
    node.done("topic alter t -c max.message.bytes=300");
    let ran = node.ottla_with("produce t", format!("a\n{}\n", "b".repeat(1000)).as_bytes());
    assert_eq!(ran.exit, Some(1), "{ran:?}");
    assert!(ran.err.contains("MESSAGE_TOO_LARGE (10)") && ran.err.contains("failed."), "{}", ran.err);
}
