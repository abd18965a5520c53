//! A config key is one entry (style rule 20).
//!
//! Owns: the search for second entries. Does not own: the entries (`ottla_metadata::config`).

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

const TABLES: &str = "crates/metadata/src/config/keys/";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut declared: BTreeMap<(String, String), (String, usize)> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in tree.rust.iter().filter(|file| file.path.starts_with(TABLES)) {
        let table = file.path[TABLES.len()..].trim_end_matches(".rs");
        // All tables of the broker make one resource.
        let resource = if table.starts_with("broker") { "broker" } else { table };
        for (line, content) in (1..).zip(file.text.lines()) {
            let Some(name) = declared_name(content) else { continue };
            let key = (resource.to_owned(), name.to_owned());
            if let Some((path, first)) = declared.insert(key, (file.path.clone(), line)) {
                let message = format!("declares `{name}` again; {path}:{first} did");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The name at the beginning of an entry: `"log.dirs": List …`.
fn declared_name(line: &str) -> Option<&str> {
    let (name, behind) = line.trim_start().strip_prefix('"')?.split_once('"')?;
    behind.starts_with(": ").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_declared_once_per_resource() {
        let tree = Tree::of(&[
            ("crates/metadata/src/config/keys/broker_log.rs", "    \"log.dir\": List = \"x\", Any;\n"),
            ("crates/metadata/src/config/keys/broker_quorum.rs", "    \"log.dir\": List = \"y\", Any;\n"),
            ("crates/metadata/src/config/keys/topic.rs", "    \"log.dir\": List = \"y\", Any;\n"),
        ]);
        let found: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["crates/metadata/src/config/keys/broker_quorum.rs"]);
    }
}
