//! Where `unsafe` may stand, and that each block has its proof (style rule 25).
//!
//! Owns: the places. Does not own: whether a proof holds.

use super::Finding;
use super::rust_text::{line_of, words_of};
use super::tree::Tree;

/// How far above a block its proof may begin.
const PROOF_LINES_ABOVE: usize = 8;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.rust {
        let lines: Vec<&str> = file.text.lines().collect();
        for at in words_of(&file.code, "unsafe") {
            let line = line_of(&file.code, at);
            if !may_be_unsafe(&file.path) {
                let message = "`unsafe` lives in env, checksums and compression only";
                findings.push(Finding::new(&file.path, line, message));
                continue;
            }
            let above = &lines[line.saturating_sub(PROOF_LINES_ABOVE + 1)..line];
            let is_proven = above.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if !is_proven {
                findings.push(Finding::new(
                    &file.path,
                    line,
                    "`unsafe` without its proof (`// SAFETY: …`) above",
                ));
            }
        }
    }
    findings
}

fn may_be_unsafe(path: &str) -> bool {
    path.starts_with("crates/env/") || path.contains("/compression") || path.contains("checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_code_is_proven_and_in_its_place() {
        let proven = "//! B.\n// SAFETY: `p` is aligned.\nfn b() { unsafe { *p } }\n";
        assert!(found("crates/env/src/b.rs", proven).is_empty());
        assert_eq!(found("crates/env/src/b.rs", "//! B.\nfn b() { unsafe { *p } }\n"), [2]);
        assert_eq!(found("crates/server/src/b.rs", proven), [3]);
        assert!(found("crates/server/src/b.rs", "//! Not unsafe.\n#![deny(unsafe_code)]\n").is_empty());
    }
}
