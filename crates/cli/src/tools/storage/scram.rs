//! `--add-scram`: credentials a cluster begins with.
//!
//! Owns: the reading of `SCRAM-SHA-256=[name=alice,password=secret,iterations=8192]`, with Kafka's refusals.
//! Does not own: credentials: SCRAM comes with the security of listeners, so a well-formed one is refused too, in
//! place of a cluster whose users could not log in.
//!
//! Source: KIP-900; behaviour of `kafka-storage` of Kafka 4.3.1.

use std::collections::BTreeMap;

use ottla_metadata::features::MetadataVersion;

use super::Problem;

/// Fewest and most rounds of hashing that Kafka accepts, by mechanism.
const MECHANISMS: [(&str, i32, i32); 2] = [("SCRAM-SHA-256", 4096, 16384), ("SCRAM-SHA-512", 4096, 16384)];

/// Checks all credentials; the first problem is told.
pub fn check<'a>(texts: impl Iterator<Item = &'a str>, version: MetadataVersion) -> Result<(), Problem> {
    let mut any = false;
    for text in texts {
        if !version.has_scram() {
            return refused("SCRAM is only supported in metadata.version 3.5-IV2 or later.".to_owned());
        }
        check_one(text.trim())?;
        any = true;
    }
    if any {
        return refused(
            "--add-scram is not supported yet: this release has no SCRAM listeners, so nobody could log in with the \
             credential. Leave the flag out and add the credential later with kafka-configs."
                .to_owned(),
        );
    }
    Ok(())
}

fn check_one(text: &str) -> Result<(), Problem> {
    let Some((mechanism, config)) = text.split_once('=') else {
        return refused(format!("Failed to find equals sign in SCRAM argument '{text}'"));
    };
    let Some((mechanism, fewest, most)) = MECHANISMS.iter().find(|(name, ..)| *name == mechanism) else {
        return refused(format!("The add-scram mechanism {mechanism} is not supported."));
    };
    let Some(config) = config.strip_prefix('[') else {
        return refused("Expected configuration string to start with [".to_owned());
    };
    let Some(config) = config.strip_suffix(']') else {
        return refused("Expected configuration string to end with ]".to_owned());
    };
    let mut parts = BTreeMap::new();
    for part in config.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            return refused(format!("No equals sign found in SCRAM component: {part}"));
        };
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        parts.insert(key, quoted.unwrap_or(value));
    }
    check_parts(&mut parts)?;
    let unknown: Vec<_> = parts.keys().filter(|key| **key != "iterations").copied().collect();
    if !unknown.is_empty() {
        return refused(format!("Unknown SCRAM configurations: {}", unknown.join(", ")));
    }
    let Some(iterations) = parts.get("iterations") else { return Ok(()) };
    match iterations.parse::<i32>() {
        Err(_) => refused(format!("Failed to parse iterations count: {iterations}")),
        Ok(count) if count < *fewest => refused(format!(
            "The 'iterations' value must be >= {fewest} for add-scram using {}",
            java_name(mechanism)
        )),
        Ok(count) if count > *most => refused(format!(
            "The 'iterations' value must be <= {most} for add-scram using {}",
            java_name(mechanism)
        )),
        Ok(_) => Ok(()),
    }
}

fn check_parts(parts: &mut BTreeMap<&str, &str>) -> Result<(), Problem> {
    if parts.remove("name").is_none() {
        return refused("You must supply 'name' to add-scram".to_owned());
    }
    let salt = parts.remove("salt");
    if let Some(salt) = salt.filter(|salt| !is_base64(salt)) {
        return refused(format!("Failed to decode given salt: {salt}"));
    }
    match (parts.remove("password"), parts.remove("saltedpassword")) {
        (None, None) => {
            refused("You must supply one of 'password' or 'saltedpassword' to add-scram".to_owned())
        }
        (None, Some(_)) if salt.is_none() => {
            refused("You must supply 'salt' with 'saltedpassword' to add-scram".to_owned())
        }
        (None, Some(salted)) if !is_base64(salted) => {
            refused(format!("Failed to decode given saltedPassword: {salted}"))
        }
        (None, Some(_)) | (Some(_), _) => Ok(()),
    }
}

/// Whether Java reads the text as base64: the padding may be left out, but not a part of it.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    let whole = match digits.len() % 4 {
        0 => padding == 0,
        1 => false,
        rest => padding == 0 || padding == 4 - rest,
    };
    plain && whole
}

/// `SCRAM_SHA_256`
fn java_name(mechanism: &str) -> String {
    mechanism.replace('-', "_")
}

fn refused(text: String) -> Result<(), Problem> {
    Err(Problem::Terse(text))
}
