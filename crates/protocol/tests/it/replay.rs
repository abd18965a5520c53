//! The kept corpus of the fuzzers, replayed.

use std::fs;
use std::path::Path;

use super::targets::TARGETS;
use super::view_targets::VIEW_TARGETS;

/// Inputs by which fuzzers began, and those that once failed. Each is named in the panic if it fails again.
#[test]
fn the_kept_inputs_of_the_fuzzers_pass() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in TARGETS.iter().chain(VIEW_TARGETS) {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus.join(name)).expect("every target has a corpus") {
            let path = entry.expect("the folder can be read").path();
            let bytes = fs::read(&path).expect("the input can be read");
            println!("{}", path.display());
            target(&bytes);
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no inputs");
    }
}
