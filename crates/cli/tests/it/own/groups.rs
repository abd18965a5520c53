//! `ottla group` against a node, with a member that comes and goes.

use serde_json::{Value, json};

use crate::process::{Node, Place, Process};

/// A node with `orders`, whose two partitions have 10 and 4 records of 2023-11-14T22:13:20Z and the seconds after.
fn node_with_orders(name: &str) -> Node {
    let node = Node::start(name, "group.initial.rebalance.delay.ms=0");
    node.done("topic create orders -p 2");
    super::offsets::fill(&node, ("orders", &[10, 4]));
    node
}

fn offset(name: &str, detail: &str, status: &str) -> Value {
    json!({"action": "seek", "kind": "offset", "name": name, "detail": detail, "status": status})
}

/// What a group has committed in both partitions.
fn committed(node: &Node, group: &str) -> [Value; 2] {
    let described = node.ottla(&format!("group describe {group} -o json")).json();
    let of = |partition: usize| described[0]["partitions"][partition]["committed"].clone();
    [of(0), of(1)]
}

#[test]
fn offsets_of_a_group_are_planned_and_set_in_every_way() {
    let node = node_with_orders("own-groups-seek");
    let place = Place::new("own-groups-seek-files");
    let file = place.0.join("offsets.csv").display().to_string();
    let seek = |line: &str| node.ottla(&format!("group seek g {line} -o json"));
    let first =
        [offset("orders-0", "offset=none->0", "planned"), offset("orders-1", "offset=none->0", "planned")];
    assert_eq!(seek("--to start -t orders --dry-run").json(), json!(first));
    assert_eq!(node.ottla("group list -o json").json(), json!([]));
    assert_eq!(seek("--to start -t orders:0").json(), json!([offset("orders-0", "offset=none->0", "done")]));
    assert_eq!(committed(&node, "g"), [json!(0), Value::Null]);
    assert_eq!(seek("--to end -t orders").json()[1], offset("orders-1", "offset=none->4", "done"));
    for (line, wanted) in [
        ("--to -3", [7, 1]),
        ("--to +2", [2, 2]),
        ("--by 5", [7, 4]),
        ("--by -6", [1, 0]),
        ("--to 6 -t orders:0", [6, 0]),
        ("--to @2023-11-14T22:13:22Z", [2, 2]),
        ("--to @2023-11-15", [10, 4]),
    ] {
        assert_eq!(seek(line).exit, Some(0), "{line}");
        assert_eq!(committed(&node, "g"), wanted.map(|it| json!(it)), "{line}");
    }
    let clipped = offset("orders-1", "offset=4->4 (9 is behind the end)", "unchanged");
    assert_eq!(seek("--to 9").json()[1], clipped);
    std::fs::write(&file, node.done("group describe g -o csv")).unwrap();
    assert_eq!(seek("--to start").exit, Some(0));
    assert_eq!(seek(&format!("--to-file {file}")).json()[0], offset("orders-0", "offset=0->9", "done"));
    assert_eq!(node.ottla("group seek h --to-group g -o csv").exit, Some(0));
    assert_eq!(committed(&node, "h"), [json!(9), json!(4)]);
    let listed = node.done("group list h -o csv");
    assert_eq!(listed, "name,state,type,protocol\r\nh,Empty,classic,\r\n");
}

