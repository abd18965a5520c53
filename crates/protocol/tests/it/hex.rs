//! Files that real Kafka wrote, kept as hexadecimal dumps under `tests/data/`.
//!
//! Owns: reading the dumps. Does not own: what the bytes mean.

/// The bytes of the file whose section header contains `name`.
pub fn dumped(dump: &str, name: &str) -> Vec<u8> {
    let section = dump
        .split("\n== ")
        .find(|section| section.lines().next().is_some_and(|title| title.contains(name)))
        .unwrap_or_else(|| panic!("no section {name}"));
    section.lines().skip(1).filter_map(hex_columns).flatten().collect()
}

/// The sixteen bytes of a line `offset  hex … |text|`.
fn hex_columns(line: &str) -> Option<Vec<u8>> {
    let (offset, rest) = line.split_once("  ")?;
    u32::from_str_radix(offset, 16).ok()?;
    let hex = rest.split('|').next()?;
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}
