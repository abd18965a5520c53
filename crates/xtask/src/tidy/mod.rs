//! `cargo xtask tidy`: the rules of STYLE.md that a program can check.
//!
//! Owns: the list of rules and the report. Does not own: the rules (one module per kind), the tree (`tree`).

mod architecture;
mod banned;
mod casts;
mod config_keys;
mod conformance;
mod floors;
mod functions;
mod header;
mod lengths;
mod lints;
mod mutants;
mod names;
mod rust_text;
mod stands_alone;
mod tree;
mod unsafety;

use std::path::Path;

use tree::Tree;

/// Something that stands against a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// From 1; 0 where the whole file is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, message: message.into() }
    }
}

/// A rule looks at the whole tree and tells what stands against it.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: [(&str, Rule); 14] = [
    ("floors", floors::check),
    ("lengths of files", lengths::check),
    ("lengths of functions", functions::check),
    ("contracts at the head of files", header::check),
    ("banned calls", banned::check),
    ("casts in decoders", casts::check),
    ("unsafe code", unsafety::check),
    ("silenced lints", lints::check),
    ("names", names::check),
    ("the map", architecture::check),
    ("the ledger", conformance::check),
    ("config keys", config_keys::check),
    ("standing alone", stands_alone::check),
    ("mutants", mutants::check),
];

/// Checks the repository; `cargo xtask` runs in its root or below.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(other) = arguments.first() {
        return Err(format!("unknown argument '{other}'; tidy has none"));
    }
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").as_path())?;
    let mut total = 0;
    for (name, rule) in RULES {
        let mut findings = rule(&tree);
        findings.sort();
        findings.dedup();
        for Finding { path, line, message } in &findings {
            match line {
                0 => println!("{path}: {message} [{name}]"),
                line => println!("{path}:{line}: {message} [{name}]"),
            }
        }
        total += findings.len();
    }
    super::docs::check()?;
    match total {
        0 => Ok(()),
        1 => Err("1 finding".to_owned()),
        many => Err(format!("{many} findings")),
    }
}
