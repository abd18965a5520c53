//! `ottla produce` and `ottla consume` against a node: what goes in comes out.

use serde_json::{Value, json};

use crate::process::Node;

/// The lines of JSON that a command printed.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn produce(node: &Node, line: &str, input: &[u8]) -> String {
    let ran = node.ottla_with(line, input);
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""), "{line}: {ran:?}");
    ran.text()
}

/// Bytes that are no text, null and empty, headers twice and without value, times and partitions.
#[test]
fn what_is_consumed_as_json_is_produced_as_it_was() {
    let node = Node::start("own-json", "");
    node.done("topic create from to stamped -p 3");
    node.done("topic alter stamped -c message.timestamp.type=LogAppendTime");
    let odd = json!({"base64": "/wD+"});
    let header = |key: &str, value: Value| json!({"key": key, "value": value});
    let record = |partition: i32, offset: i64, (key, value): (Value, Value), headers: Value| {
        json!({"topic": "from", "partition": partition, "offset": offset, "timestamp": 1_000_000 + offset,
            "timestamp_type": "CreateTime", "key": key, "value": value, "headers": headers})
    };
    let twice = json!([header("h", json!("1")), header("h", Value::Null), header("", odd.clone())]);
    let records = [
        record(0, 0, (Value::Null, json!("v")), json!([])),
        record(0, 1, (json!(""), json!("")), twice.clone()),
        record(0, 2, (json!("k"), Value::Null), json!([])),
        record(2, 0, (odd.clone(), odd.clone()), json!([header("é\n\"", json!("\u{0}"))])),
        record(2, 1, (json!("k"), json!("line\nline\r\n\\")), json!([])),
    ];
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    assert_eq!(produce(&node, "produce -i json", text.as_bytes()), "");
    let consumed = node.done("consume from -o json");
    assert_eq!(consumed, text, "each record is one line, its fields in order");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        produce(&node, &format!("produce to -i json -z {codec}"), consumed.as_bytes());
    }
    let copied = lines(&node.done("consume to -o json"));
    assert_eq!(copied.len(), 5 * records.len());
    let same = |copy: &Value, record: &Value| {
        ["partition", "timestamp", "timestamp_type", "key", "value", "headers"]
            .iter()
            .all(|field| copy[*field] == record[*field])
    };
    assert!(records.iter().all(|record| copied.iter().filter(|copy| same(copy, record)).count() == 5));
    let where_to =
        lines(&produce(&node, "produce stamped -i json -o json --repartition", consumed.as_bytes()));
    let stamped = lines(&node.done("consume stamped -o json"));
    assert!(stamped.iter().all(|record| record["timestamp_type"] == "LogAppendTime"), "{stamped:#?}");
    assert!(where_to.iter().all(|told| stamped.iter().any(|record| {
        ["topic", "partition", "offset", "timestamp"].iter().all(|field| told[*field] == record[*field])
    })));
    assert_eq!(node.done("consume from -o pretty -n 1"), format!("{:#}\n", records[0]));
}

#[test]
fn what_is_consumed_by_a_format_is_produced_by_it() {
    let node = Node::start("own-formats", "");
    node.done("topic create from to -p 1");
    let binary = b"\x00\x02k\n\x03\x00\x00\x00v \xff\x00\x00\x00\x00\x00\x00";
    let format = "%K{big16}%k%V{little32}%v";
    produce(&node, &format!("produce from -f {format}"), binary);
    assert_eq!(node.ottla(&format!("consume from -f {format}")).out, binary);
    let full = "%p|%d|%k{base64}|%v{hex}|%H|%h{%K:%k=%v{base64raw};}\\n";
    let text = "0|77|aw==|00ff|2|1:a=eA;1:a=;\n0|78||||0|\n".replace("||||", "|||");
    produce(&node, &format!("produce to -f {full}"), text.as_bytes());
    assert_eq!(node.done(&format!("consume to -f {full}")), text);
    let shown = "consume to -f %t/%p/%o@%d{strftime[%FT%T]}[%i]%v{unpack[>HxH]}%%\\n -n 1";
    assert_eq!(node.done(shown), "to/0/0@1970-01-01T00:00:00[1]255 (unpack: 2 bytes too few)%\n");
}

