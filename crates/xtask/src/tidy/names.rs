//! Names that say nothing (architecture: "there is no `common`, no `util`").
//!
//! Owns: the list. Does not own: whether another name says more.

use super::Finding;
use super::tree::Tree;

const EMPTY: [&str; 8] = ["common", "util", "utils", "helper", "helpers", "misc", "shared", "stuff"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.paths.iter().filter(|path| path.starts_with("crates/")) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.strip_suffix(".rs").unwrap_or(name);
        if EMPTY.contains(&stem) {
            findings.push(Finding::new(path, 0, format!("`{stem}` is no name for a part: say what it is")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_a_name() {
        let tree = Tree::of(&[
            ("crates/a/src/util.rs", "//! U.\n"),
            ("crates/a/src/utility_bill.rs", "//! B.\n"),
            ("docs/common/x.md", ""),
        ]);
        let paths: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/a/src/util.rs"]);
    }
}
