//! `ottla topic` and `ottla config` against a node.

use serde_json::{Value, json};

use crate::process::Node;

fn change(action: &str, name: &str, (detail, status): (Value, &str)) -> Value {
    json!({"action": action, "kind": "topic", "name": name, "detail": detail, "status": status})
}

#[test]
fn topics_are_planned_created_described_grown_and_deleted() {
    let node = Node::start("own-topics", "num.partitions=1");
    let line = "topic create orders bills -p 3 -r 1 -c retention.ms=1000 -o json";
    let detail = json!("partitions=3 replicas=1 retention.ms=1000");
    let rows =
        |status| json!(["orders", "bills"].map(|name| change("create", name, (detail.clone(), status))));
    assert_eq!(node.ottla(&format!("{line} --dry-run")).json(), rows("planned"));
    assert_eq!(node.ottla("topic list -o json").json(), json!([]));
    assert_eq!(node.ottla(line).json(), rows("done"));
    assert_eq!(
        node.done("topic list"),
        "NAME    PARTITIONS  REPLICAS\nbills            3         1\norders           3         1\n"
    );
    assert_eq!(node.ottla("topic list o.* -o json").json()[0]["name"], "orders");
    assert_eq!(node.ottla("topic list rders -o json").json(), json!([]));
    let described = node.ottla("topic describe orders -o json").json();
    assert_eq!(described[0]["configs"], json!({"retention.ms": "1000"}));
    let first = json!({"partition": 0, "leader": 1, "leader_epoch": 0, "replicas": [1], "in_sync": [1], "offline": []});
    assert_eq!(described[0]["partitions"][0], first);
    assert_eq!(described[0]["id"].as_str().map(str::len), Some(22));
    let table = node.done("topic describe orders");
    assert!(table.contains("\nPARTITION  LEADER  LEADER-EPOCH  REPLICAS  IN-SYNC\n        0       1             0  1         1\n"), "{table}");
    assert!(node.done("topic describe orders -o csv").contains("\r\norders,2,1,0,1,1,\r\n"));
    assert!(
        node.done("topic add-partitions orders -c 2 --dry-run -o csv").contains(",partitions=3->5,planned")
    );
    assert!(
        node.done("topic add-partitions orders bills -t 3 -o csv")
            .contains("bills,partitions=3->3,unchanged")
    );
    assert!(node.done("topic add-partitions orders -t 4 -o csv").contains("orders,partitions=3->4,done"));
    assert!(node.done("topic delete orders --dry-run -o csv").contains("orders,partitions=4,planned"));
    assert!(node.done("topic delete orders nope --if-exists -o csv").contains("nope,is not there,unchanged"));
    assert_eq!(node.ottla("topic list -o json").json()[0]["name"], "bills");
}

/// Several changes are made only if all of them can be.
#[test]
fn one_thing_that_cannot_be_done_leaves_all_undone() {
    let node = Node::start("own-refusals", "");
    node.done("topic create there -p 1");
    let names = || node.done("topic list -o csv").lines().count() - 1;
    let refused = node.ottla("topic create fresh there");
    assert_eq!((refused.exit, names()), (Some(1), 1));
    assert!(
        refused.err.contains("nothing was changed\nerror: topic there was not created"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("TOPIC_ALREADY_EXISTS (36)") && refused.err.contains("--if-not-exists"));
    assert!(
        node.done("topic create fresh there --if-not-exists -o csv")
            .contains("there,is there already,unchanged")
    );
    for line in [
        "topic create other -c no.such=1",
        "topic create other -r 5",
        "topic delete there nope",
        "topic alter there nope -c retention.ms=1",
        "topic alter there -c retention.ms=soon",
        "topic add-partitions fresh nope -c 1",
        "topic add-partitions there -c 1 fresh -c 1",
        "topic describe nope",
        "config get topic nope",
        "config get topic there no.such",
        "config set topic there retention.ms=soon",
        "config set broker 9 log.retention.ms=1 --timeout 1",
    ] {
        let ran = node.ottla(line);
        assert!(matches!(ran.exit, Some(1 | 2)) && ran.out.is_empty(), "{line}: {ran:?}");
        assert!(ran.err.contains("error: "), "{line}: {}", ran.err);
        assert_eq!(names(), 2, "{line}");
    }
    assert_eq!(node.ottla("topic describe there -o json").json()[0]["configs"], json!({}));
}

#[test]
fn settings_are_set_shown_and_unset() {
    let node = Node::start("own-config", "");
    node.done("topic create t -p 1");
    let rows = |line: &str| {
        node.done(&format!("{line} -o csv")).lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    for (kind, name, key, source) in [
        ("topic", "t", "retention.ms", "DYNAMIC_TOPIC_CONFIG"),
        ("broker", "1", "log.retention.ms", "DYNAMIC_BROKER_CONFIG"),
        ("broker", "default", "log.retention.ms", "DYNAMIC_DEFAULT_BROKER_CONFIG"),
        ("group", "g", "consumer.session.timeout.ms", "DYNAMIC_GROUP_CONFIG"),
    ] {
        let set = format!("config set {kind} {name} {key}=50000");
        assert_eq!(rows(&format!("{set} --dry-run")), [format!("set,{kind},{name},{key}=50000,planned")]);
        let shown = format!("{key},50000,{source},false,false");
        assert!(!rows(&format!("config get {kind} {name}")).contains(&shown));
        assert_eq!(rows(&set), [format!("set,{kind},{name},{key}=50000,done")]);
        assert!(rows(&format!("config get {kind} {name}")).contains(&shown), "{kind} {name}");
        assert_eq!(rows(&format!("config get {kind} {name} {key}")), [shown.as_str()]);
        assert_eq!(
            rows(&format!("config unset {kind} {name} {key}")),
            [format!("unset,{kind},{name},{key}=default,done")]
        );
        assert!(!rows(&format!("config get {kind} {name}")).contains(&shown));
        let again = rows(&format!("config unset {kind} {name} {key}"));
        assert_eq!(again, [format!("unset,{kind},{name},{key}=default,unchanged")]);
    }
    for (line, told) in [
        ("config get topic tt", "there is no topic 'tt'\nhint: `ottla topic list`"),
        ("config set topic T retention.ms=1", "there is no topic 'T'\nhint: Did you mean 't'?"),
        ("config get broker 9", "there is no broker 9\ndetail: There are 1.\nhint: `ottla cluster nodes`"),
        (
            "config unset topic t retention.mz",
            "topic t has no setting 'retention.mz'\nhint: Did you mean 'retention.ms'?",
        ),
        ("topic alter t -u retention.mz", "topic t has no setting 'retention.mz'"),
        ("config get topic t no.such", "hint: `ottla config get` with --all shows which there are."),
    ] {
        let ran = node.ottla(line);
        assert_eq!((ran.exit, ran.out.len()), (Some(1), 0), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
    }
    node.done("topic alter t -c retention.ms=7 -c segment.ms=8");
    node.done("topic alter t -c retention.ms=9 -u segment.ms");
    assert_eq!(node.ottla("topic describe t -o json").json()[0]["configs"], json!({"retention.ms": "9"}));
    assert!(rows("config get topic t --all").len() > 20);
}
