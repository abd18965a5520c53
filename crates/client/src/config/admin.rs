//! Configuration of the admin client.
//!
//! Owns: `AdminConfig`. Does not own: what all clients share (`cluster_access`).

use std::time::Duration;

use super::cluster_access::endpoints;
use super::{ClientKind, CommonConfig, ConfigError, Properties, Values};

/// Configuration of an [`Admin`](crate::Admin).
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// What all clients share.
    pub common: CommonConfig,
    /// How long a call may take with all its retries (`default.api.timeout.ms`).
    pub api_timeout: Duration,
    /// How often a call is tried again (`retries`).
    pub retries: u32,
}

impl AdminConfig {
    /// An admin client of the cluster that answers at `bootstrap_servers`, else with Kafka's defaults.
    pub fn new(bootstrap_servers: &str) -> Result<AdminConfig, ConfigError> {
        AdminConfig::from_properties(&Properties::from([(
            "bootstrap.servers".to_owned(),
            bootstrap_servers.to_owned(),
        )]))
    }

    /// Reads Kafka's property names; unknown ones are left to [`unknown_keys`](super::unknown_keys).
    pub fn from_properties(properties: &Properties) -> Result<AdminConfig, ConfigError> {
        let values = Values::parse(ClientKind::Admin, properties)?;
        let mut common = CommonConfig::resolve(&values)?;
        let controllers = values.list("bootstrap.controllers");
        match (common.bootstrap.is_empty(), controllers.is_empty()) {
            (true, true) => {
                return Err(ConfigError::Contradiction(
                    "You must set either bootstrap.servers or bootstrap.controllers",
                ));
            }
            (false, false) => {
                return Err(ConfigError::Contradiction(
                    "You cannot set both bootstrap.servers and bootstrap.controllers",
                ));
            }
            (true, false) => {
                // Kafka's client names the other key when it refuses an address.
                common.bootstrap = endpoints("bootstrap.servers", controllers)?;
                common.bootstrap_is_controllers = true;
            }
            (false, true) => {}
        }
        let api_timeout = values.millis("default.api.timeout.ms");
        if api_timeout < common.request_timeout {
            if values.is_given("default.api.timeout.ms") {
                return Err(ConfigError::Contradiction(
                    "The specified value of default.api.timeout.ms must be no smaller than the value of request.timeout.ms.",
                ));
            }
            return Ok(AdminConfig {
                api_timeout: common.request_timeout,
                retries: retries(&values),
                common,
            });
        }
        Ok(AdminConfig { api_timeout, retries: retries(&values), common })
    }
}

fn retries(values: &Values) -> u32 {
    u32::try_from(values.integer("retries")).unwrap_or(u32::MAX)
}
