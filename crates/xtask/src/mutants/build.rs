//! The binaries with all mutants in them: tests, and what runs as it ships.
//!
//! Owns: how they are built and where they lie. Does not own: what is run of them.
//!
//! A wrapper around the compiler, which cargo uses for the crates of the workspace only, adds the cfg: other people's
//! crates are not built anew for it, and the target directory is one of its own, so that no binary with mutants ever
//! lies where others are expected.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::layers::{Layer, PACKAGES, Target};

const WRAPPER: &str = "#!/bin/sh\nexec \"$@\" --cfg mutant_any\n";

/// A binary of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    pub package: &'static str,
    pub target: Target,
    pub path: PathBuf,
    /// Where its tests expect to be run.
    pub directory: PathBuf,
}

/// All of them.
#[derive(Debug)]
pub struct Binaries(Vec<Binary>);

impl Binaries {
    /// Those a layer runs.
    pub fn of(&self, layer: &Layer) -> Result<Vec<Binary>, String> {
        let wanted = |binary: &&Binary| binary.package == layer.package && binary.target == layer.target;
        let found: Vec<Binary> = self.0.iter().filter(wanted).cloned().collect();
        match found.is_empty() {
            true => Err(format!("{} has no tests for layer '{}'", layer.package, layer.name)),
            false => Ok(found),
        }
    }
}

/// What runs a node and judges it.
#[derive(Clone, Debug)]
pub struct Live {
    /// The program `ottla`, with all mutants.
    pub node: PathBuf,
    /// Where the tools lie, without any.
    pub tools: PathBuf,
    /// Where the tools lie that have all mutants: a bug of the client is one of theirs.
    pub tools_with_mutants: PathBuf,
    /// Where nodes may have their files.
    pub work: PathBuf,
}

/// Builds the node and the tools as `cargo build` does.
pub fn build_live(root: &Path) -> Result<Live, String> {
    let target = target_of(root);
    let mutants = target.join("mutants");
    let tools = ["-p", "ottla-chaos", "-p", "ottla-attack"];
    println!("building chaos and attack, and a node with all mutants");
    cargo(root, (&["build"], &tools), &target, None)?;
    let wrapper = write_wrapper(&mutants).map_err(|error| format!("{}: {error}", mutants.display()))?;
    cargo(root, (&["build"], &["-p", "ottla-cli", "-p", "ottla-chaos"]), &mutants, Some(&wrapper))?;
    let (plain, with) = (target.join("debug"), mutants.join("debug"));
    let work = mutants.join("live");
    Ok(Live { node: with.join("ottla"), tools: plain, tools_with_mutants: with, work })
}

fn target_of(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Runs cargo; answers what it said.
fn cargo(
    root: &Path,
    (command, packages): (&[&str], &[&str]),
    target: &Path,
    wrapper: Option<&Path>,
) -> Result<String, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(command).args(packages).current_dir(root).env("CARGO_TARGET_DIR", target);
    if let Some(wrapper) = wrapper {
        cargo.env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    }
    let built = cargo.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    match built.status.success() {
        true => Ok(said),
        false => Err(format!("{} does not build:\n{said}", packages.join(" "))),
    }
}

pub fn build(root: &Path) -> Result<Binaries, String> {
    let target = target_of(root).join("mutants");
    let wrapper = write_wrapper(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let mut binaries = Vec::new();
    for package in PACKAGES {
        println!("building the tests of ottla-{package} with all mutants");
        let name = format!("ottla-{package}");
        let said = cargo(root, (&["test", "--no-run"], &["-p", &name]), &target, Some(&wrapper))?;
        let directory = root.join("crates").join(package);
        binaries.extend(said.lines().filter_map(executable).map(|(target, path)| Binary {
            package,
            target,
            path: root.join(path),
            directory: directory.clone(),
        }));
    }
    Ok(Binaries(binaries))
}

/// Writes the wrapper. One that is there stays as it is: cargo looks at its age.
fn write_wrapper(target: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(target)?;
    let path = target.join("with-mutants");
    if std::fs::read(&path).is_ok_and(|present| present == WRAPPER.as_bytes()) {
        return Ok(path);
    }
    std::fs::write(&path, WRAPPER)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Reads `  Executable tests/it/main.rs (target/debug/deps/it-0123)`.
fn executable(line: &str) -> Option<(Target, &str)> {
    let (source, path) = line.trim().strip_prefix("Executable ")?.split_once(" (")?;
    let target = if source.starts_with("tests/") { Target::Together } else { Target::Unit };
    Some((target, path.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_tests_are() {
        let line = "  Executable tests/it/main.rs (/t/debug/deps/it-0123)";
        assert_eq!(executable(line), Some((Target::Together, "/t/debug/deps/it-0123")));
        let line = "  Executable unittests src/lib.rs (/t/debug/deps/ottla_env-4)";
        assert_eq!(executable(line), Some((Target::Unit, "/t/debug/deps/ottla_env-4")));
        assert_eq!(executable("   Compiling ottla-env v0.1.0"), None);
    }
}
