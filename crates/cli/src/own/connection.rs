//! The flags that all of Ottla's own commands share, and the cluster that they name.
//!
//! Owns: `--bootstrap`, `--context`, `--output`, `--timeout`, `-X`; which of flag, environment and context counts.
//! Does not own: the file of contexts (`context`), the clients (`ottla_client`).
//!
//! The address is the first of these that is there: `--bootstrap`, the context of `--context`, `OTTLA_BOOTSTRAP`, the
//! context of `OTTLA_CONTEXT`, the current context, `localhost:9092`. Settings of a context count only where the context
//! was named by a flag, or gave the address: they belong to its cluster. `-X` wins over them.

use std::path::PathBuf;

use clap::Args;
use ottla_client::Admin;
use ottla_client::config::{AdminConfig, ClientKind, Endpoint, Properties, unknown_keys};
use ottla_env::net;

use super::context::Contexts;
use super::refusal::Refusal;
use super::report::Output;

/// Where a node is looked for when nobody says.
const DEFAULT_ADDRESS: &str = "localhost:9092";

/// Raw flags.
#[derive(Clone, Debug, Default, Args)]
pub struct ConnectionFlags {
    /// Addresses of the cluster, as host:port[,host:port...] [env: OTTLA_BOOTSTRAP] [default: localhost:9092]
    #[arg(short = 'b', long, value_name = "HOST:PORT", global = true, help_heading = "Connection")]
    pub bootstrap: Option<String>,
    /// A context of `ottla context list` [env: OTTLA_CONTEXT]
    #[arg(long, value_name = "NAME", global = true, help_heading = "Connection")]
    pub context: Option<String>,
    /// Most seconds to wait for the cluster
    #[arg(long, value_name = "SECONDS", default_value_t = 30, global = true, help_heading = "Connection",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub timeout: u32,
    /// A setting of the client by Kafka's name, may be repeated
    #[arg(id = "client setting", short = 'X', value_name = "KEY=VALUE", value_parser = key_value, global = true, help_heading = "Connection")]
    pub settings: Vec<(String, String)>,
}

/// Raw flags of commands that print a report.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputFlags {
    /// Form of the answer
    #[arg(short = 'o', long, value_enum, default_value_t, global = true, value_name = "FORM")]
    pub output: Output,
}

/// What of the environment counts.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub bootstrap: Option<String>,
    pub context: Option<String>,
    /// The file of contexts; `None` where the user has no home.
    pub contexts: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process. Empty variables are as none.
    pub fn of_process() -> Environment {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let directory = variable("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")));
        Environment {
            bootstrap: variable("OTTLA_BOOTSTRAP"),
            context: variable("OTTLA_CONTEXT"),
            contexts: directory.map(|directory| directory.join("ottla").join("contexts.json")),
        }
    }
}

/// Reads `key=value`; the value may be empty.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("it must be KEY=VALUE".to_owned()),
    }
}

impl ConnectionFlags {
    /// The settings of a client, under Kafka's names.
    pub fn resolve(&self, environment: &Environment) -> Result<Properties, Refusal> {
        let named = |name: &str| -> Result<Properties, Refusal> {
            Contexts::read(environment)?.find(name).map(|context| context.settings())
        };
        let with_address = |address: &str| Properties::from([(BOOTSTRAP.to_owned(), address.to_owned())]);
        let mut settings = match (&self.context, &environment.bootstrap, &environment.context) {
            (Some(name), _, _) => named(name)?,
            // Nothing of a context is needed, so a broken file does not matter.
            (None, _, _) if self.bootstrap.is_some() => Properties::new(),
            (None, Some(address), _) => with_address(address),
            (None, None, Some(name)) => named(name)?,
            (None, None, None) => match Contexts::read(environment)?.current() {
                Some(context) => context.settings(),
                None => with_address(DEFAULT_ADDRESS),
            },
        };
        if let Some(address) = &self.bootstrap {
            settings.insert(BOOTSTRAP.to_owned(), address.clone());
        }
        let millis = (u64::from(self.timeout) * 1000).to_string();
        for key in ["default.api.timeout.ms", "request.timeout.ms", "max.block.ms"] {
            settings.insert(key.to_owned(), millis.clone());
        }
        settings.extend(self.settings.iter().cloned());
        refuse_unknown(self.settings.iter().map(|(key, _)| key.as_str()))?;
        Ok(settings)
    }

