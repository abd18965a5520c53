//! Which addresses a node listens on, which it tells to others, and how they are protected.
//!
//! Owns: `listeners`, `advertised.listeners`, `listener.security.protocol.map`, `inter.broker.listener.name`,
//! `controller.listener.names`, and the rules between them.
//! Does not own: binding, name resolution: an empty host is filled in by the server.
//!
//! Invariants
//! - I1 names of bound listeners are distinct, and so are their ports, but for one IPv4 and one IPv6 address;
//! - I2 a broker advertises at least one listener, and the one that brokers use among themselves.
//!
//! Source: requirement LSN-01; refusals of Kafka 4.3.1 in its words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ottla_model::{BrokerId, ListenerName, SecurityProtocol};

use super::endpoint::parse_listener;
use super::reader::Reader;
use super::{ConfigError, ListenerAddress, Roles, Voter};

/// A listener with its address and protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: ListenerName,
    pub protocol: SecurityProtocol,
    /// Empty: the default interface where it is bound, this machine's name where it is advertised.
    pub host: Option<String>,
    /// 0: any free port.
    pub port: u16,
}

/// The listeners of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// What the node binds for clients and brokers.
    pub broker: Vec<Listener>,
    /// What the node binds as a controller.
    pub controller: Vec<Listener>,
    /// What clients are told; never a controller's listener.
    pub advertised_broker: Vec<Listener>,
    /// What other nodes are told to reach this controller at.
    pub advertised_controller: Vec<Listener>,
    /// The listener brokers use among themselves. On a node that is no broker it is not used.
    pub inter_broker: ListenerName,
    /// How controllers are reached: the first of `controller.listener.names`.
    pub controller_name: ListenerName,
    pub controller_protocol: SecurityProtocol,
}

/// What the rules need to know of the node.
pub(crate) struct NodeFacts<'a> {
    pub id: BrokerId,
    pub roles: Roles,
    pub voters: &'a [Voter],
}

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const MAP: &str = "listener.security.protocol.map";
const INTER_BROKER: &str = "inter.broker.listener.name";
const INTER_BROKER_PROTOCOL: &str = "security.inter.broker.protocol";
const EARLY: &str = "early.start.listeners";
const CONTROLLER_NAMES: &str = "controller.listener.names";

/// Protocol of every listener name. Kafka keeps the case of `controller.listener.names` here.
type ProtocolMap = BTreeMap<String, SecurityProtocol>;

impl Listeners {
    pub(crate) fn resolve(reader: Reader<'_>, node: &NodeFacts<'_>) -> Result<Listeners, ConfigError> {
        let controller_names = reader.list(CONTROLLER_NAMES)?;
        let map = protocol_map(reader, &controller_names)?;
        let texts = reader.list(LISTENERS)?;
        let bound = parse_all(&texts, &map, Ports::MustDiffer)?;
        let advertised = match reader.optional_list(ADVERTISED)? {
            Some(texts) => Some(parse_all(&texts, &map, Ports::MayRepeat)?),
            None => None,
        };
        let is_controller =
            |listener: &Listener| controller_names.iter().any(|name| name == listener.name.as_str());
        let told = advertised.clone().unwrap_or_else(|| bound.clone());
        let (controller, broker): (Vec<_>, Vec<_>) = bound.into_iter().partition(is_controller);
        let (told_controller, advertised_broker): (Vec<_>, Vec<_>) =
            told.into_iter().partition(is_controller);
        let told_controller = if advertised.is_some() { told_controller } else { Vec::new() };
        let advertised_controller = advertised_controllers(&controller, told_controller, node);
        let (controller_name, controller_protocol) = first_controller(&controller_names, &map)?;
        let listeners = Listeners {
            inter_broker: inter_broker_listener(reader, &map)?,
            broker,
            controller,
            advertised_broker,
            advertised_controller,
            controller_name,
            controller_protocol,
        };
        listeners.ensure_roles_are_served(node.roles, &controller_names, &map)?;
        listeners.ensure_advertised()?;
        listeners.ensure_early_ones_exist(&reader.list(EARLY)?, &controller_names)?;
        Ok(listeners)
    }

    /// Every bound listener, brokers' first.
    pub fn bound(&self) -> impl Iterator<Item = &Listener> {
        self.broker.iter().chain(&self.controller)
    }

    fn ensure_roles_are_served(
        &self,
        roles: Roles,
        controller_names: &[String],
        map: &ProtocolMap,
    ) -> Result<(), ConfigError> {
        if roles.controller {
            return self.ensure_controller_is_served(roles, controller_names);
        }
        if !self.controller.is_empty() {
            return requirement(format!(
                "{CONTROLLER_NAMES} must not contain a value appearing in the '{LISTENERS}' configuration when \
                 running KRaft with just the broker role"
            ));
        }
        if let Some(name) = controller_names.iter().find(|name| !map.contains_key(&name.to_uppercase())) {
            return rule(format!(
                "Controller listener with name {} defined in {CONTROLLER_NAMES} not found in {MAP}  (an explicit \
                 security mapping for each controller listener is required if {MAP} is non-empty, or if there are \
                 security protocols other than PLAINTEXT in use)",
                name.to_uppercase()
            ));
        }
        self.ensure_broker_is_served()
    }

