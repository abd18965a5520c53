//! `kafka-configs`: the configurations of topics, brokers, groups, client metrics and loggers.
//!
//! Owns: its options, how it ends.
//! Does not own: which things are meant (`entity`), describing and altering them (`resources`).
//!
//! Quotas and SCRAM credentials (users, clients, ips) come with quotas and security; until then they are refused
//! after the checks that Kafka's tool makes.
//!
//! Source: `kafka-configs.sh` of Kafka 4.3.1 (`tests/data/configs.txt`, `tests/data/offline.txt`).

mod changes;
mod entity;
mod resources;

use std::time::Duration;

use ottla_client::Admin;
use ottla_client::config::Properties;

use super::failure::Failure;
use super::{session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::terminal::Terminal;
use changes::Changes;
use entity::{Entities, EntityType};

/// Most time for one operation.
const OPERATION_MAX: Duration = Duration::from_secs(30);

const OPTIONS: &[Opt] = &[
    value("add-config", "String", "With --alter: settings to make, as k1=v1,k2=[v1,v2,v2],k3=v3."),
    value("add-config-file", "String", "With --alter: a properties file with settings to make."),
    flag("all", "With --describe: all settings, not only those that were made for the entity itself."),
    flag("alter", "Alter the configuration of an entity."),
    value("bootstrap-controller", "String: controller to connect to", "The controllers to connect to."),
    value("bootstrap-server", "String: server to connect to", "The brokers to connect to."),
    value("broker", "String", "The id of the broker."),
    flag("broker-defaults", "The settings of all brokers."),
    value("broker-logger", "String", "The id of the broker whose log levels are meant."),
    value("client", "String", "The client id."),
    flag("client-defaults", "The settings of all clients."),
    value("client-metrics", "String", "The name of a subscription to client metrics."),
    value(
        "command-config",
        "String: command config property file",
        "A properties file for the admin client.",
    ),
    value("delete-config", "String", "With --alter: settings to take back, as k1,k2."),
    flag("describe", "Show the configuration of entities."),
    flag("entity-default", "The default entity of the type; brokers, users, clients and ips have one."),
    value("entity-name", "String", "The name of the entity: a topic, a broker id, …"),
    value(
        "entity-type",
        "String",
        "topics, clients, users, brokers, broker-loggers, ips, client-metrics or groups.",
    ),
    value("group", "String", "The group."),
    flag("help", "Print usage information."),
    value("ip", "String", "The IP address."),
    flag("ip-defaults", "The settings of all IP addresses."),
    value("topic", "String", "The topic."),
    value("user", "String", "The user."),
    flag("user-defaults", "The settings of all users."),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => {
            terminal.err_line(error);
            return 1;
        }
    };
    let about = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, \
                 client-metrics or group";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = check_usage(&given) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    let ended = entity::check(&given).map(|entities| {
        session::run("kafka-configs", async {
            match work(&given, &entities, terminal).await {
                Ok(()) => 0,
                Err(failure) => refuse(terminal, args, &failure),
            }
        })
    });
    ended.unwrap_or_else(|failure| refuse(terminal, args, &failure))
}

/// Exceptions of which the tool shows the message alone.
const PLAIN: [&str; 4] = [
    "java.lang.IllegalArgumentException",
    "org.apache.kafka.common.errors.InvalidConfigurationException",
    "org.apache.kafka.common.errors.InvalidTopicException",
    "joptsimple.MultipleArgumentsForOptionException",
];

fn refuse(terminal: &mut Terminal<'_>, args: &[String], failure: &Failure) -> u8 {
    if PLAIN.contains(&failure.class.as_str()) {
        terminal.err_line(failure.message());
    } else {
        let args = args.join(" ");
        terminal.err_line(format_args!("Error while executing config command with args '{args}'"));
        terminal.err_line(failure);
    }
    1
}

fn check_usage(given: &Given) -> Result<(), String> {
    if given.count(&["alter", "describe"]) != 1 {
        return Err("Command must include exactly one action: --describe, --alter".to_owned());
    }
    usage::exclude(given, "describe", &["add-config", "delete-config"])
}

async fn work(given: &Given, entities: &Entities, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let admin = connect(given, terminal).await?;
    if given.has("describe") {
        return match entities.of_resources() {
            Some((kind, name)) => resources::describe(&admin, (kind, name), given.has("all"), terminal).await,
            None => Err(not_yet(entities)),
        };
    }
    if entities.types.len() != entities.names.len() {
        return Err(Failure::illegal_argument("An entity name must be specified for every entity type"));
    }
    let changes = Changes::parse(given)?;
    let (Some(kind), Some(name)) = (entities.types.first().copied(), entities.names.first()) else {
        return Ok(());
    };
    match kind {
        EntityType::Users | EntityType::Clients | EntityType::Ips => {
            changes.check_quotas(entities)?;
            return Err(not_yet(entities));
        }
        EntityType::BrokerLoggers => resources::check_loggers(&admin, name, &changes).await?,
        EntityType::Topics | EntityType::Brokers | EntityType::ClientMetrics | EntityType::Groups => {}
    }
    resources::alter(&admin, (kind, name), changes).await?;
    match name.as_str() {
        "" => terminal
            .out_line(format_args!("Completed updating default config for {} in the cluster.", kind.name())),
        name => terminal.out_line(format_args!("Completed updating config for {} {name}.", kind.singular())),
    }
    Ok(())
}

async fn connect(given: &Given, terminal: &mut Terminal<'_>) -> Result<Admin, Failure> {
    let value = |name| given.value(name).map_err(|error| Failure::from(&error));
    let mut properties =
        value("command-config")?.map_or_else(|| Ok(Properties::new()), session::properties_of_file)?;
    session::set_addresses(&mut properties, value("bootstrap-server")?, value("bootstrap-controller")?);
    let mut config = session::admin_config(terminal, &properties).await?;
    // A change has its own time, whatever the file says.
    if given.has("alter") || !properties.contains_key("default.api.timeout.ms") {
        config.api_timeout = OPERATION_MAX;
    }
    session::create_admin(config)
}

fn not_yet(entities: &Entities) -> Failure {
    let kinds: Vec<&str> = entities.types.iter().map(|kind| kind.name()).collect();
    Failure::illegal_argument(format!(
        "Quotas and SCRAM credentials ({}) are not supported yet by this release of ottla",
        kinds.join(", ")
    ))
}
