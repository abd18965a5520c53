//! A tool's connection to a cluster: its clients' settings and the runtime they need.
//!
//! Owns: settings from files and `key=value` flags, addresses that resolve, running a tool to its end.
//! Does not own: the clients (`ottla_client`), what is asked.

use std::future::Future;
use std::path::Path;

use ottla_client::Admin;
use ottla_client::config::{AdminConfig, ClientKind, CommonConfig, Properties, unknown_keys};
use ottla_env::{net, task};
use ottla_metadata::config::Properties as PropertiesText;

use super::failure::{Failure, log};
use crate::settings::read_file;
use crate::terminal::Terminal;

/// Runs the work of a tool on a runtime of its own.
pub fn run<F: Future<Output = u8>>(terminal_of_failure: &str, work: F) -> u8 {
    match task::block_on(work) {
        Ok(code) => code,
        Err(error) => {
            eprintln_once(terminal_of_failure, &error);
            1
        }
    }
}

/// There is no terminal left to write to here: the work holds it.
#[allow(
    clippy::print_stderr,
    reason = "the process has no threads or descriptors left, and nothing else to say it with"
)]
fn eprintln_once(tool: &str, error: &std::io::Error) {
    eprintln!("{tool}: no runtime could be started: {error}");
}

/// Reads a properties file.
pub fn properties_of_file(path: &str) -> Result<Properties, Failure> {
    let bytes = read_file(Path::new(path)).map_err(|_| no_such_file(path))?;
    let text =
        PropertiesText::from_bytes(&bytes).map_err(|error| Failure::illegal_argument(error.to_string()))?;
    Ok(text.settings().into_iter().collect())
}

/// Java names the path alone where a file cannot be opened.
fn no_such_file(path: &str) -> Failure {
    Failure::new("java.nio.file.NoSuchFileException", path)
}

/// Reads `key=value` arguments. A value may be empty, and without `=` there is none.
pub fn properties_of_args<'a>(args: impl Iterator<Item = &'a str>) -> Properties {
    let pairs = args.map(|arg| arg.split_once('=').unwrap_or((arg, "")));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Warns of keys that the client does not have, as Kafka's clients do.
pub fn warn_of_unknown(terminal: &mut Terminal<'_>, client: ClientKind, properties: &Properties) {
    let unknown = unknown_keys(client, properties);
    if !unknown.is_empty() {
        let text =
            format!("These configurations '[{}]' were supplied but are not used yet.", unknown.join(", "));
        log(terminal, "WARN", text, "org.apache.kafka.clients");
    }
}

/// Makes sure that some bootstrap address resolves, and says which do not.
pub async fn check_addresses(terminal: &mut Terminal<'_>, config: &CommonConfig) -> Result<(), Failure> {
    let mut resolved = 0;
    for endpoint in &config.bootstrap {
        match net::resolve(&endpoint.host, endpoint.port).await {
            Ok(_) => resolved += 1,
            Err(_) => log(
                terminal,
                "WARN",
                format_args!(
                    "Couldn't resolve server {endpoint} from bootstrap.servers as DNS resolution failed for {}",
                    endpoint.host
                ),
                "org.apache.kafka.clients.ClientUtils",
            ),
        }
    }
    match resolved {
        0 => Err(Failure::new(
            "org.apache.kafka.common.config.ConfigException",
            "No resolvable bootstrap urls given in bootstrap.servers",
        )),
        _ => Ok(()),
    }
}

/// An admin client with these settings.
pub async fn admin(terminal: &mut Terminal<'_>, properties: &Properties) -> Result<Admin, Failure> {
    create_admin(admin_config(terminal, properties).await?)
}

/// What an admin client with these settings is created of; some of its addresses resolve.
pub async fn admin_config(
    terminal: &mut Terminal<'_>,
    properties: &Properties,
) -> Result<AdminConfig, Failure> {
    warn_of_unknown(terminal, ClientKind::Admin, properties);
    let config =
        AdminConfig::from_properties(properties).map_err(|error| Failure::of_admin_config(&error))?;
    let addresses = check_addresses(terminal, &config.common).await;
    addresses.map_err(|failure| failure.causing(CREATION, NOT_CREATED))?;
    Ok(config)
}

/// Creates the client.
pub fn create_admin(config: AdminConfig) -> Result<Admin, Failure> {
    Admin::new(config).map_err(|error| {
        Failure::new("java.io.IOException", error.to_string()).causing(CREATION, NOT_CREATED)
    })
}

const CREATION: &str = "org.apache.kafka.common.KafkaException";
const NOT_CREATED: &str = "Failed to create new KafkaAdminClient";