    fn ensure_controller_is_served(&self, roles: Roles, names: &[String]) -> Result<(), ConfigError> {
        if !roles.broker && !self.broker.is_empty() {
            return requirement(format!(
                "The {LISTENERS} config must only contain KRaft controller listeners from {CONTROLLER_NAMES} when \
                 process.roles=controller"
            ));
        }
        if self.controller.is_empty() {
            return requirement(format!(
                "{CONTROLLER_NAMES} must contain at least one value appearing in the '{LISTENERS}' configuration \
                 when running the KRaft controller role"
            ));
        }
        let is_bound = |name: &String| self.controller.iter().any(|it| it.name.as_str() == name);
        if !names.iter().all(is_bound) {
            return requirement(format!(
                "{CONTROLLER_NAMES} must only contain values appearing in the '{LISTENERS}' configuration when \
                 running the KRaft controller role"
            ));
        }
        if roles.broker { self.ensure_broker_is_served() } else { Ok(()) }
    }

    /// I2
    fn ensure_broker_is_served(&self) -> Result<(), ConfigError> {
        let advertised: BTreeSet<&ListenerName> = self.advertised_broker.iter().map(|it| &it.name).collect();
        let bound: Vec<&ListenerName> = self.bound().map(|it| &it.name).collect();
        if advertised.is_empty() {
            return requirement(format!(
                "There must be at least one broker advertised listener. Perhaps all listeners appear in \
                 {CONTROLLER_NAMES}?"
            ));
        }
        let names = join(self.advertised_broker.iter().map(|it| &it.name));
        if !advertised.contains(&self.inter_broker) {
            return requirement(format!(
                "{INTER_BROKER} must be a listener name defined in {ADVERTISED}. The valid options based on \
                 currently configured listeners are {names}"
            ));
        }
        if !advertised.iter().all(|name| bound.contains(name)) {
            return requirement(format!(
                "{ADVERTISED} listener names must be equal to or a subset of the ones defined in {LISTENERS}. \
                 Found {names}. The valid options based on the current configuration are {}",
                join(bound.into_iter())
            ));
        }
        Ok(())
    }

    fn ensure_early_ones_exist(&self, early: &[String], controllers: &[String]) -> Result<(), ConfigError> {
        let exists = |name: &str| self.bound().any(|it| it.name.as_str() == name);
        let is_controller = |name: &String| controllers.contains(name);
        match early.iter().find(|name| !exists(&name.to_uppercase()) && !is_controller(name)) {
            None => Ok(()),
            Some(name) => rule(format!(
                "{EARLY} contains listener {}, but this is not contained in {LISTENERS} or {CONTROLLER_NAMES}",
                name.to_uppercase()
            )),
        }
    }

    fn ensure_advertised(&self) -> Result<(), ConfigError> {
        let mut told = self.advertised_broker.iter().chain(&self.advertised_controller);
        if told.any(|it| it.host.as_deref() == Some("0.0.0.0")) {
            return requirement(format!(
                "{ADVERTISED} cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
            ));
        }
        Ok(())
    }
}

fn rule<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::Rule(text))
}

fn requirement<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::Requirement(text))
}

fn join<'a>(names: impl Iterator<Item = &'a ListenerName>) -> String {
    names.map(ListenerName::as_str).collect::<Vec<_>>().join(",")
}

/// The name and protocol that reach a controller.
fn first_controller(
    names: &[String],
    map: &ProtocolMap,
) -> Result<(ListenerName, SecurityProtocol), ConfigError> {
    let first = names.first().and_then(|name| ListenerName::new(name));
    let name = first.ok_or_else(|| ConfigError::Missing { name: CONTROLLER_NAMES.to_owned() })?;
    let protocol = map.get(name.as_str()).copied().unwrap_or(SecurityProtocol::Plaintext);
    Ok((name, protocol))
}

