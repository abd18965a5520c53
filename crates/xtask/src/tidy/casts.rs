//! Numeric casts in decoders (style rule 8).
//!
//! Owns: which files decode, what a cast is. Does not own: casts elsewhere.

use super::Finding;
use super::rust_text::{line_of, words_of};
use super::tree::Tree;

const NUMBERS: [&str; 14] =
    ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust.iter().filter(|file| decodes(&file.path) && !file.is_test) {
        for at in words_of(&file.product, "as") {
            let behind = file.product[at + 2..].trim_start();
            let target: String = behind.chars().take_while(|it| it.is_ascii_alphanumeric()).collect();
            if NUMBERS.contains(&target.as_str()) {
                let message = format!("`as {target}` in a decoder: use `from` or `try_from`");
                findings.push(Finding::new(&file.path, line_of(&file.product, at), message));
            }
        }
    }
    findings
}

/// Everything of the wire and its records, and whatever calls itself a decoder.
fn decodes(path: &str) -> bool {
    path.starts_with("crates/protocol/src/") || path.contains("decode")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_do_not_cast() {
        let text = "//! B.\nuse x as y;\nfn b() { n as usize; <T as Into<u8>>::into(t); }\n";
        let found =
            check(&Tree::of(&[("crates/protocol/src/reader.rs", text), ("crates/model/src/b.rs", text)]));
        let message = "`as usize` in a decoder: use `from` or `try_from`";
        assert_eq!(found, [Finding::new("crates/protocol/src/reader.rs", 3, message)]);
    }
}