    /// A client for administration; settings of other clients are passed over.
    pub async fn admin(&self, environment: &Environment) -> Result<Admin, Refusal> {
        let config = AdminConfig::from_properties(&self.resolve(environment)?)?;
        check_hosts(&config.common.bootstrap).await?;
        Admin::new(config).map_err(|error| Refusal::failed("the client could not be started").detail(error))
    }
}

/// One of the hosts must be known: nobody waits for a name that is misspelt.
async fn check_hosts(addresses: &[Endpoint]) -> Result<(), Refusal> {
    let mut unknown = Vec::new();
    for address in addresses {
        match net::resolve(&address.host, address.port).await {
            Ok(_) => return Ok(()),
            Err(error) => unknown.push(format!("host {address}: {error}")),
        }
    }
    Err(Refusal::failed("no address of the cluster is known")
        .detail(unknown.join("; "))
        .hint("Check the address: --bootstrap, OTTLA_BOOTSTRAP, or `ottla context show`"))
}

pub const BOOTSTRAP: &str = "bootstrap.servers";

/// A setting that no client has is a slip of the pen.
pub fn refuse_unknown<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    for name in names {
        let one = Properties::from([(name.to_owned(), String::new())]);
        let kinds = [ClientKind::Admin, ClientKind::Consumer, ClientKind::Producer];
        if kinds.iter().all(|kind| !unknown_keys(*kind, &one).is_empty()) {
            return Err(Refusal::usage(format!("'{name}' is no setting of a client")).hint(
                "Allowed are the keys of Kafka's producer, consumer and admin client, such as client.id",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"current": "dev", "contexts": {
        "dev": {"bootstrap": "dev:1", "settings": {"client.id": "me"}}, "prod": {"bootstrap": "prod:1"}}}"#;

    /// Address and client id for flags and environment.
    fn resolved(flags: (Option<&str>, Option<&str>), from: (Option<&str>, Option<&str>)) -> (String, String) {
        let directory = std::env::temp_dir().join(format!("ottla-connection-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let contexts = directory.join("contexts.json");
        std::fs::write(&contexts, FILE).unwrap();
        let text = |it: Option<&str>| it.map(str::to_owned);
        let flags =
            ConnectionFlags { bootstrap: text(flags.0), context: text(flags.1), ..Default::default() };
        let environment =
            Environment { bootstrap: text(from.0), context: text(from.1), contexts: Some(contexts) };
        let settings = flags.resolve(&environment).unwrap();
        let value = |name: &str| settings.get(name).cloned().unwrap_or_default();
        (value(BOOTSTRAP), value("client.id"))
    }

    #[test]
    fn flags_win_over_the_environment_over_the_context() {
        let pair = |address: &str, client: &str| (address.to_owned(), client.to_owned());
        assert_eq!(resolved((None, None), (None, None)), pair("dev:1", "me"));
        assert_eq!(resolved((None, None), (None, Some("prod"))), pair("prod:1", ""));
        assert_eq!(resolved((None, None), (Some("env:1"), Some("prod"))), pair("env:1", ""));
        assert_eq!(resolved((None, Some("dev")), (Some("env:1"), Some("prod"))), pair("dev:1", "me"));
        assert_eq!(resolved((Some("flag:1"), None), (Some("env:1"), None)), pair("flag:1", ""));
        assert_eq!(resolved((Some("flag:1"), Some("dev")), (None, None)), pair("flag:1", "me"));
    }

    #[test]
    fn without_anything_a_node_of_this_machine_is_meant() {
        let settings = ConnectionFlags::default().resolve(&Environment::default()).unwrap();
        assert_eq!(settings.get(BOOTSTRAP).map(String::as_str), Some("localhost:9092"));
    }

    #[test]
    fn a_setting_that_no_client_has_is_refused() {
        assert!(refuse_unknown(["client.id", "linger.ms", "fetch.min.bytes"].into_iter()).is_ok());
        assert!(refuse_unknown(["linger.sm"].into_iter()).is_err());
    }
}
