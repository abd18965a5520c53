//! `ottla context`: names for clusters, kept in a file of the user.
//!
//! Owns: the file and the command. Does not own: which context counts (`connection`).
//!
//! The file is `ottla/contexts.json` in `$XDG_CONFIG_HOME` or `~/.config`:
//!
//! ```json
//! { "current": "dev", "contexts": { "dev": { "bootstrap": "localhost:9092", "settings": { "client.id": "me" } } } }
//! ```
//!
//! Invariants
//! - I1 the file is replaced as a whole: a reader sees the old one or the new one;
//! - I2 it is readable by its owner only: settings may be secret;
//! - I3 `current` is one of the contexts, or none.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use ottla_client::config::{AdminConfig, Properties};
use serde_json::{Map, Value, json};

use super::connection::{BOOTSTRAP, Environment, OutputFlags, key_value, refuse_unknown};
use super::plan::{Plan, Status};
use super::refusal::Refusal;
use super::report::{Column, Report, Table, column, wide};
use super::similar::similar;
use crate::terminal::Terminal;

/// Name clusters, and choose the one that commands talk to.
#[derive(Debug, Parser)]
#[command(name = "ottla context", bin_name = "ottla context")]
pub struct Flags {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    output: OutputFlags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the contexts
    List,
    /// Show one context, or the current one
    Show {
        /// Name of the context
        #[arg(value_name = "CONTEXT")]
        name: Option<String>,
    },
    /// Make a context the current one
    Use {
        /// Name of the context
        #[arg(value_name = "CONTEXT")]
        name: String,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Create a context, or replace it
    Set {
        /// Name for the context
        #[arg(value_name = "CONTEXT")]
        name: String,
        /// Addresses of the cluster
        #[arg(short = 'b', long, value_name = "HOST:PORT")]
        bootstrap: String,
        /// A setting of the client by Kafka's name, may be repeated
        #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Forget a context
    Delete {
        /// Name of the context
        #[arg(value_name = "CONTEXT")]
        name: String,
        #[command(flatten)]
        dry: DryRun,
    },
}

/// The flag of everything that changes contexts. No cluster is asked.
#[derive(Clone, Copy, Debug, Args)]
struct DryRun {
    /// Show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is known of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    bootstrap: String,
    settings: Properties,
}

impl Context {
    /// The settings of a client, with the address.
    pub fn settings(&self) -> Properties {
        let mut settings = self.settings.clone();
        settings.insert(BOOTSTRAP.to_owned(), self.bootstrap.clone());
        settings
    }
}

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contexts {
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; no file is no contexts.
    pub fn read(environment: &Environment) -> Result<Contexts, Refusal> {
        let Some(path) = &environment.contexts else { return Ok(Contexts::default()) };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => return Err(unusable(path, &error.to_string())),
        };
        Contexts::parse(&text).map_err(|reason| unusable(path, &reason))
    }

    fn parse(text: &str) -> Result<Contexts, String> {
        let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let fields = document.as_object().ok_or("It is not an object")?;
        let named = fields.get("contexts").and_then(Value::as_object).ok_or("It has no field 'contexts'")?;
        let context = |(name, value): (&String, &Value)| {
            let bootstrap = value.get("bootstrap").and_then(Value::as_str);
            let bootstrap = bootstrap.ok_or(format!("Context '{name}' has no text 'bootstrap'"))?;
            let settings = value.get("settings").and_then(Value::as_object).cloned().unwrap_or_default();
            let setting = |(key, value): (String, Value)| match value.as_str() {
                Some(value) => Ok((key, value.to_owned())),
                None => Err(format!("The setting '{key}' of context '{name}' is not a text")),
            };
            let settings: Result<Properties, String> = settings.into_iter().map(setting).collect();
            Ok((name.clone(), Context { bootstrap: bootstrap.to_owned(), settings: settings? }))
        };
        let contexts: Result<BTreeMap<String, Context>, String> = named.iter().map(context).collect();
        let contexts = contexts?;
        let current = fields.get("current").and_then(Value::as_str).map(str::to_owned);
        let current = current.filter(|name| contexts.contains_key(name));
        Ok(Contexts { current, contexts })
    }

    fn text(&self) -> String {
        let context = |(name, context): (&String, &Context)| {
            (name.clone(), json!({"bootstrap": context.bootstrap, "settings": context.settings}))
        };
        let contexts: Map<String, Value> = self.contexts.iter().map(context).collect();
        format!("{:#}\n", json!({"current": self.current, "contexts": contexts}))
    }

    fn write(&self, environment: &Environment) -> Result<(), Refusal> {
        let Some(path) = &environment.contexts else {
            return Err(Refusal::failed("there is no directory for the file of contexts")
                .hint("Set HOME or XDG_CONFIG_HOME"));
        };
        replace(path, &self.text()).map_err(|error| {
            Refusal::failed(format!("{} could not be written", path.display())).detail(error)
        })
    }

    /// The context with this name.
    pub fn find(&self, name: &str) -> Result<&Context, Refusal> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            let refusal = Refusal::usage(format!("there is no context '{name}'"));
            match known.is_empty() {
                true => refusal.hint("`ottla context set NAME --bootstrap HOST:PORT` makes one"),
                false => refusal
                    .detail(format_args!("There are {}", known.join(", ")))
                    .reminding(&similar(name, self.names()), "`ottla context list` shows their addresses"),
            }
        })
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.contexts.keys().map(String::as_str)
    }

    /// The context that counts where none is named.
    pub fn current(&self) -> Option<&Context> {
        self.contexts.get(self.current.as_ref()?)
    }
}

