//! `cargo xtask docs`: the pages of `docs/reference/`, made from declarations in the code.
//!
//! Owns: which program prints which pages, writing them, the check that they are current.
//! Does not own: the pages.
//!
//! The pages come from an example of the crate that declares their subject, so that xtask itself builds without the
//! crates it works on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates with an example that prints pages.
const SOURCES: [(&str, &str); 1] = [("ottla-metadata", "config_reference")];

const DIRECTORY: &str = "docs/reference";

struct Page {
    name: String,
    text: String,
}

/// Writes the pages, or with `--check` compares them.
pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(),
        ["--check"] => check(),
        other => Err(format!("unknown arguments {other:?}; docs has --check")),
    }
}

fn write() -> Result<(), String> {
    let directory = root().join(DIRECTORY);
    fs::create_dir_all(&directory)
        .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    for page in pages()? {
        let path = directory.join(&page.name);
        fs::write(&path, page.text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Tells whether every page on disk is what the declarations make.
pub fn check() -> Result<(), String> {
    for page in pages()? {
        let path = root().join(DIRECTORY).join(&page.name);
        if fs::read_to_string(&path).ok().as_deref() != Some(page.text.as_str()) {
            return Err(format!("{DIRECTORY}/{} is not current: run `cargo xtask docs`", page.name));
        }
    }
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pages() -> Result<Vec<Page>, String> {
    let mut pages = Vec::new();
    for (package, example) in SOURCES {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["run", "--quiet", "--package", package, "--example", example])
            .current_dir(root())
            .output()
            .map_err(|error| format!("cannot run the example {example}: {error}"))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the example {example} of {package} failed:\n{told}"));
        }
        let text = String::from_utf8(output.stdout).map_err(|error| format!("{example}: {error}"))?;
        pages.extend(parse(&text).ok_or_else(|| format!("{example} prints no pages"))?);
    }
    Ok(pages)
}

/// Reads `file NAME`, the length, the bytes, again and again.
fn parse(text: &str) -> Option<Vec<Page>> {
    let mut pages = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, behind) = rest.strip_prefix("file ")?.split_once('\n')?;
        let (length, behind) = behind.split_once('\n')?;
        let (text, behind) = behind.split_at_checked(length.parse().ok()?)?;
        pages.push(Page { name: name.to_owned(), text: text.to_owned() });
        rest = behind;
    }
    Some(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_apart_by_their_lengths() {
        let pages = parse("file a.md\n7\nfile b\nfile b.md\n0\n").unwrap();
        let told: Vec<(&str, &str)> =
            pages.iter().map(|page| (page.name.as_str(), page.text.as_str())).collect();
        assert_eq!(told, [("a.md", "file b\n"), ("b.md", "")]);
        assert!(parse("a.md\n").is_none());
        assert!(parse("file a.md\n9\nshort").is_none());
    }
}
