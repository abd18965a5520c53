//! The contract at the head of a Rust file (style rule 2).
//!
//! Owns: what a head must say. Does not own: whether it is true.
//!
//! A handler's head is its API and one sentence (rule 13); tests, benches and examples say what they show.

use super::Finding;
use super::tree::{RustFile, Tree};

pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust.iter().filter(|file| !file.is_generated).filter_map(check_file).collect()
}

fn check_file(file: &RustFile) -> Option<Finding> {
    let head: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let Some(first) = head.first() else {
        return Some(Finding::new(&file.path, 1, "does not open with its contract (`//!`)"));
    };
    if first.trim_start_matches("//!").trim().is_empty() {
        return Some(Finding::new(&file.path, 1, "the contract begins with an empty line"));
    }
    if file.is_test || file.path.contains("/handlers/") {
        return None;
    }
    let says = |words: &str| head.iter().any(|line| line.contains(words));
    let missing = [("Owns", "Owns:"), ("Does not own", "Does not own:")]
        .into_iter()
        .find(|(_, words)| !says(words))
        .map(|(name, _)| name)?;
    Some(Finding::new(&file.path, 1, format!("the contract does not say \"{missing}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Option<String> {
        check(&Tree::of(&[(path, text)])).pop().map(|finding| finding.message)
    }

    #[test]
    fn a_file_opens_with_what_it_owns_and_what_not() {
        let full = "//! B.\n//!\n//! Owns: b.\n//! Does not own: c.\nfn b() {}\n";
        assert_eq!(found("crates/a/src/b.rs", full), None);
        assert_eq!(
            found("crates/a/src/b.rs", "fn b() {}\n").as_deref(),
            Some("does not open with its contract (`//!`)")
        );
        let half = "//! B.\n//! Owns: b.\n";
        assert_eq!(
            found("crates/a/src/b.rs", half).as_deref(),
            Some("the contract does not say \"Does not own\"")
        );
    }

    #[test]
    fn handlers_and_tests_need_a_sentence_only() {
        assert_eq!(found("crates/server/src/handlers/heartbeat.rs", "//! Heartbeat (API key 12).\n"), None);
        assert_eq!(found("crates/a/tests/it/main.rs", "//! Scripts of the machine.\n"), None);
        assert!(found("crates/a/tests/it/main.rs", "mod x;\n").is_some());
    }
}
