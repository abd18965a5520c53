//! The ledger of requirements, `docs/conformance.tsv`.
//!
//! Owns: its form, and that a requirement called done is held by a test that exists and cites it.
//! Does not own: whether the test proves it.
//!
//! Columns: id, status (`done`, `later`, `differs`), tests, note. Tests are named `crate::path::name`, separated by
//! spaces; a foreign suite or a script is named by its path. `done` needs a test, `later` and `differs` a note.
//! Every id that a test cites stands in the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::rust_text::{Function, functions_of, line_of};
use super::tree::{RustFile, Tree};

const LEDGER: &str = "docs/conformance.tsv";
const HEADER: &str = "id\tstatus\ttest\tnote";

/// A test function and the ids it cites.
struct Test {
    crate_name: String,
    name: String,
    path: String,
    line: usize,
    cites: BTreeSet<String>,
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(ledger) = tree.file(LEDGER) else { return vec![Finding::new(LEDGER, 0, "is missing")] };
    let tests: Vec<Test> = tree.rust.iter().flat_map(tests_of).collect();
    let mut findings = Vec::new();
    let mut ids = BTreeMap::new();
    for (line, row) in (1..).zip(ledger.text.lines()) {
        if line == 1 {
            if row != HEADER {
                findings.push(Finding::new(LEDGER, line, "the columns are id, status, test, note"));
            }
            continue;
        }
        let columns: Vec<&str> = row.split('\t').collect();
        let [id, status, named, note] = columns[..] else {
            findings.push(Finding::new(LEDGER, line, "a row has four columns"));
            continue;
        };
        if let Some(first) = ids.insert(id.to_owned(), line) {
            findings.push(Finding::new(LEDGER, line, format!("{id} stands already in line {first}")));
        }
        let problem = match status {
            "done" => problem_of_done(tree, &tests, id, named),
            "later" | "differs" if note.is_empty() => Some(format!("{id} is `{status}` without a note")),
            "later" | "differs" => None,
            other => Some(format!("{id} has the status `{other}`; known are done, later, differs")),
        };
        findings.extend(problem.map(|message| Finding::new(LEDGER, line, message)));
    }
    findings.extend(unknown_citations(&tests, &ids));
    findings.extend(waiting_suites(tree, &ledger.text));
    findings
}

/// A foreign test waits for a requirement that stands in the ledger and is not done.
fn waiting_suites(tree: &Tree, ledger: &str) -> Vec<Finding> {
    let status_of = |id: &str| {
        ledger
            .lines()
            .map(|row| row.split('\t'))
            .find_map(|mut columns| (columns.next() == Some(id)).then(|| columns.next()))
    };
    let is_list = |path: &str| path.starts_with("tests/compat/") && path.ends_with("/later.txt");
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_list(&file.path)) {
        for (line, content) in (1..).zip(file.text.lines()).filter(|(_, line)| !line.starts_with('#')) {
            let Some(id) = content.split(' ').nth(1) else { continue };
            let message = match status_of(id).flatten() {
                None => format!("waits for {id}, which the ledger does not have"),
                Some("done") => format!("waits for {id}, which is done"),
                Some(_) => continue,
            };
            findings.push(Finding::new(&file.path, line, message));
        }
    }
    findings
}

/// What is wrong with a requirement that is called done.
fn problem_of_done(tree: &Tree, tests: &[Test], id: &str, named: &str) -> Option<String> {
    if named.trim().is_empty() {
        return Some(format!("{id} is `done`, but no test is named"));
    }
    let mut is_cited = false;
    for name in named.split_whitespace() {
        if name.contains('/') {
            if !tree.paths.contains(name) {
                return Some(format!("{id} names `{name}`, which does not exist"));
            }
            is_cited = true;
            continue;
        }
        let function = name.rsplit("::").next().unwrap_or(name);
        let crate_name =
            name.split("::").next().unwrap_or_default().trim_start_matches("ottla-").replace('_', "-");
        let crate_name = crate_name.trim_start_matches("ottla-");
        let mut found =
            tests.iter().filter(|test| test.name == function && test.crate_name == crate_name).peekable();
        if found.peek().is_none() {
            return Some(format!("{id} names the test `{name}`, which does not exist"));
        }
        is_cited |= found.any(|test| test.cites.contains(id));
    }
    (!is_cited).then(|| format!("no test named for {id} cites it"))
}