/// The map as configured. Where nobody set it and no listener is named after a protocol with security, controllers
/// are PLAINTEXT without being named in it.
fn protocol_map(reader: Reader<'_>, controller_names: &[String]) -> Result<ProtocolMap, ConfigError> {
    let mut map = ProtocolMap::new();
    let mut spellings = BTreeSet::new();
    for entry in super::split_list(&reader.text(MAP)?) {
        let Some((name, protocol)) = entry.split_once(':') else {
            return rule(format!(
                "Error parsing configuration property '{MAP}': {entry} is not NAME:PROTOCOL"
            ));
        };
        let protocol = super::java_trim(protocol);
        let Some(protocol) = SecurityProtocol::from_name(protocol) else {
            return rule(format!("Invalid security protocol `{protocol}` defined in {MAP}"));
        };
        let name = super::java_trim(name);
        if spellings.insert(name.to_owned()) && map.contains_key(&name.to_uppercase()) {
            return rule(format!("listener {} is spelled in two ways in {MAP}", name.to_uppercase()));
        }
        map.insert(name.to_uppercase(), protocol);
    }
    let mut listener_names = Vec::new();
    for text in reader.list(LISTENERS)? {
        let Some((name, _)) = text.split_once("://") else {
            return rule(format!("Unable to parse a listener name from {text}"));
        };
        listener_names.push(name.to_owned());
    }
    let is_secure = |name: &String| matches!(name.as_str(), "SSL" | "SASL_SSL" | "SASL_PLAINTEXT");
    if !reader.is_set(MAP) && !listener_names.iter().chain(controller_names).any(is_secure) {
        for name in controller_names {
            map.entry(name.clone()).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

/// Whether two listeners of one list may have one port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ports {
    MustDiffer,
    MayRepeat,
}

fn parse_all(texts: &[String], map: &ProtocolMap, ports: Ports) -> Result<Vec<Listener>, ConfigError> {
    let list = texts.join(", ");
    let within = |error: ConfigError| {
        ConfigError::Rule(format!("Error creating broker listeners from '[{list}]': {error}"))
    };
    let mut listeners = Vec::with_capacity(texts.len());
    for text in texts {
        let address = parse_listener(text).map_err(within)?;
        listeners.push(protect(address, map).map_err(within)?);
    }
    let names: BTreeSet<&ListenerName> = listeners.iter().map(|it| &it.name).collect();
    if names.len() != listeners.len() {
        let text = format!("Each listener must have a different name, listeners: [{list}]");
        return Err(within(ConfigError::Rule(text)));
    }
    if ports == Ports::MustDiffer {
        ensure_distinct_ports(&listeners, &list).map_err(within)?;
    }
    Ok(listeners)
}

fn protect(address: ListenerAddress, map: &ProtocolMap) -> Result<Listener, ConfigError> {
    let ListenerAddress { listener: name, host, port } = address;
    match map.get(name.as_str()) {
        Some(protocol) => Ok(Listener { name, protocol: *protocol, host, port }),
        None => rule(format!("No security protocol defined for listener {name}")),
    }
}

/// I1. Port 0 is given by the system and so never collides.
fn ensure_distinct_ports(listeners: &[Listener], list: &str) -> Result<(), ConfigError> {
    let mut by_port: BTreeMap<u16, Vec<&Listener>> = BTreeMap::new();
    for listener in listeners.iter().filter(|it| it.port != 0) {
        by_port.entry(listener.port).or_default().push(listener);
    }
    let address_of = |it: &&Listener| it.host.as_deref().and_then(|host| host.parse::<IpAddr>().ok());
    for (port, group) in by_port.iter().filter(|(_, group)| group.len() > 1) {
        let addresses: Vec<IpAddr> = group.iter().filter_map(address_of).collect();
        if group.len() - addresses.len() > 1 {
            return rule(format!("Each listener must have a different port, listeners: [{list}]"));
        }
        match addresses.as_slice() {
            [a, b] if a.is_ipv4() != b.is_ipv4() && group.len() == 2 => {}
            [_, _] => {
                return rule(format!(
                    "If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, \
                     listeners: [{list}], port: {port}"
                ));
            }
            _ => {
                return rule(format!(
                    "Each listener must have a different port unless exactly one listener has an IPv4 address and \
                     the other IPv6 address, listeners: [{list}], port: {port}"
                ));
            }
        }
    }
    Ok(())
}

fn inter_broker_listener(reader: Reader<'_>, map: &ProtocolMap) -> Result<ListenerName, ConfigError> {
    let Some(name) = reader.optional_text(INTER_BROKER)? else {
        let protocol = reader.text(INTER_BROKER_PROTOCOL)?;
        let protocol = SecurityProtocol::from_name(&protocol).unwrap_or(SecurityProtocol::Plaintext);
        return Ok(ListenerName::of_protocol(protocol));
    };
    if reader.is_set(INTER_BROKER_PROTOCOL) {
        return rule(format!("Only one of {INTER_BROKER} and {INTER_BROKER_PROTOCOL} should be set."));
    }
    match ListenerName::new(&name) {
        Some(listener) if map.contains_key(listener.as_str()) => Ok(listener),
        _ => rule(format!(
            "Listener with name {} defined in {INTER_BROKER} not found in {MAP}.",
            name.to_uppercase()
        )),
    }
}

/// Where a controller is not advertised: at the address it binds, or, if that says nothing, at the one the voters
/// know it by.
fn advertised_controllers(bound: &[Listener], told: Vec<Listener>, node: &NodeFacts<'_>) -> Vec<Listener> {
    let voter = node.voters.iter().find(|voter| voter.id == node.id);
    let mut advertised = told;
    for listener in bound {
        if advertised.iter().any(|it| it.name == listener.name) {
            continue;
        }
        let mut listener = listener.clone();
        if matches!(listener.host.as_deref(), None | Some("0.0.0.0")) {
            listener.host = voter.map(|voter| voter.address.host.clone());
            listener.port = voter.map_or(listener.port, |voter| voter.address.port);
        }
        advertised.push(listener);
    }
    advertised
}
