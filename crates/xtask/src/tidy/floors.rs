//! Floors: a crate uses only crates with a smaller number.
//!
//! Owns: the reading of `[package.metadata.ottla] floor`, the comparison of every edge with it.
//! Does not own: the numbers, which stand in each `Cargo.toml`.
//!
//! The one exception: from floor 2 up, a crate may have `testkit` as a dev-dependency.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

/// One crate as its manifest describes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Manifest {
    path: String,
    name: String,
    floor: Option<u32>,
    /// Name of the used crate, line of the manifest, whether for tests only.
    uses: Vec<(String, usize, bool)>,
}

/// The lowest floor that may test with `testkit`.
const TESTKIT_FROM: u32 = 2;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let is_manifest = |path: &str| path.starts_with("crates/") && path.ends_with("/Cargo.toml");
    let manifests: Vec<Manifest> = tree
        .files
        .iter()
        .filter(|file| is_manifest(&file.path))
        .map(|file| read(&file.path, &file.text))
        .collect();
    let floors: BTreeMap<&str, u32> =
        manifests.iter().filter_map(|it| Some((it.name.as_str(), it.floor?))).collect();
    let mut findings = Vec::new();
    for manifest in &manifests {
        let Some(floor) = manifest.floor else {
            findings.push(Finding::new(&manifest.path, 0, "has no [package.metadata.ottla] floor"));
            continue;
        };
        for (used, line, is_dev) in manifest.uses.iter().filter(|(used, ..)| *used != manifest.name) {
            let Some(below) = floors.get(used.as_str()) else {
                findings.push(Finding::new(
                    &manifest.path,
                    *line,
                    format!("uses {used}, which has no floor"),
                ));
                continue;
            };
            let tests_with_testkit = *is_dev && used == "ottla-testkit" && floor >= TESTKIT_FROM;
            if *below >= floor && !tests_with_testkit {
                let message =
                    format!("floor {floor} uses {used} on floor {below}: only lower floors are used");
                findings.push(Finding::new(&manifest.path, *line, message));
            }
        }
    }
    findings
}

/// Reads the few lines of a manifest that matter here.
fn read(path: &str, text: &str) -> Manifest {
    let mut manifest = Manifest { path: path.to_owned(), ..Manifest::default() };
    let mut section = "";
    for (line, content) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(name) = content.strip_prefix('[') {
            section = name.trim_end_matches(']');
            // `[dependencies.ottla-model]` is a dependency by itself.
            if let Some((kind, name)) = section.split_once("dependencies.") {
                manifest.uses.push((name.to_owned(), line, kind.contains("dev-")));
            }
            continue;
        }
        let Some((key, value)) = content.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        match section {
            "package" if key == "name" => manifest.name = value.to_owned(),
            "package.metadata.ottla" if key == "floor" => manifest.floor = value.parse().ok(),
            section if section.ends_with("dependencies") => {
                let name = key.split('.').next().unwrap_or(key);
                manifest.uses.push((name.to_owned(), line, section.contains("dev-")));
            }
            _ => {}
        }
    }
    manifest.uses.retain(|(name, ..)| name.starts_with("ottla-"));
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, floor: u32, rest: &str) -> String {
        format!("[package]\nname = \"ottla-{name}\"\n[package.metadata.ottla]\nfloor = {floor}\n{rest}")
    }

    fn found(crates: &[(&str, u32, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> = crates
            .iter()
            .map(|(name, floor, rest)| (format!("crates/{name}/Cargo.toml"), manifest(name, *floor, rest)))
            .collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        check(&Tree::of(&files)).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_crate_uses_lower_floors_only() {
        let uses = |what: &'static str| [("a", 1, ""), ("b", 2, ""), ("c", 2, what)];
        assert!(found(&uses("[dependencies]\nottla-a.workspace = true\nserde = \"1\"\n")).is_empty());
        assert_eq!(
            found(&uses("[dependencies]\nottla-b = { path = \"x\" }\n")),
            ["floor 2 uses ottla-b on floor 2: only lower floors are used"]
        );
        assert_eq!(
            found(&uses("[target.'cfg(unix)'.dev-dependencies]\nottla-b.workspace = true\n")).len(),
            1
        );
        assert_eq!(found(&uses("[dependencies.ottla-b]\nworkspace = true\n")).len(), 1);
    }

    #[test]
    fn testkit_may_test_its_own_floor_and_above() {
        let dev = "[dev-dependencies]\nottla-testkit.workspace = true\n";
        assert!(found(&[("testkit", 2, ""), ("storage", 2, dev)]).is_empty());
        assert_eq!(found(&[("testkit", 2, ""), ("env", 1, dev)]).len(), 1);
        let product = "[dependencies]\nottla-testkit.workspace = true\n";
        assert_eq!(found(&[("testkit", 2, ""), ("storage", 2, product)]).len(), 1);
    }

    #[test]
    fn every_crate_has_a_floor() {
        let tree = Tree::of(&[("crates/a/Cargo.toml", "[package]\nname = \"ottla-a\"\n")]);
        assert_eq!(check(&tree)[0].message, "has no [package.metadata.ottla] floor");
    }
}