#[test]
fn a_group_with_a_member_is_described_and_left_alone() {
    let node = node_with_orders("own-groups-member");
    let args = ["kafka-console-consumer", "--bootstrap-server", &node.address, "--topic", "orders"];
    let more = ["--group", "g", "--from-beginning", "--command-property", "client.id=me"];
    let mut member = Process::start(&[&args[..], &more[..]].concat());
    (0..14).for_each(|_| drop(member.line_with("record")));
    let described = node.ottla("group describe g -o json").json();
    let group = &described[0];
    assert_eq!([&group["name"], &group["state"], &group["assignor"]], ["g", "Stable", "range"]);
    assert_eq!(group["members"][0]["client_id"], "me");
    assert_eq!(group["members"][0]["partitions"], json!(["orders-0", "orders-1"]));
    assert_eq!(group["partitions"][0]["member"], group["members"][0]["member"]);
    assert_eq!([&group["partitions"][0]["start"], &group["partitions"][0]["end"]], [0, 10]);
    let table = node.done("group describe g");
    assert!(
        table.starts_with("NAME  STATE   TYPE     MEMBERS  LAG  ASSIGNOR  COORDINATOR\ng     Stable"),
        "{table}"
    );
    assert!(table.contains("\nTOPIC   PARTITION  COMMITTED  END  LAG  MEMBER"), "{table}");
    for line in ["group seek g --to start", "group seek g --to start --dry-run", "group delete g"] {
        let refused = node.ottla(line);
        assert_eq!((refused.exit, refused.out.len()), (Some(1), 0), "{line}: {refused:?}");
        let told = "detail: It has 1 member and is in the state Stable.\nhint: Stop its members first";
        assert!(
            refused.err.starts_with("nothing was changed\n") && refused.err.contains(told),
            "{}",
            refused.err
        );
    }
    member.signal("INT");
    member.exit_code();
    // It has committed on its way out.
    assert_eq!(committed(&node, "g"), [json!(10), json!(4)]);
    assert!(node.done("group list --state empty -o csv").contains("g,Empty,classic,consumer"));
    assert_eq!(node.ottla("group list --state stable -o json").json(), json!([]));
    assert!(
        node.done("group delete-offsets g orders:1 bills --dry-run -o csv")
            .contains("orders-1,offset=4->none,planned")
    );
    let deleted = node.done("group delete-offsets g orders:1 bills -o csv");
    assert!(
        deleted.contains("bills,nothing is committed,unchanged")
            && deleted.contains("orders-1,offset=4->none,done")
    );
    assert_eq!(
        node.ottla("group describe g -o json").json()[0]["partitions"].as_array().map(Vec::len),
        Some(1)
    );
    assert!(node.done("group delete g --dry-run -o csv").contains("delete,group,g,offsets=1,planned"));
    assert!(node.done("group delete g nope --if-exists -o csv").contains("delete,group,g,offsets=1,done"));
    assert_eq!(node.ottla("group list -o json").json(), json!([]));
}

#[test]
fn what_a_group_cannot_do_is_told_and_changes_nothing() {
    let node = node_with_orders("own-groups-refusals");
    let place = Place::new("own-groups-refusals-files");
    let file = place.0.join("offsets").display().to_string();
    std::fs::write(&file, "orders 0 1\norders x 1\n").unwrap();
    node.done("group seek payments --to 1 -t orders");
    for (line, exit, told) in [
        ("group describe paymens", 1, "there is no group 'paymens'\nhint: Did you mean 'payments'?"),
        ("group delete payments paymens", 1, "nothing was changed\nerror: there is no group 'paymens'"),
        (
            "group seek payments --to end -t ordres",
            1,
            "there is no topic 'ordres'\nhint: Did you mean 'orders'?",
        ),
        ("group seek payments --to end -t orders:0,2", 1, "topic orders has no partition 2"),
        ("group seek fresh --to start", 1, "group fresh has committed nothing there"),
        ("group seek fresh --to-group nope", 1, "there is no group 'nope'"),
        ("group seek payments --to-group payments", 2, "group payments is where it is"),
        ("group seek payments --to-file /nowhere", 1, "/nowhere holds no offsets"),
        (&format!("group seek payments --to-file {file}"), 1, "Line 2: 'x' is no number of a partition"),
        ("group seek payments --to-file /dev/zero", 1, "It has more than 16777216 bytes."),
        ("group seek payments --to soon", 2, "'soon' is no offset"),
        ("group seek payments --to 1:2", 2, "'1:2' is a range"),
        ("group seek payments", 2, "required arguments were not provided"),
        ("group seek payments --to end --by 1", 2, "cannot be used with"),
        ("group seek payments --to end -t orders:x", 2, "'x' is no partition"),
        ("group list --state sleepy", 2, "[possible values: stable, empty"),
        ("group describe payments payments", 2, "'payments' is named twice"),
    ] {
        let ran = node.ottla(line);
        assert_eq!((ran.exit, ran.out.len()), (Some(exit), 0), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
        assert_eq!(committed(&node, "payments"), [json!(1), json!(1)], "{line}");
    }
    let gone = super::ottla(&[], &["group", "list", "-b", "localhost:1", "--timeout", "1"], b"");
    assert_eq!(gone.exit, Some(1));
    assert!(
        gone.err.starts_with(
            "error: the groups could not be listed\ndetail: No node of the cluster could be reached"
        ),
        "{}",
        gone.err
    );
}
