//! `cargo xtask codegen`: the messages of `crates/protocol` from their schemas.
//!
//! Owns: which files are read and written, and `--check`.
//! Does not own: the code in them (`struct_code`, `registry`), the shape of schemas (`schema`).
//!
//! The output is checked in, so that a build needs neither this program nor the schemas.
//!
//! Source: docs/formats/schema-text.md.

mod field_code;
mod names;
mod registry;
mod schema;
mod struct_code;
mod versions;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use schema::Schema;

/// Runs the task: writes the files, or with `--check` fails if they are not what would be written.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(format!("unknown arguments {arguments:?}; only --check is known")),
    };
    let protocol = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol");
    let output = protocol.join("src/messages");
    let wanted = generate(&protocol)?;
    let stale = stale(&output, &wanted)?;
    if check {
        return if stale.is_empty() {
            Ok(())
        } else {
            Err(format!("not current, run `cargo xtask codegen`: {}", stale.join(", ")))
        };
    }
    fs::create_dir_all(&output).map_err(|error| format!("cannot create {}: {error}", output.display()))?;
    for name in &stale {
        let path = output.join(name);
        let done = match wanted.get(name) {
            Some(text) => fs::write(&path, text),
            None => fs::remove_file(&path),
        };
        done.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    println!("{} files, {} changed", wanted.len(), stale.len());
    Ok(())
}

/// All files by name, formatted.
fn generate(protocol: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut schemas = Vec::new();
    let mut files = BTreeMap::new();
    for path in schema_files(&protocol.join("messages"))? {
        let source = path.strip_prefix(protocol).unwrap_or(&path).display().to_string();
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {source}: {error}"))?;
        let mut schema = schema::parse(&text).map_err(|error| format!("{source}: {error}"))?;
        schema.folder = folder_of(&path);
        if path.file_stem().is_none_or(|stem| stem != schema.name.as_str()) {
            return Err(format!("{source}: the file must be named after {}", schema.name));
        }
        if !schema.valid.is_empty() {
            let code = struct_code::file(&schema, &source).map_err(|error| format!("{source}: {error}"))?;
            files.insert(format!("{}.rs", names::snake(&schema.name)), code);
        }
        schemas.push(schema);
    }
    check_names(&schemas)?;
    files.insert("mod.rs".to_owned(), registry::modules(&schemas));
    files.insert("api_key.rs".to_owned(), registry::api_keys(&schemas)?);
    files.insert("records.rs".to_owned(), registry::record_sets(&schemas)?);
    format_all(files)
}

/// Name of the folder a file lies in.
fn folder_of(path: &Path) -> String {
    path.parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn check_names(schemas: &[Schema]) -> Result<(), String> {
    let mut names: Vec<&str> = schemas.iter().map(|schema| schema.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("there are two schemas named {}", pair[0])),
        None => Ok(()),
    }
}

/// Schema files in the folders below `root`, sorted.
fn schema_files(root: &Path) -> Result<Vec<PathBuf>, String> {
    let list = |path: &Path| -> Result<Vec<PathBuf>, String> {
        let entries =
            fs::read_dir(path).map_err(|error| format!("cannot list {}: {error}", path.display()))?;
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        Ok(paths)
    };
    let mut files = Vec::new();
    for folder in list(root)? {
        files.extend(list(&folder)?);
    }
    Ok(files)
}

/// Names of files in `output` that differ from `wanted`, are missing, or should not be there.
fn stale(output: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut stale: Vec<String> = wanted
        .iter()
        .filter(|(name, text)| fs::read_to_string(output.join(name)).ok().as_ref() != Some(*text))
        .map(|(name, _)| name.clone())
        .collect();
    if output.exists() {
        let entries =
            fs::read_dir(output).map_err(|error| format!("cannot list {}: {error}", output.display()))?;
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !wanted.contains_key(&name) {
                stale.push(name);
            }
        }
    }
    Ok(stale)
}

/// Formats all files with rustfmt, which follows the modules of `mod.rs`.
fn format_all(mut files: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let draft = root.join("target/codegen");
    let failed = |what: &str, error: std::io::Error| format!("cannot {what} {}: {error}", draft.display());
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(|error| failed("empty", error))?;
    }
    fs::create_dir_all(&draft).map_err(|error| failed("create", error))?;
    for (name, text) in &files {
        fs::write(draft.join(name), text).map_err(|error| failed("write to", error))?;
    }
    let status = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .arg(draft.join("mod.rs"))
        .status()
        .map_err(|error| format!("cannot run rustfmt: {error}"))?;
    if !status.success() {
        return Err("rustfmt refused the generated code".to_owned());
    }
    for (name, text) in &mut files {
        *text = fs::read_to_string(draft.join(name)).map_err(|error| failed("read from", error))?;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_in_the_repository_are_what_their_schemas_say() {
        assert_eq!(run(&["--check".to_owned()]), Ok(()));
    }

    #[test]
    fn files_that_differ_are_missing_or_left_over_are_stale() {
        let folder = std::env::temp_dir().join(format!("ottla-codegen-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in [("same.rs", "1"), ("other.rs", "1"), ("left.rs", "1")] {
            fs::write(folder.join(name), text).unwrap();
        }
        let wanted: BTreeMap<String, String> = [("same.rs", "1"), ("other.rs", "2"), ("missing.rs", "3")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into();
        let found = stale(&folder, &wanted);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, Ok(["missing.rs", "other.rs", "left.rs"].map(str::to_owned).to_vec()));
    }
}
