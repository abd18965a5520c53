//! Deliberate bugs are declared, tabled, and used exactly once over (style rule 20).
//!
//! Owns: the comparison of the four places that name them. Does not own: whether tests find them (`mutants`).

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;
use crate::mutants::table;

const DECLARED: &str = "crates/mutant/src/names.rs";
const LINTS: &str = "Cargo.toml";
const TABLE: &str = "crates/xtask/src/mutants/table.tsv";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let (Some(declared), Some(lints), Some(tabled)) =
        (tree.file(DECLARED), tree.file(LINTS), tree.file(TABLE))
    else {
        return Vec::new();
    };
    let rows = match table::read(&tabled.text) {
        Ok(rows) => rows,
        Err(message) => return vec![Finding::new(TABLE, 0, message)],
    };
    let tabled: BTreeSet<String> = rows.iter().map(|row| row.name.clone()).collect();
    let mut findings = Vec::new();
    let mut compare = |path: &str, found: &BTreeSet<String>| {
        for name in tabled.difference(found) {
            findings.push(Finding::new(path, 0, format!("does not have the mutant '{name}' of the table")));
        }
        for name in found.difference(&tabled) {
            findings.push(Finding::new(path, 0, format!("has a mutant '{name}', which the table does not")));
        }
    };
    compare(DECLARED, &declared.text.lines().filter_map(declaration).collect());
    compare(LINTS, &lints.text.lines().filter_map(lint).collect());
    compare("crates", &used(tree));
    for row in rows {
        let uses = tree.rust.iter().filter(|file| calls(&file.product).any(|name| name == row.name));
        let folder = format!("crates/{}/", row.home);
        if !uses.into_iter().any(|file| file.path.starts_with(&folder)) {
            findings.push(Finding::new(TABLE, 0, format!("'{}' does not stand in {folder}", row.name)));
        }
    }
    findings
}

/// `    skip_flush: mutant_skip_flush,`
fn declaration(line: &str) -> Option<String> {
    let (name, cfg) = line.trim().strip_suffix(',')?.split_once(": mutant_")?;
    (name == cfg).then(|| name.to_owned())
}

/// `    'cfg(mutant_skip_flush)',`
fn lint(line: &str) -> Option<String> {
    let name = line.trim().strip_prefix("'cfg(mutant_")?.strip_suffix(")',")?;
    (name != "any").then(|| name.to_owned())
}

fn used(tree: &Tree) -> BTreeSet<String> {
    let outside = tree.rust.iter().filter(|file| file.path != DECLARED);
    outside.flat_map(|file| calls(&file.product)).map(str::to_owned).collect()
}

/// The names in `mutant!(…)`.
fn calls(code: &str) -> impl Iterator<Item = &str> {
    code.split("mutant!(").skip(1).filter_map(|behind| Some(behind.split_once(')')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &str, code: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (DECLARED, "//! M.\nmutants! {\n    a: mutant_a,\n}\n"),
            (LINTS, "check-cfg = [\n    'cfg(mutant_any)',\n    'cfg(mutant_a)',\n]\n"),
            (TABLE, table),
            ("crates/storage/src/b.rs", code),
        ]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn the_four_places_agree() {
        assert!(found("a\tstorage\tx\tno: y\n", "//! B.\nfn b() { mutant!(a) }\n").is_empty());
        let missing =
            found("a\tstorage\tx\tno: y\nc\tstorage\ty\tno: y\n", "//! B.\nfn b() { mutant!(a) }\n");
        assert_eq!(missing.len(), 4, "{missing:?}");
        let elsewhere = found("a\tserver\tx\tno: y\n", "//! B.\nfn b() { mutant!(a) }\n");
        assert_eq!(elsewhere, ["'a' does not stand in crates/server/"]);
        let unused = found("a\tstorage\tx\tno: y\n", "//! B.\nfn b() { mutant!(z) }\n");
        assert_eq!(unused.len(), 3, "{unused:?}");
    }
}
