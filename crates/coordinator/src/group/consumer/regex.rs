//! Subscriptions by regular expression.
//!
//! Owns: which expressions are accepted, and the topics an expression stands for.
//! Does not own: when they are looked up (`heartbeat`), who may know of a topic (`server`).
//!
//! Expressions are those of RE2J, which Kafka uses: RE2 in its Perl mode, matched against the whole name. They are
//! checked by `pattern` and then run by a crate of linear time.
//!
//! Source: requirement CGP-10; the syntax page of RE2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_model::{Offset, Timestamp};
use regex::{Regex, RegexBuilder};

use super::super::topics::Topics;
use super::command::{FoundTopics, LookUp};
use super::pattern::{Refused, translate};
use super::record::ResolvedRegex;

/// Most bytes of a compiled expression. A topic name has at most 249 characters: larger ones only cost.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;

fn compile(pattern: &str) -> Result<Regex, Refused> {
    let translated = translate(pattern)?;
    let whole = format!(r"\A(?:{translated})\z");
    RegexBuilder::new(&whole).size_limit(COMPILED_BYTES_MAX).build().map_err(|_| Refused::TooLarge)
}

/// Whether the expression is one.
pub(super) fn check(pattern: &str) -> Result<(), Refused> {
    compile(pattern).map(drop)
}

/// Finds the topics of some expressions among those that `may_see` lets through. It may take long where there are many
/// topics, so it is no part of the shard.
pub fn look_up(
    wanted: &LookUp,
    topics: &Topics,
    now: Timestamp,
    may_see: impl Fn(&str) -> bool,
) -> FoundTopics {
    let compiled: Vec<(&Arc<str>, Option<Regex>)> =
        wanted.patterns.iter().map(|pattern| (pattern, compile(pattern).ok())).collect();
    let mut found: BTreeMap<Arc<str>, BTreeSet<String>> =
        wanted.patterns.iter().map(|pattern| (pattern.clone(), BTreeSet::new())).collect();
    for name in topics.names() {
        let matches = |(_, regex): &&(&Arc<str>, Option<Regex>)| {
            regex.as_ref().is_some_and(|regex| regex.is_match(name.as_str()))
        };
        let matching: Vec<&Arc<str>> = compiled.iter().filter(matches).map(|(pattern, _)| *pattern).collect();
        if matching.is_empty() || !may_see(name.as_str()) {
            continue;
        }
        for pattern in matching {
            found.entry(pattern.clone()).or_default().insert(name.to_string());
        }
    }
    let version = topics.as_of.map_or(-1, Offset::value);
    let resolved = |topics| Arc::new(ResolvedRegex { topics, version, at: now });
    FoundTopics {
        group: wanted.group.clone(),
        found: found.into_iter().map(|(pattern, topics)| (pattern, resolved(topics))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        compile(pattern).unwrap().is_match(name)
    }

    /// CGP-10
    #[test]
    fn an_expression_stands_for_whole_names() {
        assert!(matches("foo", "foo") && !matches("foo", "foobar") && !matches("oo", "foo"));
        assert!(matches("foo|bar", "bar") && !matches("foo|bar", "foobar"));
        assert!(matches("foo.*", "foo-1") && matches("^foo.+$", "foo-1") && matches("(?i)FOO", "foo"));
        assert!(matches(r"\Qa.b\E.", "a.bc") && !matches(r"\Qa.b\E.", "axbc"));
        assert!(matches("[[:alpha:]]{2,3}", "abc") && !matches("[^a-c]+", "xay"));
        assert!(matches(r"\x61\141\x{61}", "aaa") && matches("a{,2}", "a{,2}") && matches("a{x", "a{x"));
        assert!(matches("a(?i)(?m)+", "aa") && matches(r"\p{^Greek}\PN", "ab") && !matches("[[a]", "b"));
        assert!(matches("(?P<n>a)(b)", "ab") && matches(r"\d\w\S", "1_-") && matches("[a&&b]", "&"));
    }

    /// CGP-10
    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        let refused = |pattern: &str| compile(pattern).unwrap_err().to_string();
        assert_eq!(refused("["), "missing closing ]");
        assert_eq!(refused("("), "missing closing )");
        assert_eq!(refused(")"), "regexp/syntax: internal error");
        assert_eq!(refused("(?P<n>a)(?P<n>b)"), "duplicate capture group name");
        assert_eq!(refused("*a"), "missing argument to repetition operator");
        assert_eq!(refused("a**"), "invalid nested repetition operator");
        assert_eq!(refused("a{2,1}"), "invalid repeat count");
        assert_eq!(refused("a{1001}"), "invalid repeat count");
        assert_eq!(refused("[b-a]"), "invalid character class range");
        assert_eq!(refused(r"\1"), "invalid escape sequence");
        assert_eq!(refused(r"\q"), "invalid escape sequence");
        assert_eq!(refused("a\\"), "trailing backslash at end of expression");
        assert_eq!(refused("(?=a)"), "invalid or unsupported Perl syntax");
        assert_eq!(refused("(?x)a"), "invalid or unsupported Perl syntax");
        assert_eq!(refused("(?P<a"), "invalid named capture");
        assert_eq!(refused("((a{1000}){1000}){1000}"), "expression too large");
    }

    /// CGP-10: the topics the member may know of, as of the metadata that were looked at.
    #[test]
    fn only_topics_that_may_be_seen_are_found() {
        let mut topics = Topics::default();
        topics.as_of = Offset::new(7);
        for (byte, name) in [(1, "foo-a"), (2, "foo-b"), (3, "bar")] {
            let id = ottla_model::TopicId::new(ottla_model::Uuid::from_bytes([byte; 16])).unwrap();
            let name = ottla_model::TopicName::new(name).unwrap();
            topics.put(Arc::new(super::super::super::topics::TopicShape::new(id, name, vec![Vec::new()])));
        }
        let wanted =
            LookUp { group: ottla_model::GroupId::new("g"), patterns: ["foo.*", "x"].map(Arc::from).into() };
        let found = look_up(&wanted, &topics, Timestamp::from_millis(5), |name| name != "foo-b");
        let found: Vec<(&str, Vec<&str>, i64)> = found
            .found
            .iter()
            .map(|(pattern, one)| (&**pattern, one.topics.iter().map(String::as_str).collect(), one.version))
            .collect();
        assert_eq!(found, [("foo.*", vec!["foo-a"], 7), ("x", vec![], 7)]);
    }
}
