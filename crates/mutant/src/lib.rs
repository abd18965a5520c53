//! Deliberate bugs of the product, for the tests that must find them.
//!
//! Owns: their names, and whether one of them is built in and chosen.
//! Does not own: the bugs, each of which stands where it belongs; what they are and which tests are tried
//! (`crates/xtask/src/mutants/table.tsv`).
//!
//! `--cfg mutant_NAME` builds a binary with that bug. `--cfg mutant_any` builds one with all of them, and the
//! environment variable `OTTLA_MUTANT` chooses one or none. Without either, [`mutant!`] is the constant `false`, and
//! nothing of a bug is in the binary.
//!
//! Source: reliability design 4.5; `docs/decisions/0004-mutants.md`.

mod names;

pub use names::NAMES;

/// Names the mutant that runs, in a binary with all of them.
#[cfg(mutant_any)]
pub const VARIABLE: &str = "OTTLA_MUTANT";

/// Whether a mutant is the one the environment names.
#[cfg(mutant_any)]
pub fn is_chosen(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let chosen = std::env::var(VARIABLE).ok().filter(|chosen| !chosen.is_empty());
        if let Some(unknown) = chosen.as_deref().filter(|chosen| !NAMES.contains(chosen)) {
            panic!("{VARIABLE}: there is no mutant '{unknown}'");
        }
        chosen
    });
    chosen.as_deref() == Some(name)
}

/// No: this is no build with all mutants.
#[cfg(not(mutant_any))]
#[inline(always)]
pub const fn is_chosen(_name: &str) -> bool {
    false
}
