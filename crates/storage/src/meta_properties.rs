//! `meta.properties`: the identity of a data directory.
//!
//! Owns: the text form, and whether a directory belongs to this node and cluster.
//! Does not own: choosing the ids (first start), the directory itself (`log_dir`).
//!
//! | key | value |
//! |---|---|
//! | `version` | `1`; `0` of the time before KRaft has `broker.id` in place of `node.id` |
//! | `cluster.id` | any text |
//! | `node.id` | number of the node |
//! | `directory.id` | base64url id of this directory; absent in directories of before KIP-858 |
//!
//! Source: requirement 8.1, KIP-858; files that Kafka 4.3.1 wrote.

use std::fmt::Write as _;

use ottla_model::{BrokerId, ClusterId, DirectoryId, Timestamp, calendar};

/// What a `meta.properties` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: ClusterId,
    pub node_id: BrokerId,
    pub directory_id: Option<DirectoryId>,
}

/// Why a text is no `meta.properties` that we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    #[error("key '{key}' is missing")]
    Missing { key: &'static str },
    #[error("'{value}' is no value of '{key}'")]
    Value { key: &'static str, value: String },
    #[error("key '{key}' is there twice, with the values '{first}' and '{second}'")]
    Twice { key: String, first: String, second: String },
}

/// Why a data directory is not this node's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignDirectory {
    #[error("it belongs to cluster '{found}', this node to cluster '{expected}'")]
    Cluster { found: ClusterId, expected: ClusterId },
    #[error("it belongs to node {found}, this is node {expected}")]
    Node { found: BrokerId, expected: BrokerId },
}

impl MetaProperties {
    /// Reads the text of a `meta.properties`.
    pub fn parse(text: &str) -> Result<MetaProperties, MetaPropertiesError> {
        let properties = Properties::parse(text)?;
        let (version_key, node_key) = ("version", "node.id");
        let version = properties.required(version_key)?;
        let node_key = match version {
            "0" => "broker.id",
            "1" => node_key,
            other => return Err(MetaPropertiesError::Value { key: version_key, value: other.to_owned() }),
        };
        let cluster = properties.required("cluster.id")?;
        let cluster_id = ClusterId::new(cluster)
            .ok_or_else(|| MetaPropertiesError::Value { key: "cluster.id", value: cluster.to_owned() })?;
        let node = properties.required(node_key)?;
        let node_id = node.parse().ok().and_then(BrokerId::new);
        let node_id =
            node_id.ok_or_else(|| MetaPropertiesError::Value { key: node_key, value: node.to_owned() })?;
        let directory_id =
            match properties.value("directory.id") {
                None => None,
                Some(text) => Some(DirectoryId(text.parse().map_err(|_| MetaPropertiesError::Value {
                    key: "directory.id",
                    value: text.to_owned(),
                })?)),
            };
        Ok(MetaProperties { cluster_id, node_id, directory_id })
    }

    /// The text as Kafka writes it: an empty comment, the time, then the properties.
    pub fn text(&self, now: Timestamp) -> String {
        let mut text = format!("#\n#{}\nnode.id={}\n", java_date(now), self.node_id);
        if let Some(id) = self.directory_id {
            let _ = writeln!(text, "directory.id={id}");
        }
        let _ = write!(text, "version=1\ncluster.id={}\n", escaped(self.cluster_id.as_str()));
        text
    }

    /// Whether the directory is this node's.
    pub fn check(&self, cluster: &ClusterId, node: BrokerId) -> Result<(), ForeignDirectory> {
        if self.cluster_id != *cluster {
            return Err(ForeignDirectory::Cluster {
                found: self.cluster_id.clone(),
                expected: cluster.clone(),
            });
        }
        if self.node_id != node {
            return Err(ForeignDirectory::Node { found: self.node_id, expected: node });
        }
        Ok(())
    }
}

/// Lines `key=value` of a Java properties file, as far as this file needs them.
struct Properties {
    entries: Vec<(String, String)>,
}

