//! The map of the repository (style rule 22).
//!
//! Owns: its length, and that what it names is there. Does not own: what it says.

use super::Finding;
use super::tree::Tree;

const MAP: &str = "ARCHITECTURE.md";
const MAP_LINES_MAX: usize = 300;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.file(MAP) else { return vec![Finding::new(MAP, 0, "is missing")] };
    let mut findings = Vec::new();
    let lines = map.text.lines().count();
    if lines > MAP_LINES_MAX {
        findings.push(Finding::new(MAP, 0, format!("has {lines} lines; {MAP_LINES_MAX} is the wall")));
    }
    for (line, content) in (1..).zip(map.text.lines()) {
        for name in quoted(content).filter(|name| is_path(name)) {
            if !exists(tree, name) {
                findings.push(Finding::new(MAP, line, format!("names `{name}`, which does not exist")));
            }
        }
    }
    findings
}

/// What stands between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether a quoted text means a place in the repository: it begins with one of its directories.
fn is_path(text: &str) -> bool {
    const ROOTS: [&str; 7] = ["crates/", "docs/", "bin/", "config/", "tests/", "fuzz/", ".ci/"];
    ROOTS.iter().any(|root| text.starts_with(root)) && !text.contains(['<', ' ', '…'])
}

/// A `*` stands for any rest of a name.
fn exists(tree: &Tree, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    match name.split_once('*') {
        None => tree.paths.contains(name),
        Some((prefix, suffix)) => {
            tree.paths.iter().any(|path| path.starts_with(prefix) && path.ends_with(suffix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(map: &str) -> Vec<String> {
        let tree = Tree::of(&[(MAP, map), ("crates/a/src/lib.rs", "//! A.\n"), ("bin/kafka-topics.sh", "")]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn what_the_map_names_is_there() {
        assert!(
            found("`crates/a/src/lib.rs`, `crates/a/`, `bin/kafka-*.sh`, `a/b`, `cargo test`\n").is_empty()
        );
        assert_eq!(found("see `crates/b`\n"), ["names `crates/b`, which does not exist"]);
    }

    #[test]
    fn the_map_has_an_end() {
        assert!(found(&"x\n".repeat(300)).is_empty());
        assert_eq!(found(&"x\n".repeat(301)), ["has 301 lines; 300 is the wall"]);
    }
}
