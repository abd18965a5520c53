//! The things that `kafka-configs` is asked about.
//!
//! Owns: types of entities, the names on the command line, the rules between them.
//! Does not own: what happens to them.

use ottla_client::admin::{ConfigSource, ResourceKind};
use ottla_env::{net, task};

use super::super::failure::Failure;
use crate::jopt::Given;

/// A type of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntityType {
    Topics,
    Clients,
    Users,
    Brokers,
    Ips,
    ClientMetrics,
    Groups,
    BrokerLoggers,
}

impl EntityType {
    /// In the order in which a refusal names them.
    const ALL: [EntityType; 8] = [
        EntityType::Topics,
        EntityType::Clients,
        EntityType::Users,
        EntityType::Brokers,
        EntityType::Ips,
        EntityType::ClientMetrics,
        EntityType::Groups,
        EntityType::BrokerLoggers,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            EntityType::Topics => "topics",
            EntityType::Clients => "clients",
            EntityType::Users => "users",
            EntityType::Brokers => "brokers",
            EntityType::Ips => "ips",
            EntityType::ClientMetrics => "client-metrics",
            EntityType::Groups => "groups",
            EntityType::BrokerLoggers => "broker-loggers",
        }
    }

    /// As Kafka makes it: without the last letter.
    pub(super) fn singular(self) -> &'static str {
        self.name().strip_suffix('s').unwrap_or(self.name())
    }

    /// The resource that the protocol has for it, and the source of settings that were made for it alone.
    pub(super) fn resource(self, name: &str) -> Option<(ResourceKind, Option<ConfigSource>)> {
        match self {
            EntityType::Topics => Some((ResourceKind::Topic, Some(ConfigSource::DynamicTopic))),
            EntityType::Brokers if name.is_empty() => {
                Some((ResourceKind::Broker, Some(ConfigSource::DynamicDefaultBroker)))
            }
            EntityType::Brokers => Some((ResourceKind::Broker, Some(ConfigSource::DynamicBroker))),
            EntityType::ClientMetrics => {
                Some((ResourceKind::ClientMetrics, Some(ConfigSource::DynamicClientMetrics)))
            }
            EntityType::Groups => Some((ResourceKind::Group, Some(ConfigSource::DynamicGroup))),
            EntityType::BrokerLoggers => Some((ResourceKind::BrokerLogger, None)),
            EntityType::Clients | EntityType::Users | EntityType::Ips => None,
        }
    }

    /// Whether there is an entity whose settings hold for all others.
    fn has_default(self) -> bool {
        matches!(self, EntityType::Users | EntityType::Clients | EntityType::Brokers | EntityType::Ips)
    }
}

/// Options that name type and entity at once.
const NAMED: [(&str, EntityType); 8] = [
    ("topic", EntityType::Topics),
    ("client", EntityType::Clients),
    ("user", EntityType::Users),
    ("broker", EntityType::Brokers),
    ("broker-logger", EntityType::BrokerLoggers),
    ("ip", EntityType::Ips),
    ("client-metrics", EntityType::ClientMetrics),
    ("group", EntityType::Groups),
];

/// Options that name the default entity of a type.
const DEFAULTS: [(&str, EntityType); 4] = [
    ("client-defaults", EntityType::Clients),
    ("user-defaults", EntityType::Users),
    ("broker-defaults", EntityType::Brokers),
    ("ip-defaults", EntityType::Ips),
];

/// The entities of a command line. The default entity has the empty name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entities {
    pub types: Vec<EntityType>,
    pub names: Vec<String>,
}

impl Entities {
    /// What to describe, if it is a resource; without a name it is all of them.
    pub(super) fn of_resources(&self) -> Option<(EntityType, Option<&str>)> {
        let kind = self.types.first().copied()?;
        kind.resource("")?;
        Some((kind, self.names.first().map(String::as_str)))
    }

    fn type_names(&self) -> String {
        self.types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",")
    }
}

/// The entities, once the command line was found to be in order.
pub(super) fn check(given: &Given) -> Result<Entities, Failure> {
    let types = types(given)?;
    check_mixture(given, &types)?;
    let entities = Entities { types, names: names(given)? };
    if given.has("bootstrap-server") && given.has("bootstrap-controller") {
        return Err(refusal("Only one of --bootstrap-server or --bootstrap-controller can be specified"));
    }
    check_names(given, &entities)?;
    if given.has("describe") {
        check_describe(given, &entities)?
    } else {
        check_alter(given, &entities)?
    }
    Ok(entities)
}

fn refusal(message: impl Into<String>) -> Failure {
    Failure::illegal_argument(message)
}