/// Ids of tests that the ledger does not have: a slip of the pen, or a row that is missing.
fn unknown_citations(tests: &[Test], ids: &BTreeMap<String, usize>) -> Vec<Finding> {
    let families: BTreeSet<&str> =
        ids.keys().filter_map(|id| id.split_once('-')).map(|(family, _)| family).collect();
    let mut findings = Vec::new();
    // The tests of tidy itself speak of rows that do not exist.
    for test in tests.iter().filter(|test| test.crate_name != "xtask") {
        for id in test.cites.iter().filter(|id| !ids.contains_key(*id)) {
            if id.split_once('-').is_some_and(|(family, _)| families.contains(family)) {
                let message = format!("test `{}` cites {id}, which the ledger does not have", test.name);
                findings.push(Finding::new(&test.path, test.line, message));
            }
        }
    }
    findings
}

fn tests_of(file: &RustFile) -> Vec<Test> {
    let crate_name = file.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next());
    let Some(crate_name) = crate_name else { return Vec::new() };
    let lines: Vec<&str> = file.text.lines().collect();
    let mut tests = Vec::new();
    for function in functions_of(&file.code) {
        let line = line_of(&file.code, function.start);
        let above = attributes_and_comments(&lines, line);
        if !above.iter().any(|line| is_test_attribute(line)) {
            continue;
        }
        let mut cites: BTreeSet<String> = above.iter().flat_map(|line| ids_in(line)).collect();
        cites.extend(body_lines(&lines, file, &function).iter().flat_map(|line| ids_in(line)));
        tests.push(Test {
            crate_name: crate_name.to_owned(),
            name: function.name,
            path: file.path.clone(),
            line,
            cites,
        });
    }
    tests
}

/// The lines right above line `line` (from 1) that belong to the item there.
fn attributes_and_comments<'a>(lines: &[&'a str], line: usize) -> Vec<&'a str> {
    let above = lines[..line - 1].iter().rev().map(|line| line.trim());
    above
        .take_while(|line| line.starts_with("///") || line.starts_with("#[") || line.starts_with("//"))
        .collect()
}

fn body_lines<'a>(lines: &[&'a str], file: &RustFile, function: &Function) -> Vec<&'a str> {
    let (first, last) = (line_of(&file.code, function.body.start), line_of(&file.code, function.body.end));
    lines[first - 1..last.min(lines.len())].to_vec()
}

fn is_test_attribute(line: &str) -> bool {
    let Some(attribute) = line.strip_prefix("#[") else { return false };
    let path = attribute.split(['(', ']']).next().unwrap_or_default();
    path.rsplit("::").next() == Some("test")
}

