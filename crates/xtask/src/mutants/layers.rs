//! The layers of tests, cheapest first.
//!
//! Owns: their order, which tests each of them is. Does not own: building and running them.
//!
//! | layer | what runs |
//! |---|---|
//! | unit | tests in the files of the mutant's own crate |
//! | crate | tests of the mutant's own crate through its public face |
//! | simulator | the machines and the log on simulated disk, time and network |
//! | node | a whole node on a real directory, spoken to in frames |
//! | client | the client library against a node |
//! | kill | the binary, killed while it works |
//!
//! Two more are no tests but tools with a node of their own, and are run where they are asked for: `chaos` and `attack` (`live`).

use super::table::Mutant;

/// Their names.
pub const NAMES: [&str; 6] = ["unit", "crate", "simulator", "node", "client", "kill"];

/// Crates whose tests are built, from the ground up.
pub const PACKAGES: [&str; 8] =
    ["protocol", "replication", "coordinator", "metadata", "storage", "server", "client", "cli"];

/// Which tests of a crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Those in its files.
    Unit,
    /// Those in `tests/`.
    Together,
}

/// Tests that are run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub name: &'static str,
    pub package: &'static str,
    pub target: Target,
    /// Part of the names of the tests that count; empty for all.
    pub filter: &'static str,
}

impl Layer {
    const fn all_of(name: &'static str, package: &'static str, target: Target) -> Layer {
        Layer { name, package, target, filter: "" }
    }
}

/// Tests of crates whose machines are run by a simulator.
const SIMULATED: [&str; 4] = ["replication", "coordinator", "metadata", "storage"];

/// The layers for one mutant, in order.
pub fn of(mutant: &Mutant) -> Vec<Layer> {
    let home = PACKAGES.into_iter().find(|package| *package == mutant.home);
    let mut layers = Vec::new();
    if let Some(home) = home {
        layers.push(Layer::all_of("unit", home, Target::Unit));
        layers.push(Layer::all_of("crate", home, Target::Together));
    }
    layers.extend(SIMULATED.map(|package| Layer::all_of("simulator", package, Target::Together)));
    layers.push(Layer::all_of("node", "server", Target::Unit));
    layers.push(Layer::all_of("node", "server", Target::Together));
    layers.push(Layer::all_of("client", "client", Target::Together));
    layers.push(Layer { name: "kill", package: "cli", target: Target::Together, filter: "kills::" });
    let mut seen: Vec<Layer> = Vec::new();
    for layer in layers {
        if !seen.iter().any(|known| known.package == layer.package && known.target == layer.target) {
            seen.push(layer);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_s_own_crate_comes_first_and_no_binary_runs_twice() {
        let live = super::super::table::Live::No("z".to_owned());
        let mutant = Mutant { name: "x".to_owned(), home: "storage".to_owned(), bug: "y".to_owned(), live };
        let order: Vec<(&str, &str)> = of(&mutant).iter().map(|layer| (layer.name, layer.package)).collect();
        let expected = [
            ("unit", "storage"),
            ("crate", "storage"),
            ("simulator", "replication"),
            ("simulator", "coordinator"),
            ("simulator", "metadata"),
            ("node", "server"),
            ("node", "server"),
            ("client", "client"),
            ("kill", "cli"),
        ];
        assert_eq!(order, expected);
    }
}
