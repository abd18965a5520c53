//! `ottla explain`: no node is needed.

use serde_json::json;

use super::{Ran, ottla};
use crate::process::Node;

fn explain(line: &str) -> Ran {
    ottla(&[], &line.split(' ').collect::<Vec<_>>(), b"")
}

#[test]
fn errors_are_explained_to_people_and_programs() {
    let page = explain("explain 19").text();
    assert!(page.starts_with("name        NOT_ENOUGH_REPLICAS\nnumber      19\nretry       yes: "), "{page}");
    assert!(
        page.contains("\nmeaning     Fewer copies are in sync than min.insync.replicas asks for"),
        "{page}"
    );
    assert_eq!(explain("explain NotEnoughReplicasException").text(), page);
    let unknown = explain("explain -1 -o json").json();
    assert_eq!([&unknown["name"], &unknown["retriable"]], [&json!("UNKNOWN_SERVER_ERROR"), &json!(false)]);
    assert_eq!(explain("explain -o csv").text().lines().count(), 136);
    let setting = explain("explain retention.ms -o json").json();
    assert_eq!([&setting["of"], &setting["default"], &setting["type"]], ["topic", "604800000", "long"]);
    for (line, exit, told) in [
        ("explain NOT_ENOUGH_REPLICAZ", 1, "hint: Did you mean"),
        ("explain 999", 1, "there is no error 999\ndetail: Kafka 4.3 has the errors -1 to 133."),
        ("explain retention.mz", 1, "hint: Did you mean 'retention.ms'?"),
        ("explain 1 2", 2, "unexpected argument '2'"),
    ] {
        let ran = explain(line);
        assert_eq!((ran.exit, ran.out.len()), (Some(exit), 0), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
    }
}

/// Every refusal of a cluster ends with a command that explains it.
#[test]
fn the_hint_of_a_refusal_is_a_command_that_works() {
    let node = Node::start("own-explain", "");
    node.done("topic create there -p 2");
    let refused = node.ottla("topic add-partitions there -t 1").err;
    let hint = refused.split_once("hint: `ottla ").and_then(|(_, hint)| hint.split_once('`')).unwrap().0;
    assert!(explain(hint).text().starts_with("name        INVALID_PARTITIONS\n"), "{hint}");
}
