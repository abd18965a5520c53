//! A controller as its properties file describes it.
//!
//! Owns: reading the id, the metadata directory and the listeners that others need to reach it.
//! Does not own: settings of a node as a whole (`ottla_metadata::config`): the file may be of a newer release.

use std::fmt;
use std::path::Path;

use ottla_client::admin::Voter;
use ottla_client::config::{Endpoint, Properties};
use ottla_model::{BrokerId, Uuid};
use ottla_storage::MetaProperties;

use super::super::failure::{Failure, Problem};
use super::super::java;
use super::terse;
use crate::settings::read_file;

const LISTENERS: &str = "listeners";
const ADVERTISED_LISTENERS: &str = "advertised.listeners";

/// A controller that is to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Controller {
    pub voter: Voter,
    pub listeners: Vec<(String, Endpoint)>,
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Voter { id, directory } = self.voter;
        let endpoints: Vec<String> = self.listeners.iter().map(endpoint_text).collect();
        write!(f, "controller {id} with directory id {directory} and endpoints: {}", endpoints.join(", "))
    }
}

/// `CONTROLLER://host:9093`
pub(super) fn endpoint_text((name, endpoint): &(String, Endpoint)) -> String {
    let Endpoint { host, port } = endpoint;
    if host.contains(':') { format!("{name}://[{host}]:{port}") } else { format!("{name}://{host}:{port}") }
}

impl Controller {
    /// The controller that has these settings.
    pub(super) fn of_settings(properties: &Properties) -> Result<Controller, Problem> {
        let id = id(properties)?;
        let directory = directory_id(metadata_directory(properties)?)?;
        let listeners = listeners(properties)?;
        Ok(Controller { voter: Voter { id, directory }, listeners })
    }
}

/// A refusal that ends by asking for the right file.
fn invalid<T>(what: &str) -> Result<T, Problem> {
    Err(terse(format!("{what} configuration file. Is this a valid controller configuration file?")))
}

fn id(properties: &Properties) -> Result<BrokerId, Problem> {
    let Some(text) = properties.get("node.id") else { return invalid("node.id not found in") };
    let Some(id) = BrokerId::new(java::integer(text)?) else { return invalid("node.id was negative in") };
    match properties.get("process.roles") {
        Some(roles) if roles.contains("controller") => Ok(id),
        Some(_) | None => invalid("process.roles did not contain 'controller' in"),
    }
}

fn metadata_directory(properties: &Properties) -> Result<&str, Problem> {
    if let Some(directory) = properties.get("metadata.log.dir") {
        return Ok(directory);
    }
    match properties.get("log.dirs") {
        Some(directories) => Ok(directories.trim().split(',').next().unwrap_or_default()),
        None => Err(terse(
            "Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?",
        )),
    }
}

fn directory_id(directory: &str) -> Result<Uuid, Problem> {
    let unreadable = || terse(format!("Unable to read meta.properties from {directory}"));
    let bytes = read_file(&Path::new(directory).join("meta.properties")).map_err(|_| unreadable())?;
    let meta = MetaProperties::parse(&String::from_utf8_lossy(&bytes)).map_err(|_| unreadable())?;
    match meta.directory_id {
        Some(id) => Ok(id.0),
        None => Err(terse(format!("No directory id found in {directory}"))),
    }
}

/// The listeners that are the controller's, each where it is advertised, or else where it listens.
fn listeners(properties: &Properties) -> Result<Vec<(String, Endpoint)>, Problem> {
    let mut known = Vec::new();
    for key in [ADVERTISED_LISTENERS, LISTENERS] {
        let texts = properties.get(key).map_or("", String::as_str).split(',').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            known.push(listener(text)?);
        }
    }
    let Some(names) = properties.get("controller.listener.names") else {
        return Err(terse(
            "controller.listener.names was not found. Is this a valid controller configuration file?",
        ));
    };
    let mut found = Vec::new();
    for name in names.split(',').map(str::to_uppercase) {
        let Some(one) = known.iter().find(|(known, _)| *known == name) else {
            return Err(terse(format!("Cannot find information about controller listener name: {name}")));
        };
        if !found.contains(one) {
            found.push(one.clone());
        }
    }
    Ok(found)
}

/// `NAME://host:port`, where the host may be left out or be an address of IPv6 in brackets.
fn listener(text: &str) -> Result<(String, Endpoint), Failure> {
    let parsed = text.split_once("://").and_then(|(name, address)| {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { "localhost" } else { host };
        Some((name.to_uppercase(), Endpoint { host: host.to_owned(), port: port.parse().ok()? }))
    });
    parsed.ok_or_else(|| Failure::illegal_argument(format!("Unable to parse {text} to a broker endpoint")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(text: &str) -> Properties {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn a_listener_is_advertised_or_where_it_listens() {
        let all = "listeners=C://:5,D://[::1]:6,E://h:7\nadvertised.listeners=C://example.org:8\n\
                   controller.listener.names=c,D,C";
        let found = listeners(&properties(all)).unwrap();
        let texts: Vec<String> = found.iter().map(endpoint_text).collect();
        assert_eq!(texts, ["C://example.org:8", "D://[::1]:6"]);
        let none = listeners(&properties("listeners=C://:5\ncontroller.listener.names=C")).unwrap();
        assert_eq!(endpoint_text(&none[0]), "C://localhost:5");
        assert!(listeners(&properties("listeners=C:5\ncontroller.listener.names=C")).is_err());
    }

    #[test]
    fn the_metadata_lie_in_the_first_directory_unless_they_have_their_own() {
        assert_eq!(metadata_directory(&properties("log.dirs= /a,/b\nmetadata.log.dir=/m")), Ok("/m"));
        assert_eq!(metadata_directory(&properties("log.dirs= /a,/b")), Ok("/a"));
    }
}
