//! A tool's connection to a cluster: its clients' settings and the runtime they need.
//!
//! Owns: settings from files and `key=value` flags, addresses that resolve, running a tool to its end.
//! Does not own: the clients (`ottla_client`), what is asked.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;

use ottla_client::Admin;
use ottla_client::config::{AdminConfig, ClientKind, CommonConfig, ConfigError, Properties, unknown_keys};
use ottla_env::{net, task};
use ottla_metadata::config::{Properties as PropertiesText, PropertiesError};

use super::failure::{Failure, log, of_config};
use crate::jopt::Given;
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

/// Runs the work of a tool on two threads: the client's tasks run beside it.
pub fn run_on_threads<F: Future<Output = u8>>(terminal_of_failure: &str, work: F) -> u8 {
    const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();
    match task::run(Some(WORKERS), work) {
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
    let bytes = read_file(Path::new(path)).map_err(|error| unreadable(path, &error))?;
    match PropertiesText::from_bytes(&bytes) {
        Ok(text) => Ok(text.settings().into_iter().collect()),
        Err(PropertiesError::Escape { .. }) => Err(Failure::illegal_argument("Malformed \\uxxxx encoding.")),
    }
}

/// Java names the path alone where a file cannot be opened.
fn unreadable(path: &str, error: &io::Error) -> Failure {
    let kind = error.kind();
    if kind == io::ErrorKind::IsADirectory {
        return Failure::new("java.io.IOException", "Is a directory");
    }
    let denied = kind == io::ErrorKind::PermissionDenied;
    let class = if denied { "AccessDeniedException" } else { "NoSuchFileException" };
    Failure::new(&format!("java.nio.file.{class}"), path)
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

/// The settings that `--command-config` and `--bootstrap-server` give. `fixed` ones win over those of the file.
pub fn properties_of(given: &Given, fixed: &[(&str, &str)]) -> Result<Properties, Failure> {
    let file = given.value("command-config").map_err(|error| Failure::from(&error))?;
    let mut properties = file.map_or_else(|| Ok(Properties::new()), properties_of_file)?;
    let bootstrap = given.value("bootstrap-server").map_err(|error| Failure::from(&error))?;
    let bootstrap = [("bootstrap.servers", bootstrap.unwrap_or_default())];
    for (key, value) in bootstrap.iter().chain(fixed) {
        properties.insert((*key).to_owned(), (*value).to_owned());
    }
    Ok(properties)
}

/// Sets the addresses of brokers or controllers, as far as they are given.
pub fn set_addresses(properties: &mut Properties, brokers: Option<&str>, controllers: Option<&str>) {
    for (key, addresses) in [("bootstrap.servers", brokers), ("bootstrap.controllers", controllers)] {
        if let Some(addresses) = addresses {
            properties.insert(key.to_owned(), addresses.to_owned());
        }
    }
}

/// An admin client with the settings of the command line.
pub async fn admin_of(
    given: &Given,
    fixed: &[(&str, &str)],
    terminal: &mut Terminal<'_>,
) -> Result<Admin, Failure> {
    admin(terminal, &properties_of(given, fixed)?).await
}

/// Addresses and contradictions are refused when the client is made, other settings when they are read.
fn of_admin_config(error: &ConfigError) -> Failure {
    match error {
        ConfigError::Address { .. } | ConfigError::Port { .. } | ConfigError::Contradiction(_) => {
            not_created(of_config(error))
        }
        ConfigError::Missing { .. }
        | ConfigError::Invalid { .. }
        | ConfigError::EmptyList { .. }
        | ConfigError::EmptyElement { .. }
        | ConfigError::TooManyInFlight { .. }
        | ConfigError::GroupInstanceId(_)
        | ConfigError::UnknownAssignor { .. }
        | ConfigError::Unsupported { .. } => of_config(error),
    }
}

/// The failure as the cause of a client that could not be made.
fn not_created(failure: Failure) -> Failure {
    failure.causing("org.apache.kafka.common.KafkaException", "Failed to create new KafkaAdminClient")
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
    let config = AdminConfig::from_properties(properties).map_err(|error| of_admin_config(&error))?;
    check_addresses(terminal, &config.common).await.map_err(not_created)?;
    Ok(config)
}

/// Creates the client.
pub fn create_admin(config: AdminConfig) -> Result<Admin, Failure> {
    Admin::new(config).map_err(|error| not_created(Failure::new("java.io.IOException", error.to_string())))
}
