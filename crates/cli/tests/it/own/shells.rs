//! `ottla completion` and `ottla man`, and what a shell is answered while a line is typed.

use super::{Ran, ottla};
use crate::process::{Node, Place};

/// What fish is offered for the last word of a line, without descriptions.
fn offered(line: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let args: Vec<&str> = ["--", "ottla"].into_iter().chain(line.split(' ')).collect();
    let ran = ottla(&[&[("OTTLA_COMPLETE", "fish")], variables].concat(), &args, b"");
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""), "{line}: {ran:?}");
    ran.text().lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

fn run(line: &str) -> Ran {
    ottla(&[], &line.split(' ').collect::<Vec<_>>(), b"")
}

#[test]
fn commands_flags_and_values_are_offered_without_a_cluster() {
    assert_eq!(offered("clus", &[]), ["cluster"]);
    assert_eq!(offered("kafka-top", &[]), ["kafka-topics"]);
    assert_eq!(offered("group de", &[]), ["describe", "delete", "delete-offsets"]);
    assert!(offered("topic list --o", &[]).contains(&"--output".to_owned()));
    assert_eq!(offered("topic list --output js", &[]), ["json"]);
    assert_eq!(offered("explain NOT_EN", &[]), ["NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"]);
    assert_eq!(offered("config unset topic t retention.m", &[]), ["retention.ms"]);
}

#[test]
fn names_of_topics_groups_and_contexts_are_offered() {
    let node = Node::start("own-shells", "");
    node.done("topic create orders order.lines bills -p 1");
    node.done("group seek payments --to start -t orders");
    let place = Place::new("own-shells-home");
    let home = [("HOME", place.0.to_str().unwrap())];
    let set = format!("context set dev -b {}", node.address);
    assert_eq!(ottla(&home, &set.split(' ').collect::<Vec<_>>(), b"").exit, Some(0));
    assert_eq!(offered("topic describe ord", &home), ["order.lines", "orders"]);
    assert_eq!(offered("topic trim b", &home), ["bills"]);
    assert_eq!(offered("group describe ", &home)[0], "payments");
    assert_eq!(offered("group seek payments --to-group p", &home), ["payments"]);
    assert_eq!(offered("context use d", &home), ["dev"]);
    assert_eq!(offered("topic list --context d", &home), ["dev"]);
    // The flags of the line say which cluster is meant.
    let line = format!("topic describe -b {} bil", node.address);
    assert_eq!(offered(&line, &[]), ["bills"]);
}

#[test]
fn a_cluster_that_does_not_answer_is_passed_over_in_silence() {
    assert_eq!(offered("topic describe -b localhost:1 or", &[]), [""; 0]);
    assert_eq!(offered("topic describe -b nonsense or", &[]), [""; 0]);
    assert_eq!(offered("group describe --context nope g", &[]), [""; 0]);
    // Another program's variable, or none of a shell, changes nothing.
    let ran = ottla(&[("OTTLA_COMPLETE", "1"), ("COMPLETE", "bash")], &["--version"], b"");
    assert!(ran.text().starts_with("ottla "), "{ran:?}");
}

#[test]
fn every_shell_has_its_script_and_every_command_its_page() {
    for (shell, word) in [
        ("bash", "complete "),
        ("zsh", "#compdef ottla"),
        ("fish", "complete "),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(&format!("completion {shell}")).text();
        assert!(script.contains(word) && script.contains("OTTLA_COMPLETE"), "{shell}: {script}");
    }
    assert!(run("completion tcsh").err.contains("[possible values: bash, zsh, fish, powershell, elvish]"));
    let place = Place::new("own-man");
    let directory = place.0.join("man1");
    let told = run(&format!("man {}", directory.display()));
    let names = || {
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap())
    };
    assert_eq!(told.text(), format!("{} pages were written to {}\n", names().count(), directory.display()));
    for name in ["ottla.1", "ottla-topic.1", "ottla-group-seek.1", "ottla-dev.1", "ottla-man.1"] {
        assert!(names().any(|there| there == name), "{name}");
    }
    let page = std::fs::read_to_string(directory.join("ottla-group-seek.1")).unwrap();
    assert!(page.contains(".TH ottla-group-seek 1") && page.contains("\\-\\-to\\-group"), "{page}");
    let refused = run("man /dev/null/x");
    assert_eq!(refused.exit, Some(1));
    assert!(
        refused.err.starts_with("error: the pages in /dev/null/x are not complete\ndetail: "),
        "{}",
        refused.err
    );
}
