//! Callers whose permissions end somewhere: each API refuses, hides or leaves out as Kafka does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_security::{Authorizer, Operation, Question, ResourceType};

use crate::node::{Home, Parts, properties, run, start_with};
use crate::script::Script;

const TRANSCRIPT: &str = include_str!("../data/permissions.txt");

/// What a caller may do to one resource.
#[derive(Debug)]
struct Rule {
    kind: ResourceType,
    name: String,
    allowed: Vec<Operation>,
}

/// The rules of a transcript, once they hold. What no rule names is free, as with Kafka's
/// `allow.everyone.if.no.acl.found`.
#[derive(Debug)]
struct Rules {
    rules: Vec<Rule>,
    hold: AtomicBool,
}

impl Rules {
    fn of(transcript: &str) -> Rules {
        let rules = transcript.lines().filter_map(|line| line.strip_prefix("! ")).map(rule);
        Rules { rules: rules.collect(), hold: AtomicBool::new(false) }
    }
}

impl Authorizer for Rules {
    fn is_allowed(&self, question: &Question<'_>) -> bool {
        let of = |rule: &&Rule| rule.kind == question.kind && rule.name == question.name;
        let rule = self.rules.iter().filter(|_| self.hold.load(Ordering::Relaxed)).find(of);
        rule.is_none_or(|rule| rule.allowed.iter().any(|allowed| covers(*allowed, question.operation)))
    }

    fn is_allowed_on_any(&self, _question: &Question<'_>) -> bool {
        true
    }

    fn is_configured(&self) -> bool {
        true
    }
}

/// Who may change a resource may see it too (SEC-31).
fn covers(allowed: Operation, asked: Operation) -> bool {
    let changes = [Operation::Read, Operation::Write, Operation::Delete, Operation::Alter];
    allowed == asked
        || (asked == Operation::Describe && changes.contains(&allowed))
        || (asked == Operation::DescribeConfigs && allowed == Operation::AlterConfigs)
}

/// `KIND NAME OPERATION,…`
fn rule(line: &str) -> Rule {
    let mut words = line.split(' ');
    let kind = match words.next().unwrap() {
        "topic" => ResourceType::Topic,
        "group" => ResourceType::Group,
        "cluster" => ResourceType::Cluster,
        other => panic!("no kind {other}"),
    };
    let name = words.next().unwrap().to_owned();
    let operation = |word: &str| {
        let found =
            Operation::ALL.iter().find(|known| known.name().replace('_', "").eq_ignore_ascii_case(word));
        *found.unwrap_or_else(|| panic!("no operation {word}"))
    };
    let allowed = words.next().map(|list| list.split(',').map(operation).collect());
    Rule { kind, name, allowed: allowed.unwrap_or_default() }
}

/// MD-07, MD-08, MD-09, TOP-01, TOP-02, TOP-05, SEC-36
#[test]
fn what_a_caller_may_not_do_is_refused_hidden_or_left_out_as_by_kafka() {
    run(async {
        let home = Home::new();
        let rules = Arc::new(Rules::of(TRANSCRIPT));
        let parts = Parts { authorizer: Some(rules.clone()), ..Parts::default() };
        let node = start_with(&properties(home.path(), "num.partitions=4\n"), parts).await.unwrap();
        let mut script = Script::new(&node).await;
        let (free, ruled) = TRANSCRIPT.split_once("# The rules hold from here on.").unwrap();
        script.check(free).await;
        rules.hold.store(true, Ordering::Relaxed);
        script.check(ruled).await;
        node.stop().await;
    });
}