/// Puts a new file in the place of the old one (I1, I2).
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let fresh = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&fresh, path)).inspect_err(|_| drop(fs::remove_file(&fresh)))
}

fn unusable(path: &Path, reason: &str) -> Refusal {
    Refusal::failed(format!("the contexts in {} cannot be read", path.display()))
        .detail(reason)
        .hint("--bootstrap does without them")
}

const COLUMNS: &[Column] = &[column("current"), column("name"), column("bootstrap"), wide("settings")];

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let environment = Environment::of_process();
    let mut contexts = Contexts::read(&environment)?;
    match &flags.action {
        Action::List => print(&contexts, |_| true, (flags, terminal)),
        Action::Show { name } => {
            let current = || {
                let hint = "`ottla context use NAME` chooses one; without one localhost:9092 is meant";
                contexts.current.clone().ok_or(Refusal::failed("there is no current context").hint(hint))
            };
            let shown = name.clone().map_or_else(current, Ok)?;
            contexts.find(&shown)?;
            print(&contexts, |name| *name == shown, (flags, terminal));
        }
        Action::Use { name, dry } => {
            let address = contexts.find(name)?.bootstrap.clone();
            contexts.current = Some(name.clone());
            return changed(("use", name, &address), (&contexts, *dry), (flags, terminal));
        }
        Action::Set { name, bootstrap, settings, dry } => {
            let context = checked(name, bootstrap, settings)?;
            contexts.contexts.insert(name.clone(), context);
            // The first one is what its maker means from now on.
            contexts.current.get_or_insert_with(|| name.clone());
            return changed(("set", name, bootstrap), (&contexts, *dry), (flags, terminal));
        }
        Action::Delete { name, dry } => {
            let address = contexts.find(name)?.bootstrap.clone();
            contexts.contexts.remove(name);
            contexts.current.take_if(|current| current == name);
            return changed(("delete", name, &address), (&contexts, *dry), (flags, terminal));
        }
    }
    Ok(())
}

/// Writes the contexts as they are after a change, unless it is only to be shown, and shows it.
fn changed(
    (action, name, address): (&'static str, &str, &str),
    (contexts, dry): (&Contexts, DryRun),
    (flags, terminal): (&Flags, &mut Terminal<'_>),
) -> Result<(), Refusal> {
    let outcome = match dry.dry_run {
        true => Ok(Status::Planned),
        false => contexts.write(&Environment::of_process()).map(|()| Status::Done),
    };
    let mut plan = Plan::new(action, "context");
    plan.push(name, &format!("bootstrap={address}"), outcome);
    plan.finish(flags.output.output, terminal)
}

fn checked(name: &str, bootstrap: &str, settings: &[(String, String)]) -> Result<Context, Refusal> {
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_allowed) {
        return Err(Refusal::usage(format!("'{name}' is no name for a context"))
            .hint("Allowed are ASCII letters, digits, '-', '_' and '.'"));
    }
    refuse_unknown(settings.iter().map(|(key, _)| key.as_str()))?;
    let settings = settings.iter().cloned().collect();
    let context = Context { bootstrap: bootstrap.to_owned(), settings };
    AdminConfig::from_properties(&context.settings())?;
    Ok(context)
}

fn print(
    contexts: &Contexts,
    wanted: impl Fn(&String) -> bool,
    (flags, terminal): (&Flags, &mut Terminal<'_>),
) {
    let mut table = Table::new(COLUMNS);
    for (name, context) in contexts.contexts.iter().filter(|(name, _)| wanted(name)) {
        let is_current = contexts.current.as_ref() == Some(name);
        let settings: Vec<String> =
            context.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.push([json!(is_current), json!(name), json!(context.bootstrap), json!(settings)]);
    }
    Report::list(table).print(flags.output.output, terminal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let settings = [("client.id".to_owned(), "me".to_owned())];
        let context = checked("dev-1", "localhost:9092,other:9093", &settings).unwrap();
        let contexts =
            Contexts { current: Some("dev-1".to_owned()), contexts: [("dev-1".to_owned(), context)].into() };
        assert_eq!(Contexts::parse(&contexts.text()), Ok(contexts));
    }

    #[test]
    fn what_makes_no_context_is_refused_before_anything_is_written() {
        let no_settings: &[(String, String)] = &[];
        for (name, bootstrap) in [("a b", "h:1"), ("", "h:1"), ("a", "h"), ("a", ""), ("a", "h:99999999")] {
            assert!(checked(name, bootstrap, no_settings).is_err(), "{name} {bootstrap}");
        }
        assert!(checked("a", "h:1", &[("no.such.key".to_owned(), String::new())]).is_err());
    }

    #[test]
    fn a_file_that_is_none_is_told_with_its_reason() {
        for text in ["", "[]", "{}", r#"{"contexts": {"a": {}}}"#, r#"{"contexts": {"a": {"bootstrap": 1}}}"#]
        {
            assert!(Contexts::parse(text).is_err(), "{text}");
        }
        let gone = Contexts::parse(r#"{"current": "x", "contexts": {}}"#).unwrap();
        assert_eq!(gone.current(), None);
    }
}