#[test]
fn flags_say_what_the_input_does_not() {
    let node = Node::start("own-flags", "");
    node.done("topic create t u -p 3");
    let shown = "-f %t/%p/%o:%k=%v;%h{%k:%v,}\\n";
    let told = produce(&node, "produce t -p 1 -k K -H a:1 -H a=2 -o %p/%o:%v\\n", b"one\ntwo");
    assert_eq!(told, "1/0:one\n1/1:two\n");
    assert_eq!(node.done(&format!("consume t {shown}")), "t/1/0:K=one;a:1,a:2,\nt/1/1:K=two;a:1,a:2,\n");
    produce(&node, "produce t -p 2 -k K -f %t,%k,%v\\n", b"u,own,x\n,,y\n");
    assert_eq!(node.done(&format!("consume t -p 2 {shown}")), "t/2/0:=y;\n");
    assert_eq!(node.done(&format!("consume u {shown}")), "u/2/0:own=x;\n");
    produce(&node, "produce u -k gone -Z -p 2 --acks 1", b"\n");
    produce(&node, "produce u -k empty --acks 0 -p 2", b"\n");
    produce(&node, "produce u --partition 2", b"last\n");
    // Nobody said when the record without acknowledgement is to be seen, so it is waited for.
    let mut values: Vec<String> = lines(&node.done("consume u -o json --offset 1 --follow -n 3"))
        .into_iter()
        .map(|record| json!([record["key"], record["value"]]).to_string())
        .collect();
    values.sort();
    assert_eq!(values, [r#"["empty",""]"#, r#"["gone",null]"#, r#"[null,"last"]"#]);
}

/// Partition 0 has offsets 0 to 9, at second 0 to 9 of 1970; partition 1 the first three of them.
#[test]
fn reading_begins_and_ends_where_it_is_told_to() {
    let node = Node::start("own-offsets", "");
    node.done("topic create t -p 2");
    let lines: String =
        (0..10).chain(100..103).map(|at| format!("{},{},{}\n", at / 100, at % 100 * 1000, at)).collect();
    produce(&node, "produce t -p 0 -f %p,%d,%v\\n", lines.as_bytes());
    let day = "1970-01-01T00:00:";
    for (offset, expected) in [
        ("start", "0 1 2 3 4 5 6 7 8 9 100 101 102".to_owned()),
        (":end", "0 1 2 3 4 5 6 7 8 9 100 101 102".to_owned()),
        ("8", "8 9".to_owned()),
        ("+1", "1 2 3 4 5 6 7 8 9 101 102".to_owned()),
        ("-2", "8 9 101 102".to_owned()),
        ("2:4", "2 3 102".to_owned()),
        ("2:", "2 3 4 5 6 7 8 9 102".to_owned()),
        (":1", "0 100".to_owned()),
        ("1:-1", "1 2 3 4 5 6 7 8 101".to_owned()),
        (":end", "0 1 2 3 4 5 6 7 8 9 100 101 102".to_owned()),
        (&format!("@{day}07Z"), "7 8 9".to_owned()),
        (&format!("@{day}01Z:2s"), "1 2 101 102".to_owned()),
        (&format!("@{day}01.5Z:{day}03Z"), "2 102".to_owned()),
        (&format!("@:{day}01Z"), "0 100".to_owned()),
        ("@-1h", String::new()),
    ] {
        let printed = node.done(&format!("consume t -f %v, --offset {offset}"));
        let printed = printed.trim_end_matches(',').replace(',', " ");
        let mut sorted: Vec<&str> = printed.split(' ').collect();
        sorted.sort_by_key(|value| value.parse::<u32>().unwrap_or_default());
        assert_eq!(sorted.join(" "), expected, "{offset}");
    }
    let beyond = node.ottla("consume t --offset 5 -f %v, -p 1");
    assert_eq!((beyond.exit, beyond.out.len()), (Some(0), 0));
    assert_eq!(beyond.err, "note: t-1 ends at 3, before offset 5\n");
}

#[test]
fn topics_partitions_and_records_are_chosen() {
    let node = Node::start("own-choice", "");
    node.done("topic create a-1 a-2 b -p 2");
    for topic in ["a-1", "a-2", "b"] {
        let input = format!("0,k-{topic},x\n1,l,y-{topic}\n");
        produce(&node, &format!("produce {topic} -p 0 -f %p,%k,%v\\n -H h:seven"), input.as_bytes());
    }
    let sorted = |line: &str| {
        let text = node.done(&format!("consume {line} -f %t/%p\\n"));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join(" ")
    };
    assert_eq!(sorted("a-1 b"), "a-1/0 a-1/1 b/0 b/1");
    assert_eq!(sorted("a.* -r -p 1"), "a-1/1 a-2/1");
    assert_eq!(sorted("b -p 0,1"), "b/0 b/1");
    assert_eq!(sorted("a-1 a-2 b --grep y-.-2"), "a-2/1");
    assert_eq!(sorted("a-1 --grep ^k"), "a-1/0");
    assert_eq!(sorted("a-1 --grep seven"), "a-1/0 a-1/1");
    assert_eq!(sorted("a-1 --grep nothing"), "");
    assert_eq!(sorted(".* -r -n 3").split(' ').count(), 3);
    assert_eq!(sorted("b --read-committed -n 9"), "b/0 b/1");
}

#[test]
fn a_dry_run_reads_all_and_produces_nothing() {
    let node = Node::start("own-dry", "");
    node.done("topic create t u -p 2");
    let input = b"{\"topic\":\"t\",\"value\":\"abc\",\"partition\":1}\n{\"topic\":\"u\",\"key\":\"k\",\"value\":null}\n\
        {\"topic\":\"t\",\"value\":\"d\",\"partition\":0}\n";
    let planned = node.ottla_with("produce -i json --dry-run -o json", input).json();
    let row = |name: &str, detail: &str| json!({"action": "produce", "kind": "topic", "name": name, "detail": detail, "status": "planned"});
    assert_eq!(
        planned,
        json!([
            row("t", "records=2 bytes=4 partition-0=1 partition-1=1"),
            row("u", "records=1 bytes=1 tombstones=1")
        ])
    );
    let broken = [input.as_slice(), b"x"].concat();
    let ran = node.ottla_with("produce -i json --dry-run", &broken);
    assert_eq!((ran.exit, ran.out.len()), (Some(1), 0));
    assert!(ran.err.starts_with("error: the input cannot be read at line 4\n"), "{}", ran.err);
    assert_eq!(node.done("consume t u"), "");
}