/// Texts of the form `LOG-04`: two to five capitals, a hyphen, two digits. `LOG-04…06` cites the first only.
fn ids_in(line: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for word in line.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-')) {
        let Some((family, number)) = word.split_once('-') else { continue };
        let is_family =
            (2..=5).contains(&family.len()) && family.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_family && number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit()) {
            ids.push(word.to_owned());
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "//! B.\n#[cfg(test)]\nmod tests {\n    /// LOG-01, LOG-02\n    #[test]\n    fn it_rolls() {\n        // LOG-03\n    }\n    fn no_test() {}\n}\n";

    fn found(rows: &str) -> Vec<String> {
        let ledger = format!("{HEADER}\nLOG-01\tlater\t\tx\nLOG-02\tlater\t\tx\nLOG-03\tlater\t\tx\n{rows}");
        let tree = Tree::of(&[
            (LEDGER, &ledger),
            ("crates/storage/src/roll.rs", TEST),
            ("tests/compat/a/run.sh", ""),
        ]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    fn only_finding_of(row: &str) -> Option<String> {
        let ledger = format!("{HEADER}\n{row}");
        let tree = Tree::of(&[
            (LEDGER, &ledger),
            ("crates/storage/src/roll.rs", TEST),
            ("tests/compat/a/run.sh", ""),
        ]);
        check(&tree)
            .into_iter()
            .map(|finding| finding.message)
            .find(|message| !message.contains("the ledger does not have"))
    }

    #[test]
    fn what_is_done_names_a_test_that_cites_it() {
        for good in [
            "LOG-01\tdone\tstorage::roll::tests::it_rolls\t",
            "LOG-03\tdone\tottla-storage::it_rolls\t",
            "LOG-09\tdone\ttests/compat/a/run.sh\t",
        ] {
            assert_eq!(only_finding_of(good), None, "{good}");
        }
        let cases = [
            ("LOG-01\tdone\t\t", "LOG-01 is `done`, but no test is named"),
            ("LOG-01\tdone\tstorage::gone\t", "LOG-01 names the test `storage::gone`, which does not exist"),
            (
                "LOG-01\tdone\tserver::it_rolls\t",
                "LOG-01 names the test `server::it_rolls`, which does not exist",
            ),
            (
                "LOG-01\tdone\tstorage::no_test\t",
                "LOG-01 names the test `storage::no_test`, which does not exist",
            ),
            ("LOG-04\tdone\tstorage::it_rolls\t", "no test named for LOG-04 cites it"),
            ("LOG-04\tdone\ttests/gone.sh\t", "LOG-04 names `tests/gone.sh`, which does not exist"),
        ];
        for (row, message) in cases {
            assert_eq!(only_finding_of(row).as_deref(), Some(message));
        }
    }

    #[test]
    fn what_is_not_done_has_a_note() {
        assert_eq!(only_finding_of("LOG-01\tlater\t\t").as_deref(), Some("LOG-01 is `later` without a note"));
        assert_eq!(
            only_finding_of("LOG-01\tdiffers\t\t").as_deref(),
            Some("LOG-01 is `differs` without a note")
        );
        assert_eq!(only_finding_of("LOG-01\tdiffers\t\tours is stronger"), None);
        assert!(only_finding_of("LOG-01\tmaybe\t\t").is_some());
        assert_eq!(only_finding_of("LOG-01\tlater").as_deref(), Some("a row has four columns"));
    }

    #[test]
    fn every_id_stands_once_and_every_cited_id_stands() {
        assert!(found("").is_empty());
        assert_eq!(found("LOG-01\tlater\t\tx"), ["LOG-01 stands already in line 2"]);
        let tree = Tree::of(&[
            (LEDGER, "id\tstatus\ttest\tnote\nLOG-01\tlater\t\tx\nLOG-02\tlater\t\tx"),
            ("crates/storage/src/roll.rs", TEST),
        ]);
        assert_eq!(check(&tree)[0].message, "test `it_rolls` cites LOG-03, which the ledger does not have");
    }

    #[test]
    fn foreign_tests_wait_for_what_is_not_done() {
        let tree = Tree::of(&[
            (LEDGER, "id\tstatus\ttest\tnote\nTXN-01\tlater\t\tx\nLOG-01\tdone\tstorage::it_rolls\t"),
            ("crates/storage/src/roll.rs", "//! B.\n/// LOG-01\n#[test]\nfn it_rolls() {}\n"),
            ("tests/compat/a/later.txt", "# why\na TXN-01 x\nb LOG-01 x\nc TXN-99 x\n"),
        ]);
        let told: Vec<String> = check(&tree).into_iter().map(|finding| finding.message).collect();
        assert_eq!(
            told,
            ["waits for LOG-01, which is done", "waits for TXN-99, which the ledger does not have"]
        );
    }
}
