//! Lints are silenced at the item and with a reason (style rule 25).
//!
//! Owns: the form of `allow` and `expect`. Does not own: which lints there are.

use super::Finding;
use super::rust_text::line_of;
use super::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust.iter().filter(|file| !file.is_generated) {
        for (at, opening) in attributes(&file.code) {
            let line = line_of(&file.code, at);
            let is_inner = opening.starts_with("#!");
            let length = file.code[at..].find(']').unwrap_or(file.code.len() - at);
            let has_reason = file.code[at..at + length].contains("reason");
            if is_inner {
                findings.push(Finding::new(&file.path, line, "a lint is silenced for more than an item"));
            } else if !has_reason {
                findings.push(Finding::new(&file.path, line, "a lint is silenced without `reason = \"…\"`"));
            }
        }
    }
    findings
}

/// Where lints are silenced, with the words found.
fn attributes(code: &str) -> Vec<(usize, &str)> {
    ["#[allow(", "#[expect(", "#![allow(", "#![expect("]
        .iter()
        .flat_map(|words| code.match_indices(words))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        check(&Tree::of(&[("crates/a/src/b.rs", text)])).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_lint_is_silenced_at_the_item_with_a_reason() {
        assert!(found("//! B.\n#[expect(\n  clippy::x,\n  reason = \"y\"\n)]\nfn b() {}\n").is_empty());
        assert_eq!(found("//! B.\n#[allow(clippy::x)]\nfn b() {}\n").len(), 1);
        assert_eq!(
            found("//! B.\n#![allow(clippy::x, reason = \"y\")]\n"),
            ["a lint is silenced for more than an item"]
        );
    }
}
