//! What `--add-config`, `--add-config-file` and `--delete-config` ask for.
//!
//! Owns: reading them, which of them may be changed for users, clients and ips.
//! Does not own: making the changes (`resources`).

use ottla_client::admin::ConfigChange;

use super::super::failure::Failure;
use super::super::session;
use super::entity::{Entities, EntityType};
use crate::jopt::Given;

/// Settings to make and settings to take back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub add: Vec<(String, String)>,
    pub delete: Vec<String>,
}

const USER_QUOTAS: [&str; 4] =
    ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
const IP_QUOTAS: [&str; 1] = ["connection_creation_rate"];
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

impl Changes {
    pub(super) fn parse(given: &Given) -> Result<Changes, Failure> {
        let value = |name| given.value(name).map_err(|error| Failure::from(&error));
        let mut add: Vec<(String, String)> = match value("add-config-file")? {
            Some(path) => session::properties_of_file(path)?.into_iter().collect(),
            None => Vec::new(),
        };
        if let Some(text) = value("add-config")? {
            add.extend(added(text)?);
        }
        let is_known = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        if let Some((key, _)) = add.iter().find(|(key, _)| !key.chars().all(is_known)) {
            return Err(Failure::illegal_argument(format!("Invalid character found for config key: {key}")));
        }
        let delete = given.values("delete-config").flat_map(|text| text.split(','));
        Ok(Changes { add, delete: delete.map(|key| key.trim().to_owned()).collect() })
    }

    /// The changes as the protocol has them.
    pub(super) fn wire(self) -> Vec<(String, ConfigChange)> {
        let add = self.add.into_iter().map(|(key, value)| (key, ConfigChange::Set(value)));
        add.chain(self.delete.into_iter().map(|key| (key, ConfigChange::Delete))).collect()
    }

    /// Checks what Kafka's tool checks before it asks for quotas or credentials.
    pub(super) fn check_quotas(&self, entities: &Entities) -> Result<(), Failure> {
        match entities.types.as_slice() {
            [EntityType::Ips] => self.check_ips()?,
            [EntityType::Users] => self.check_users(entities)?,
            _ => self.check_clients()?,
        }
        let numbers = self.add.iter().filter(|(key, _)| !SCRAM.contains(&key.as_str()));
        for (key, value) in numbers {
            if value.trim().parse::<f64>().is_err() {
                return Err(Failure::illegal_argument(format!(
                    "Cannot parse quota configuration value for {key}: {value}"
                )));
            }
        }
        Ok(())
    }

    fn check_ips(&self) -> Result<(), Failure> {
        let keys = self.added_keys().chain(self.delete.iter().map(String::as_str));
        let unknown: Vec<&str> = keys.filter(|key| !IP_QUOTAS.contains(key)).collect();
        match unknown.as_slice() {
            [] => Ok(()),
            unknown => Err(Failure::illegal_argument(format!(
                "Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: \
                 {}",
                unknown.join(",")
            ))),
        }
    }

    fn check_clients(&self) -> Result<(), Failure> {
        let is_unknown = |key: &&str| !USER_QUOTAS.contains(key);
        self.refuse_unknown("Only quota configs", "clients", &is_unknown)
    }

    fn check_users(&self, entities: &Entities) -> Result<(), Failure> {
        let is_unknown = |key: &&str| !USER_QUOTAS.contains(key) && !SCRAM.contains(key);
        self.refuse_unknown("Only quota and SCRAM credential configs", "users", &is_unknown)?;
        let mut keys = self.added_keys().chain(self.delete.iter().map(String::as_str));
        if !keys.clone().any(|key| SCRAM.contains(&key)) {
            return Ok(());
        }
        if entities.names.iter().any(String::is_empty) {
            return Err(Failure::illegal_argument(
                "The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using \
                 --bootstrap-server.",
            ));
        }
        if keys.any(|key| USER_QUOTAS.contains(&key)) {
            return Err(Failure::illegal_argument(
                "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using \
                 --bootstrap-server.",
            ));
        }
        self.add.iter().try_for_each(|(mechanism, credential)| check_credential(mechanism, credential))
    }