fn types(given: &Given) -> Result<Vec<EntityType>, Failure> {
    let flags = NAMED.iter().chain(&DEFAULTS).filter(|(option, _)| given.has(option));
    let of_flags = flags.map(|(_, kind)| kind.name());
    let names: Vec<&str> = given.values("entity-type").chain(of_flags).collect();
    let twice = names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name));
    let twice: Vec<&str> = twice.map(|(_, name)| *name).collect();
    if !twice.is_empty() {
        return Err(refusal(format!("Duplicate entity type(s) specified: {}", twice.join(","))));
    }
    if given.count(&["bootstrap-server", "bootstrap-controller"]) == 0 {
        return Err(refusal("Either --bootstrap-server or --bootstrap-controller must be specified."));
    }
    let kind_of = |name: &str| {
        EntityType::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let all: Vec<&str> = EntityType::ALL.iter().map(|kind| kind.name()).collect();
            refusal(format!(
                "Invalid entity type {name}, the entity type must be one of {} with a --bootstrap-server or \
                 --bootstrap-controller argument",
                all.join(", ")
            ))
        })
    };
    names.into_iter().map(kind_of).collect()
}

fn check_mixture(given: &Given, types: &[EntityType]) -> Result<(), Failure> {
    if types.is_empty() {
        return Err(refusal("At least one entity type must be specified"));
    }
    let is_quota = |kind: &EntityType| matches!(kind, EntityType::Users | EntityType::Clients);
    if types.len() > 1 && !types.iter().all(is_quota) {
        return Err(refusal("Only 'users' and 'clients' entity types may be specified together"));
    }
    let has_general = given.count(&["entity-name", "entity-type", "entity-default"]) > 0;
    if has_general && NAMED.iter().chain(&DEFAULTS).any(|(option, _)| given.has(option)) {
        return Err(refusal(
            "--entity-{type,name,default} should not be used in conjunction with specific entity flags",
        ));
    }
    Ok(())
}

/// Names in the order of the types: of the general options as they stand, then of the specific ones.
fn names(given: &Given) -> Result<Vec<String>, Failure> {
    let general = given.in_order(&["entity-name", "entity-default"]);
    let mut names: Vec<String> = general.map(|value| value.unwrap_or_default().to_owned()).collect();
    for (option, _) in NAMED {
        if let Some(name) = given.value(option).map_err(|error| Failure::from(&error))? {
            names.push(name.to_owned());
        }
    }
    names.extend(DEFAULTS.iter().filter(|(option, _)| given.has(option)).map(|_| String::new()));
    Ok(names)
}

fn check_names(given: &Given, entities: &Entities) -> Result<(), Failure> {
    let named = |options: &[&'static str]| -> Result<Vec<String>, Failure> {
        let values = options.iter().map(|option| given.value(option).map_err(|error| Failure::from(&error)));
        let values: Result<Vec<Option<&str>>, Failure> = values.collect();
        Ok(values?.into_iter().flatten().map(str::to_owned).collect())
    };
    let Some(kind) = entities.types.first() else { return Ok(()) };
    let has_name = entities.names.iter().any(|name| !name.is_empty());
    match kind {
        EntityType::Brokers | EntityType::BrokerLoggers if has_name => {
            let wrong = named(&["entity-name", "broker", "broker-logger"])?
                .into_iter()
                .find(|name| name.parse::<i32>().is_err());
            wrong.map_or(Ok(()), |name| {
                Err(refusal(format!(
                    "The entity name for {} must be a valid integer broker id, but it is: {name}",
                    kind.name()
                )))
            })
        }
        EntityType::Ips if has_name => {
            let wrong = named(&["entity-name", "ip"])?.into_iter().find(|name| !is_host(name));
            wrong.map_or(Ok(()), |name| {
                Err(refusal(format!(
                    "The entity name for {} must be a valid IP or resolvable host, but it is: {name}",
                    kind.name()
                )))
            })
        }
        EntityType::Brokers
        | EntityType::BrokerLoggers
        | EntityType::Ips
        | EntityType::Topics
        | EntityType::Clients
        | EntityType::Users
        | EntityType::ClientMetrics
        | EntityType::Groups => Ok(()),
    }
}

fn is_host(name: &str) -> bool {
    matches!(task::block_on(net::resolve(name, 0)), Ok(Ok(_)))
}

fn check_describe(given: &Given, entities: &Entities) -> Result<(), Failure> {
    let names = entities.type_names();
    if given.has("entity-default") && !entities.types.iter().any(|kind| kind.has_default()) {
        return Err(refusal(format!("--entity-default must not be specified with --describe of {names}")));
    }
    let has_name = entities.names.iter().any(|name| !name.is_empty());
    if entities.types.contains(&EntityType::BrokerLoggers) && !has_name {
        return Err(refusal(format!("An entity name must be specified with --describe of {names}")));
    }
    Ok(())
}

fn check_alter(given: &Given, entities: &Entities) -> Result<(), Failure> {
    let has_name = entities.names.iter().any(|name| !name.is_empty());
    if entities.types.iter().any(|kind| kind.has_default()) {
        if entities.names.is_empty() {
            return Err(refusal(
                "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
            ));
        }
    } else if !has_name {
        let names = entities.type_names();
        return Err(refusal(format!("An entity name must be specified with --alter of {names}")));
    }
    if given.has("add-config") && given.has("add-config-file") {
        return Err(refusal("Only one of --add-config or --add-config-file must be specified"));
    }
    if given.count(&["add-config", "add-config-file", "delete-config"]) == 0 {
        return Err(refusal(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        ));
    }
    Ok(())
}
