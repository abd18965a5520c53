//! `ottla top --once` against a node that is written to; the live view is drawn in the tests beside its code.

use std::sync::atomic::{AtomicBool, Ordering};

use super::ottla;
use crate::process::Node;

#[test]
fn what_happens_in_an_interval_is_reported() {
    let node = Node::start("own-top", "");
    node.done("topic create orders idle -p 1");
    node.done("group seek billing --to start -t orders");
    let is_over = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                super::offsets::fill(&node, ("orders", &[50]));
            }
        });
        let report = node.ottla("top --once --interval 2 -o json");
        is_over.store(true, Ordering::Relaxed);
        report.json()
    });
    let number = |pointer: &str| report.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap();
    assert_eq!([&report["topics"][0]["topic"], &report["topics"][1]["topic"]], ["orders", "idle"]);
    assert!(
        number("/topics/0/records_per_second") > 0.0 && number("/topics/0/bytes_per_second") > 0.0,
        "{report}"
    );
    assert_eq!(number("/topics/1/records_per_second"), 0.0);
    assert_eq!([&report["groups"][0]["group"], &report["groups"][0]["state"]], ["billing", "Empty"]);
    assert!(number("/groups/0/lag") > 0.0 && number("/groups/0/lag_per_second") > 0.0, "{report}");
    assert_eq!(number("/groups/0/reads_per_second"), 0.0);
    assert!(
        node.done("top --once --interval 1 -o csv --internal").contains("\r\n__consumer_offsets,50,0.0,0.0,")
    );
}

#[test]
fn a_live_view_needs_a_terminal_and_a_cluster() {
    for (line, exit, told) in [
        ("top", 2, "error: standard output is no terminal to draw on\nhint: --once"),
        ("top -o json", 2, "error: a live view has no form of output\nhint: With --once it has."),
        ("top --once --interval 0", 2, "0 is not in 1..=3600"),
        ("top --once -b localhost:1 --timeout 1", 1, "hint: Check the address"),
    ] {
        let ran = ottla(&[], &line.split(' ').collect::<Vec<_>>(), b"");
        assert_eq!((ran.exit, ran.out.len()), (Some(exit), 0), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
    }
}
