//! Tools that look at partitions and cut them, replayed against a node: kafka-get-offsets, kafka-delete-records.

use crate::stage::{LeftOut, Stage, sorted};
use crate::transcript::Seen;

const OFFSETS: &str = include_str!("../data/get-offsets.txt");
const DELETIONS: &str = include_str!("../data/delete-records.txt");

/// What the transcripts ask for that is not compared.
const NOT_OFFSETS: [LeftOut<'_>; 2] = [
    ("kafka-get-offsets.sh --bootstrap-server localhost:9092", "the recorded cluster had other topics"),
    ("--exclude-internal-topics", "the recorded cluster had other topics"),
];

fn as_it_is(seen: Seen) -> Seen {
    seen
}

/// OUT-03
#[test]
fn offsets_are_shown_and_records_deleted_as_by_kafka_s_tools() {
    let stage = Stage::new("partitions");
    let (before, after) = OFFSETS.split_once("# supplement").unwrap();
    for (topic, partitions) in [("o1", 3), ("d-codecs", 1), ("d-idem", 1), ("d-txn", 1)] {
        stage.create_topic(topic, partitions);
    }
    // The largest timestamp stands at offset 12 first.
    stage.produce(("o1", 2), (0..20).map(|at| if at < 12 { 1_000 } else { 2_000 }));
    for (partition, count) in [(("d-codecs", 0), 15), (("d-idem", 0), 3), (("d-txn", 0), 7)] {
        stage.produce(partition, (0..count).map(|_| 1_000));
    }
    let whole = stage.run("kafka-get-offsets.sh --bootstrap-server localhost:9092", "");
    let expected = ["d-codecs:0:15", "d-idem:0:3", "d-txn:0:7", "o1:0:0", "o1:1:0", "o1:2:20"];
    assert_eq!((whole.out, whole.exit), (expected.map(str::to_owned).to_vec(), Some(0)));
    stage.replay(before, &NOT_OFFSETS, as_it_is);
    stage.create_topic("o2", 3);
    for (partition, count) in [(0, 5), (1, 6), (2, 9)] {
        stage.produce(("o2", partition), (0..count).map(|_| 1_000));
    }
    let not_deletions: [LeftOut<'_>; 2] = [
        ("print.offset=true", "waits for seconds"),
        ("work/d2.json", "asks for a topic that is not there until its time is over; ours says so at once"),
    ];
    stage.replay(DELETIONS, &not_deletions, sorted);
    stage.replay(after, &[], as_it_is);
}
