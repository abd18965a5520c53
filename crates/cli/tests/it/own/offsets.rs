//! `ottla offsets` and `ottla topic trim` against a node.

use ottla_client::Producer;
use ottla_client::config::ProducerConfig;
use ottla_client::producer::ProducerRecord;
use ottla_env::task;
use ottla_model::{PartitionIndex, Timestamp, TopicName};
use serde_json::json;

use crate::process::Node;

/// Sends so many records to each partition; the nth one of a partition has the time 2023-11-14T22:13:20Z and n seconds.
pub fn fill(node: &Node, (topic, counts): (&str, &[i64])) {
    let topic = TopicName::new(topic).unwrap();
    let work = async {
        let producer = Producer::new(ProducerConfig::new(&node.address).unwrap()).unwrap();
        for (index, count) in (0..).zip(counts) {
            for at in 0..*count {
                let record = ProducerRecord::to(&topic).partition(PartitionIndex::new(index).unwrap());
                let time = Timestamp::from_millis(1_700_000_000_000 + at * 1000);
                producer.send(record.value(b"record").timestamp(time)).await.unwrap().await.unwrap();
            }
        }
    };
    task::block_on(work).unwrap();
}

#[test]
fn ends_and_places_are_shown_and_first_records_are_trimmed() {
    let node = Node::start("own-offsets", "");
    node.done("topic create orders bills -p 2");
    fill(&node, ("orders", &[10, 4]));
    assert_eq!(
        node.done("offsets orders bills:1"),
        "TOPIC   PARTITION  START  END  COUNT\nbills           1      0    0      0\norders          0      0   10     10\n\
         orders          1      0    4      4\n\nTOPIC   PARTITIONS  COUNT\nbills            1      0\norders           2     14\n"
    );
    let at = node.ottla("offsets orders --at @2023-11-14T22:13:23Z -o json").json();
    let first = json!({"partition": 0, "start": 0, "end": 10, "count": 10, "at": 3, "after": 7});
    assert_eq!([&at[0]["partitions"][0], &at[0]["after"], &at[0]["count"]], [&first, &json!(8), &json!(14)]);
    let trim = |line: &str| node.done(&format!("topic trim {line} -o csv"));
    assert!(
        trim("orders --before @2023-11-14T22:13:23Z --dry-run")
            .contains("orders-0,start=0->3 records=3,planned")
    );
    assert!(node.done("offsets orders -o csv").contains("\r\norders,0,0,10,10,,\r\n"));
    let trimmed = trim("orders:0 --before -2");
    assert_eq!(
        trimmed,
        "action,kind,name,detail,status\r\ntrim,partition,orders-0,start=0->8 records=8,done\r\n"
    );
    assert!(trim("orders --before 2").contains("orders-0,start=8->8 records=0,unchanged"));
    assert!(trim("orders --before +9 --dry-run").contains("orders-1,start=2->4 records=2,planned"));
    assert!(trim("orders --before end").contains("orders-1,start=2->4 records=2,done"));
    let csv = node.done("offsets orders -o csv");
    assert_eq!(csv, "topic,partition,start,end,count,at,after\r\norders,0,10,10,0,,\r\norders,1,4,4,0,,\r\n");
}

#[test]
fn what_cannot_be_shown_or_deleted_is_told_and_nothing_is_deleted() {
    let node = Node::start("own-offsets-refusals", "");
    node.done("topic create orders -p 2");
    node.done("topic create kept -p 1 -c cleanup.policy=compact");
    fill(&node, ("orders", &[3, 5]));
    for (line, exit, told) in [
        ("offsets ordres", 1, "there is no topic 'ordres'\nhint: Did you mean 'orders'?"),
        ("offsets orders:1-7", 1, "topic orders has no partition 2\ndetail: Its partitions are 0 to 1."),
        ("offsets", 2, "required arguments were not provided"),
        ("offsets orders --at later", 2, "'later' is no offset"),
        ("topic trim orders --before 4", 1, "detail: 4 is behind its end 3."),
        ("topic trim orders kept --before end", 1, "detail: Its cleanup.policy is 'compact'."),
        ("topic trim orders", 2, "required arguments were not provided"),
        ("topic trim nope --before end", 1, "there is no topic 'nope'"),
        ("topic describe ordes", 1, "there is no topic 'ordes'\nhint: Did you mean 'orders'?"),
        ("topic delete ordes", 1, "detail: With --if-exists that is no error.\nhint: Did you mean 'orders'?"),
    ] {
        let ran = node.ottla(line);
        assert_eq!((ran.exit, ran.out.len()), (Some(exit), 0), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
    }
    assert!(node.done("offsets orders -o csv").contains("\r\norders,0,0,3,3,,\r\norders,1,0,5,5,,\r\n"));
}
