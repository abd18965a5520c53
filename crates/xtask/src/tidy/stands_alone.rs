//! The repository stands alone: nothing in it names a place outside.
//!
//! Owns: the list of such places. Does not own: links to public documents.

use super::Finding;
use super::tree::Tree;

/// Directories of machines and hosts of package registries. Spelled in two parts, so that this list is not among its
/// findings.
const OUTSIDE: [&str; 8] = [
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!("index.crates", ".io"),
    concat!("crates.io", "/api"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("repo1.maven", ".org"),
];

/// Lock files name registries by nature.
const LOCK_FILES: [&str; 3] = ["Cargo.lock", "package-lock.json", "go.sum"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_lock = |path: &str| path.rsplit('/').next().is_some_and(|name| LOCK_FILES.contains(&name));
    for file in tree.files.iter().filter(|file| !is_lock(&file.path)) {
        for (line, content) in (1..).zip(file.text.lines()) {
            for outside in OUTSIDE.iter().filter(|outside| names(content, outside)) {
                findings.push(Finding::new(&file.path, line, format!("names a place outside: {outside}")));
            }
        }
    }
    findings
}

/// A directory counts where a path begins with it, not within a longer path.
fn names(line: &str, outside: &str) -> bool {
    line.match_indices(outside).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !outside.starts_with('/')
            || !before.is_some_and(|it| it.is_alphanumeric() || matches!(it, '.' | '_' | '-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_names_a_place_outside() {
        let text = format!("see {}x\nsee a{}x\n", OUTSIDE[1], OUTSIDE[1]);
        let found = check(&Tree::of(&[("docs/a.md", &text), ("Cargo.lock", OUTSIDE[3])]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("docs/a.md", 1));
    }
}
