//! `ottla cluster` against a node.

use serde_json::json;

use crate::process::Node;

#[test]
fn a_cluster_of_one_is_shown_from_all_sides() {
    let node = Node::start("own-cluster", "broker.rack=r1");
    node.done("topic create orders -p 3");
    super::offsets::fill(&node, ("orders", &[10, 4]));
    let port: u16 = node.address.rsplit(':').next().unwrap().parse().unwrap();
    let info = node.ottla("cluster info -o json").json();
    assert_eq!(info["id"].as_str().map(str::len), Some(22));
    let facts = [
        "nodes",
        "fenced",
        "controller",
        "quorum_leader",
        "voters",
        "topics",
        "partitions",
        "without_leader",
    ]
    .map(|field| info[field].clone());
    assert_eq!(facts, [json!(1), json!(0), json!(1), json!(1), json!([1]), json!(1), json!(3), json!(0)]);
    assert!(info["metadata_version"].as_str().unwrap().starts_with("4."));
    assert!(node.done("cluster info").starts_with("PROPERTY          VALUE\nid                "));
    let broker = json!({"node": 1, "host": "localhost", "port": port, "rack": "r1", "controller": true,
        "fenced": false, "leads": 3, "replicas": 3});
    assert_eq!(node.ottla("cluster nodes -o json").json(), json!([broker]));
    let quorum = node.ottla("cluster quorum -o json").json();
    assert_eq!(
        [&quorum[0]["node"], &quorum[0]["role"], &quorum[0]["lag"]],
        [&json!(1), &json!("leader"), &json!(0)]
    );
    assert!(node.done("cluster features -o csv").contains("\r\nmetadata.version,"));
    assert!(node.done("cluster apis -o csv").contains("\r\n1,Produce,0,"));
    let directories = node.ottla("cluster log-dirs -o json").json();
    let bytes = directories[0]["bytes"].as_i64().unwrap();
    assert_eq!((&directories[0]["state"], bytes > 14), (&json!("online"), true));
    let replicas = node.ottla("cluster log-dirs --node 1 --replicas -o json").json();
    let sizes = replicas.as_array().unwrap().iter().map(|replica| replica["bytes"].as_i64().unwrap());
    assert_eq!((sizes.clone().count(), sizes.sum::<i64>()), (3, bytes));
}

#[test]
fn a_broker_that_is_not_there_is_told() {
    let node = Node::start("own-cluster-refusals", "");
    for (line, exit, told) in [
        ("cluster log-dirs --node 7", 1, "error: there is no broker 7\ndetail: There are 1.\n"),
        ("cluster apis --node 7", 1, "error: there is no broker 7"),
        ("cluster nodes --node 1", 2, "unexpected argument '--node'"),
        ("cluster", 2, "Usage: ottla cluster"),
        ("cluster info -b localhost:1 --timeout 1", 1, "hint: Check the address"),
    ] {
        let ran = node.ottla(line);
        assert_eq!((ran.exit, ran.out.len()), (Some(exit), 0), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
    }
}
