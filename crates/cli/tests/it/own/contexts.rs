//! `ottla context`, and which cluster a command talks to.

use serde_json::json;

use super::ottla;
use crate::process::{Node, Place};

#[test]
fn contexts_are_kept_and_the_current_one_is_talked_to() {
    let node = Node::start("own-contexts", "");
    let place = Place::new("own-contexts-home");
    let home = place.0.display().to_string();
    let run = |line: &str| ottla(&[("HOME", &home)], &line.split(' ').collect::<Vec<_>>(), b"");
    assert_eq!(run("context list -o json").json(), json!([]));
    assert_eq!(run("context show").exit, Some(1));
    assert_eq!(run(&format!("context set dev -b {} -X client.id=me", node.address)).exit, Some(0));
    let planned = run("context set gone -b localhost:1 --dry-run -o csv").text();
    assert_eq!(
        planned,
        "action,kind,name,detail,status\r\nset,context,gone,bootstrap=localhost:1,planned\r\n"
    );
    assert_eq!(run("context show gone").exit, Some(2));
    assert_eq!(run("context set gone -b localhost:1").exit, Some(0));
    let dev =
        json!({"current": true, "name": "dev", "bootstrap": node.address, "settings": ["client.id=me"]});
    assert_eq!(run("context show -o json").json(), json!([dev]));
    assert_eq!(run("topic list").text(), "NAME  PARTITIONS  REPLICAS\n");
    assert_eq!(run("topic list --context dev -o csv").exit, Some(0));
    let lost = run("topic list --context gone --timeout 1");
    assert_eq!((lost.exit, lost.out.len()), (Some(1), 0));
    assert!(lost.err.starts_with("error: the topics could not be listed\ndetail: No node"), "{}", lost.err);
    let misspelt = run("topic list -b nosuchhost.invalid:9092");
    assert_eq!((misspelt.exit, misspelt.out.len()), (Some(1), 0));
    let told = "error: no address of the cluster is known\ndetail: Host nosuchhost.invalid:9092: ";
    assert!(misspelt.err.starts_with(told), "{}", misspelt.err);
    assert!(run("context use gon").err.ends_with("hint: Did you mean 'gone'?\n"));
    let unknown = run("context use nope");
    assert_eq!((unknown.exit, unknown.err.as_str()), (Some(2), UNKNOWN));
    assert_eq!(run("context delete dev").exit, Some(0));
    assert_eq!(
        run("context list -o csv").text(),
        "current,name,bootstrap,settings\r\nfalse,gone,localhost:1,\r\n"
    );
}

const UNKNOWN: &str = "error: there is no context 'nope'\ndetail: There are dev, gone.\nhint: `ottla context list` shows their \
                       addresses.\n";

#[test]
fn what_makes_no_sense_is_told_in_one_line_and_ends_with_2() {
    for (line, told) in [
        ("topic", "Usage: ottla topic"),
        ("topic lst", "unrecognized subcommand 'lst'"),
        ("topic list -o xml", "[possible values: table, wide, json, yaml, csv]"),
        ("topic list -b nowhere", "error: the settings of the connection are not valid"),
        ("topic list -X linger.sm=1", "error: 'linger.sm' is no setting of a client"),
        ("topic list --context x", "error: there is no context 'x'"),
        ("topic list (", "error: '(' is no regular expression"),
        ("topic create a/b", "error: 'a/b' is no name for a topic"),
        ("topic create a a", "error: 'a' is named twice"),
        ("topic create a -p 0", "0 is not in 1..=2147483647"),
        ("topic create a -c x", "it must be KEY=VALUE"),
        ("topic alter a", "required arguments were not provided"),
        ("topic add-partitions a -c 1 -t 2", "cannot be used with"),
        ("config get broker x", "error: 'x' is no broker"),
        ("config get flower x", "[possible values: topic, broker, group]"),
    ] {
        let ran = ottla(&[], &line.split(' ').collect::<Vec<_>>(), b"");
        assert_eq!((ran.exit, ran.out.len()), (Some(2), 0), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
    }
}