impl Properties {
    fn parse(text: &str) -> Result<Properties, MetaPropertiesError> {
        let mut entries: Vec<(String, String)> = Vec::new();
        for line in text.lines().map(str::trim_start) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            let (key, value) = (unescaped(key.trim_end()), unescaped(value.trim_start()));
            if let Some((_, first)) = entries.iter().find(|(known, first)| *known == key && *first != value) {
                return Err(MetaPropertiesError::Twice { key, first: first.clone(), second: value });
            }
            entries.push((key, value));
        }
        Ok(Properties { entries })
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn required(&self, key: &'static str) -> Result<&str, MetaPropertiesError> {
        self.value(key).ok_or(MetaPropertiesError::Missing { key })
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
        } else if let Some(escaped) = rest.next() {
            plain.push(escaped);
        }
    }
    plain
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '=' | ':' | '#' | '!' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A time as `java.util.Date` prints it in UTC: `Sun Nov 22 15:08:29 UTC 2026`.
fn java_date(time: Timestamp) -> String {
    let seconds = time.millis().div_euclid(1000);
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = calendar::date_of(days);
    let name = |names: &[&'static str], at: i64| &names[usize::try_from(at).unwrap_or(0) % names.len()][..3];
    format!(
        "{} {} {day:02} {:02}:{:02}:{:02} UTC {year}",
        name(&calendar::WEEKDAYS, calendar::weekday(days)),
        name(&calendar::MONTHS, month - 1),
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "#\n#Sun Nov 22 15:08:29 UTC 2026\nnode.id=1\n\
        directory.id=fq11Dpr4TTegvg_QjLRoVw\nversion=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";

    fn cluster(text: &str) -> ClusterId {
        ClusterId::new(text).unwrap()
    }

    /// LOG-00
    #[test]
    fn the_file_is_kafkas_byte_for_byte() {
        let properties = MetaProperties::parse(WRITTEN).unwrap();
        assert_eq!(properties.text(Timestamp::from_millis(1_795_360_109_000)), WRITTEN);
    }

    /// LOG-00
    #[test]
    fn dates_are_printed_in_the_gregorian_calendar() {
        for (millis, date) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (951_782_399_999, "Mon Feb 28 23:59:59 UTC 2000"),
            (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
            (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
        ] {
            assert_eq!(java_date(Timestamp::from_millis(millis)), date);
        }
    }

    /// LOG-00
    #[test]
    fn the_form_of_before_kraft_is_understood() {
        let properties = MetaProperties::parse("version=0\nbroker.id=7\ncluster.id=a\\=b\n").unwrap();
        assert_eq!(properties.node_id, BrokerId::new(7).unwrap());
        assert_eq!(properties.cluster_id, cluster("a=b"));
        assert_eq!(properties.directory_id, None);
    }

    #[test]
    fn a_file_without_an_id_or_with_two_is_refused() {
        let error = |text| MetaProperties::parse(text).unwrap_err();
        assert_eq!(error(""), MetaPropertiesError::Missing { key: "version" });
        assert_eq!(error("version=1\nnode.id=1"), MetaPropertiesError::Missing { key: "cluster.id" });
        assert!(matches!(error("version=9"), MetaPropertiesError::Value { key: "version", .. }));
        assert!(matches!(
            error("version=1\ncluster.id=a\nnode.id=-1"),
            MetaPropertiesError::Value { key: "node.id", .. }
        ));
        assert!(matches!(error("node.id=1\nnode.id=2"), MetaPropertiesError::Twice { .. }));
        assert!(matches!(
            error("version=1\ncluster.id=a\nnode.id=1\ndirectory.id=x"),
            MetaPropertiesError::Value { key: "directory.id", .. }
        ));
    }

    /// STG-01
    #[test]
    fn the_directory_of_another_cluster_or_node_is_foreign() {
        let properties = MetaProperties::parse(WRITTEN).unwrap();
        let (own, node) = (cluster("MkU3OEVBNTcwNTJENDM2Qg"), BrokerId::new(1).unwrap());
        assert_eq!(properties.check(&own, node), Ok(()));
        assert_eq!(
            properties.check(&cluster("other"), node).unwrap_err().to_string(),
            "it belongs to cluster 'MkU3OEVBNTcwNTJENDM2Qg', this node to cluster 'other'"
        );
        assert!(matches!(
            properties.check(&own, BrokerId::new(2).unwrap()),
            Err(ForeignDirectory::Node { .. })
        ));
    }
}
