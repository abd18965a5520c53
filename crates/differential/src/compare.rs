//! Where two answers differ, field by field, and which of that is known.
//!
//! Owns: `Difference`, the list in `known.tsv`. Does not own: what is no difference at all (`normal`).
//!
//! A line of the list has six columns: API, versions (`3`, `0-4`, `*`), path, our value, Kafka's value, reason. In a path
//! `*` stands for one place; a value is JSON, `absent`, `*` for any, or `begin…` for a text, or JSON, that begins so.

use std::collections::BTreeSet;

use serde_json::Value;

/// One place at which two answers differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub path: String,
    pub ours: Option<Value>,
    pub kafka: Option<Value>,
}

/// All places at which two answers differ.
pub fn differences(ours: &Value, kafka: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    collect("", Some(ours), Some(kafka), &mut found);
    found
}

fn collect(path: &str, ours: Option<&Value>, kafka: Option<&Value>, found: &mut Vec<Difference>) {
    if ours == kafka {
        return;
    }
    match (ours, kafka) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                collect(&format!("{path}/{name}"), left.get(name), right.get(name), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for at in 0..left.len().max(right.len()) {
                collect(&format!("{path}/{at}"), left.get(at), right.get(at), found);
            }
        }
        (left, right) => {
            found.push(Difference { path: path.to_owned(), ours: left.cloned(), kafka: right.cloned() })
        }
    }
}

/// A difference that is meant to be.
#[derive(Clone, Debug)]
pub struct Known {
    api: String,
    versions: String,
    path: String,
    ours: String,
    kafka: String,
    pub reason: String,
}

/// The lines of the list; comments begin with `#`.
pub fn known_of(text: &str) -> Result<Vec<Known>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [api, versions, path, ours, kafka, reason] = columns[..] else {
                return Err(format!(
                    "line {} of the known differences has {} columns",
                    at + 1,
                    columns.len()
                ));
            };
            let owned = str::to_owned;
            Ok(Known {
                api: owned(api),
                versions: owned(versions),
                path: owned(path),
                ours: owned(ours),
                kafka: owned(kafka),
                reason: owned(reason),
            })
        })
        .collect()
}

impl Known {
    /// Whether the line is of this difference.
    pub fn is_of(&self, (api, version): (&str, i16), difference: &Difference) -> bool {
        self.api == api
            && is_version(&self.versions, version)
            && is_path(&self.path, &difference.path)
            && is_value(&self.ours, difference.ours.as_ref())
            && is_value(&self.kafka, difference.kafka.as_ref())
    }
}

fn is_version(range: &str, version: i16) -> bool {
    match range.split_once('-') {
        _ if range == "*" => true,
        Some((first, last)) => {
            first.parse().is_ok_and(|first: i16| first <= version)
                && last.parse().is_ok_and(|last: i16| version <= last)
        }
        None => range.parse() == Ok(version),
    }
}

fn is_path(pattern: &str, path: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == parts.len()
        && patterns.iter().zip(parts).all(|(pattern, part)| *pattern == "*" || *pattern == part)
}

fn is_value(pattern: &str, value: Option<&Value>) -> bool {
    match (pattern, value) {
        ("*", _) => true,
        ("absent", value) => value.is_none(),
        (pattern, Some(value)) if pattern.ends_with('…') => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.starts_with(pattern.trim_end_matches('…'))
        }
        (pattern, Some(value)) => serde_json::from_str::<Value>(pattern).is_ok_and(|known| known == *value),
        (_, None) => false,
    }
}

/// The path with places in arrays as `*`, for telling kinds of differences apart.
pub fn kind_of(path: &str) -> String {
    let general = |part: &str| part.parse::<u32>().is_ok() || part.contains('~');
    path.split('/').map(|part| if general(part) { "*" } else { part }).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_is_found() {
        let ours = json!({"a": 1, "b": [1, 2, {"c": null}], "d": "x"});
        let kafka = json!({"a": 1, "b": [1, 3, {"c": 0}, 4], "e": "x"});
        let found: Vec<String> = differences(&ours, &kafka)
            .iter()
            .map(|it| format!("{} {:?} {:?}", it.path, it.ours.is_some(), it.kafka.is_some()))
            .collect();
        assert_eq!(
            found,
            ["/b/1 true true", "/b/2/c true true", "/b/3 false true", "/d true false", "/e false true"]
        );
        assert!(differences(&ours, &ours.clone()).is_empty());
    }

    #[test]
    fn a_known_difference_is_that_one_only() {
        let known = known_of("# comment\nFetch\t4-12\t/topics/*/code\t1\tabsent\twhy\n").unwrap();
        let found = |path: &str, ours: Option<Value>, kafka: Option<Value>| Difference {
            path: path.to_owned(),
            ours,
            kafka,
        };
        let exact = found("/topics/0/code", Some(json!(1)), None);
        assert!(known[0].is_of(("Fetch", 12), &exact));
        assert!(!known[0].is_of(("Fetch", 13), &exact) && !known[0].is_of(("Produce", 4), &exact));
        assert!(!known[0].is_of(("Fetch", 4), &found("/topics/0/code", Some(json!(2)), None)));
        assert!(!known[0].is_of(("Fetch", 4), &found("/topics/0/code", Some(json!(1)), Some(json!(0)))));
        assert!(!known[0].is_of(("Fetch", 4), &found("/topics/0/1/code", Some(json!(1)), None)));
        assert!(known_of("Fetch\t4\n").is_err());
        assert_eq!(kind_of("/topics/~a/3/code"), "/topics/*/*/code");
    }
}
