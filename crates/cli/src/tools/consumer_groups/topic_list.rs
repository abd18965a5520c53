//! The lists of `--topic`: topics, and partitions of topics.
//!
//! Owns: reading them. Does not own: whether there are such partitions.

use std::collections::BTreeSet;

use super::super::failure::Failure;
use super::super::partition::Partition;

/// `a, b` of the topics of some partitions, each once.
pub(super) fn topics_of(partitions: &[Partition]) -> Vec<String> {
    let topics: BTreeSet<&str> = partitions.iter().map(|partition| partition.topic.as_str()).collect();
    topics.into_iter().map(str::to_owned).collect()
}

/// The arguments of `--topic`: partitions that are named, and topics of which all partitions are meant.
pub(super) fn parse_topics<'a>(
    args: impl Iterator<Item = &'a str>,
) -> Result<(Vec<Partition>, Vec<String>), Failure> {
    let (mut partitions, mut topics) = (Vec::new(), Vec::new());
    for arg in args {
        if arg.contains(':') {
            partitions.extend(parse_partitions(arg)?);
        } else {
            topics.push(arg.to_owned());
        }
    }
    Ok((partitions, topics))
}

/// `topic:0,1,2`
fn parse_partitions(arg: &str) -> Result<Vec<Partition>, Failure> {
    let parts: Vec<&str> = split(arg, ':');
    let [topic, numbers] = parts.as_slice() else {
        let message = format!("Invalid topic arg '{arg}', expected topic name and partitions");
        return Err(Failure::illegal_argument(message));
    };
    let partition = |number: &str| match number.parse() {
        Ok(index) => Ok(Partition::new(topic, index)),
        Err(_) => {
            let message = format!("Invalid partition '{number}' specified in topic arg '{arg}''");
            Err(Failure::illegal_argument(message))
        }
    };
    split(numbers, ',').into_iter().map(partition).collect()
}

/// As Java splits a text: without the empty parts at the end.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(separator).collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    if parts.len() == 1 && parts[0].is_empty() && !text.is_empty() {
        parts.clear();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &str, wanted: &str) {
        let told = match parse_topics(args.split(' ')) {
            Ok((partitions, topics)) => {
                let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
                format!("{} | {}", partitions.join(" "), topics.join(" "))
            }
            Err(failure) => failure.message().to_owned(),
        };
        assert_eq!(told, wanted, "{args}");
    }

    #[test]
    fn topics_are_named_whole_or_by_partition() {
        check("a b:0,2 c:1", "b-0 b-2 c-1 | a");
        check("a:-1,", "a--1 | ");
        check(":1", "-1 | ");
        for refused in ["a:", "a:0:1", ":"] {
            check(refused, &format!("Invalid topic arg '{refused}', expected topic name and partitions"));
        }
        check("a:0,x", "Invalid partition 'x' specified in topic arg 'a:0,x''");
    }
}
