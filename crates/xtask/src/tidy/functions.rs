//! Lengths of functions (style rule 3).
//!
//! Owns: the wall. Does not own: how functions are found (`rust_text`).
//!
//! Lines of the body count as clippy's `too_many_lines` counts them: without empty lines and comments.

use super::Finding;
use super::rust_text::{functions_of, line_of};
use super::tree::Tree;

/// Lines of code in one body.
const FUNCTION_LINES_MAX: usize = 70;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust.iter().filter(|file| !file.is_generated) {
        for function in functions_of(&file.code) {
            let body = &file.code[function.body.clone()];
            let lines = body.lines().filter(|line| !line.trim().is_empty()).count().saturating_sub(2);
            if lines > FUNCTION_LINES_MAX {
                let line = line_of(&file.code, function.start);
                let message = format!(
                    "function `{}` has {lines} lines of code; {FUNCTION_LINES_MAX} is the wall",
                    function.name
                );
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(statements: usize) -> Vec<Finding> {
        let text = format!("//! B.\nfn long() {{\n{}}}\n", "    // why\n\n    step();\n".repeat(statements));
        check(&Tree::of(&[("crates/a/src/b.rs", &text)]))
    }

    #[test]
    fn a_function_ends_at_its_wall() {
        assert!(found(70).is_empty());
        let message = "function `long` has 71 lines of code; 70 is the wall";
        assert_eq!(found(71), [Finding::new("crates/a/src/b.rs", 2, message)]);
    }
}
