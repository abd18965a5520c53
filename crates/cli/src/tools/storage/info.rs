//! `kafka-storage info`: which directories there are and to which cluster they belong.
//!
//! Owns: its output. Does not own: `meta.properties` (`ottla_storage`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ottla_env::disk::{Disk, RealDisk};
use ottla_metadata::config::{BrokerConfig, Properties};
use ottla_storage::names::META_PROPERTIES_FILE;
use ottla_storage::{MetaProperties, read_small_file};

use super::Problem;
use crate::settings::NodeSettings;
use crate::terminal::Terminal;

/// What was found in the directories.
#[derive(Default)]
struct Found {
    directories: Vec<PathBuf>,
    /// Of the first directory that has one, with the text it stands in.
    first: Option<(MetaProperties, String)>,
    problems: Vec<String>,
}

/// All directories of a node, each once, by name.
pub fn directories(config: &BrokerConfig) -> BTreeSet<PathBuf> {
    config.log_dirs.iter().cloned().chain([config.metadata_log.dir.clone()]).collect()
}

/// Prints what is in the directories of a node. A problem with any of them is a failure.
pub fn run(node: &NodeSettings, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let mut found = Found::default();
    for directory in directories(&node.config) {
        found.look_at(&directory);
    }
    if let Some((_, text)) = &found.first
        && property(text, "version") == "0"
    {
        found.problems.push(
            "The kafka configuration file appears to be for a cluster in KRaft mode, but the directories are \
             formatted for legacy mode."
                .to_owned(),
        );
    }
    found.print(terminal);
    if found.problems.is_empty() { Ok(()) } else { Err(Problem::Told) }
}

impl Found {
    fn look_at(&mut self, directory: &Path) {
        let shown = directory.display();
        if !RealDisk.is_dir(directory).unwrap_or(false) {
            let exists = RealDisk.exists(directory).unwrap_or(false);
            let problem = if exists { "is not a directory" } else { "does not exist" };
            return self.problems.push(format!("{shown} {problem}"));
        }
        self.directories.push(directory.to_owned());
        let path = directory.join(META_PROPERTIES_FILE);
        let text = match read_small_file(&RealDisk, &path) {
            Ok(Some(content)) => String::from_utf8_lossy(&content).into_owned(),
            Ok(None) => return self.problems.push(format!("{shown} is not formatted.")),
            Err(error) => return self.problems.push(format!("Error loading {}: {error}", path.display())),
        };
        let meta = match MetaProperties::parse(&text) {
            Ok(meta) => meta,
            Err(error) => return self.problems.push(format!("Error loading {}: {error}", path.display())),
        };
        match &self.first {
            None => self.first = Some((meta, text)),
            Some((first, _)) if first.cluster_id != meta.cluster_id => {
                self.problems.push("Mismatched cluster IDs between storage directories.".to_owned());
            }
            Some((first, _)) if first.node_id != meta.node_id => {
                self.problems.push("Mismatched node IDs between storage directories.".to_owned());
            }
            Some(_) => {}
        }
    }

    fn print(&self, terminal: &mut Terminal<'_>) {
        let mut list = |title: &str, lines: &mut dyn Iterator<Item = String>| {
            terminal.out_line(title);
            lines.for_each(|line| terminal.out_line(format_args!("  {line}")));
            terminal.out_line("");
        };
        let mut directories = self.directories.iter().map(|directory| directory.display().to_string());
        match self.directories.len() {
            0 => {}
            1 => list("Found log directory:", &mut directories),
            _ => list("Found log directories:", &mut directories),
        }
        if let Some((_, text)) = &self.first {
            terminal.out_line(format_args!("Found metadata: {{{}}}\n", properties(text)));
        }
        let mut list = |title: &str| {
            terminal.out_line(title);
            self.problems.iter().for_each(|problem| terminal.out_line(format_args!("  {problem}")));
            terminal.out_line("");
        };
        match self.problems.len() {
            0 => {}
            1 => list("Found problem:"),
            _ => list("Found problems:"),
        }
    }
}

/// What a `meta.properties` says, by key; only what Kafka knows.
fn properties(text: &str) -> String {
    let known = ["broker.id", "cluster.id", "directory.id", "node.id", "version"];
    let shown = known.iter().map(|key| (key, property(text, key))).filter(|(_, value)| !value.is_empty());
    shown.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn property(text: &str, key: &str) -> String {
    // The text was understood as a `meta.properties` before.
    let settings = Properties::parse(text).map(|properties| properties.settings()).unwrap_or_default();
    settings.get(key).cloned().unwrap_or_default()
}