    fn added_keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.add.iter().map(|(key, _)| key.as_str())
    }

    fn refuse_unknown(
        &self,
        what: &str,
        kind: &str,
        is_unknown: &dyn Fn(&&str) -> bool,
    ) -> Result<(), Failure> {
        let added: Vec<&str> = self.added_keys().filter(|key| is_unknown(key)).collect();
        let deleted: Vec<&str> =
            self.delete.iter().map(String::as_str).filter(|key| is_unknown(key)).collect();
        // The collections have the names that Scala gives them.
        for (verb, collection, keys) in [("added", "Set", added), ("deleted", "ArrayBuffer", deleted)] {
            if !keys.is_empty() {
                return Err(Failure::illegal_argument(format!(
                    "{what} can be {verb} for '{kind}' using --bootstrap-server. Unexpected config names: \
                     {collection}({})",
                    keys.join(", ")
                )));
            }
        }
        Ok(())
    }
}

/// The fewest rounds of hashing of a credential.
const ITERATIONS_MIN: i64 = 4096;

/// `iterations=8192,password=secret`, where iterations may be left out.
fn check_credential(mechanism: &str, credential: &str) -> Result<(), Failure> {
    let invalid = || {
        let mechanism = mechanism.replace('-', "_");
        Failure::illegal_argument(format!("Invalid credential property {mechanism}={credential}"))
    };
    let (iterations, rest) = match credential.strip_prefix("iterations=") {
        Some(rest) => rest.split_once(',').map(|(count, rest)| (Some(count), rest)).ok_or_else(invalid)?,
        None => (None, credential),
    };
    if !rest.starts_with("password=") {
        return Err(invalid());
    }
    let Some(text) = iterations.filter(|text| *text != "-1") else { return Ok(()) };
    let count: i64 = text.parse().map_err(|_| invalid())?;
    match count < ITERATIONS_MIN {
        true => Err(Failure::illegal_argument(format!(
            "Iterations {count} is less than the minimum {ITERATIONS_MIN} required for {mechanism}"
        ))),
        false => Ok(()),
    }
}

/// `key=value` pairs between commas; neither a comma nor an equals sign counts between brackets.
fn added(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for pair in split_outside_brackets(text, ',') {
        let [key, value] = split_outside_brackets(pair, '=')[..] else {
            return Err(Failure::illegal_argument(
                "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or \
                 \x20\"key=[val1,val2]\" to group values which contain commas.",
            ));
        };
        let value = value.replace(['[', ']'], "");
        pairs.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(pairs)
}

/// A mark counts if no closing bracket stands behind it before the next opening one.
fn split_outside_brackets(text: &str, mark: char) -> Vec<&str> {
    let is_outside = |rest: &str| match (rest.find('['), rest.find(']')) {
        (_, None) => true,
        (Some(open), Some(close)) => open < close,
        (None, Some(_)) => false,
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(mark) {
        if is_outside(&text[at + mark.len_utf8()..]) {
            parts.push(&text[start..at]);
            start = at + mark.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        added(text).unwrap()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn brackets_keep_commas_and_equals_signs_in_a_value() {
        assert_eq!(
            pairs("retention.ms=1000, cleanup.policy = [compact,delete],x="),
            [pair("retention.ms", "1000"), pair("cleanup.policy", "compact,delete"), pair("x", "")]
        );
        assert_eq!(pairs("match=[client_id=a.*]"), [pair("match", "client_id=a.*")]);
        assert_eq!(pairs("a=[b,c],d=[e]"), [pair("a", "b,c"), pair("d", "e")]);
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for text in ["retention.ms", "a=b=c", "k=[a,b", "a=b,"] {
            assert!(added(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_credential_needs_a_password_and_enough_rounds() {
        let refusal = |credential: &str| {
            check_credential("SCRAM-SHA-256", credential).map_err(|failure| failure.message().to_owned())
        };
        assert_eq!(refusal("password=x"), Ok(()));
        assert_eq!(refusal("iterations=8192,password=a=b,c"), Ok(()));
        assert_eq!(refusal("iterations=-1,password="), Ok(()));
        assert_eq!(
            refusal("iterations=100,password=x").unwrap_err(),
            "Iterations 100 is less than the minimum 4096 required for SCRAM-SHA-256"
        );
        assert_eq!(refusal("foo=1").unwrap_err(), "Invalid credential property SCRAM_SHA_256=foo=1");
        assert!(refusal("iterations=5000").is_err());
    }
}
