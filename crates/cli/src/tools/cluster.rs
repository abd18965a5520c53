//! `kafka-cluster`: the id of a cluster, the addresses of its nodes, and an end to brokers that are gone.
//!
//! Owns: its flags, what it prints. Does not own: asking the cluster (`ottla_client::Admin`).
//!
//! Source: `kafka-cluster.sh` of Kafka 4.3.1 (`tests/data/cluster.txt`, `tests/data/refused.txt`).

use ottla_client::Admin;
use ottla_client::admin::{ClusterDescription, DescribeClusterError};
use ottla_client::config::Properties;
use ottla_client::error::{CallError, ErrorCode, ServerError};
use ottla_model::BrokerId;

use super::command_line::tell_renamed;
use super::failure::{self, Failure, Problem, log};
use super::session;
use crate::argparse::{Arguments, Flag, Parsed, Presence, Program, Subcommand};
use crate::operation_failure;
use crate::terminal::Terminal;

const BOOTSTRAP_SERVER: &str = "bootstrap-server";
const BOOTSTRAP_CONTROLLER: &str = "bootstrap-controller";
const CONFIG: &str = "config";
const COMMAND_CONFIG: &str = "command-config";
const INCLUDE_FENCED: &str = "include-fenced-brokers";
const ID: &str = "id";

const CLUSTER_ID_COMMAND: &str = "cluster-id";
const LIST_ENDPOINTS_COMMAND: &str = "list-endpoints";

const SERVER_FLAG: Flag = Flag::value(BOOTSTRAP_SERVER, "The brokers to connect to, as host:port.")
    .short('b')
    .presence(Presence::ExactlyOne);
const CONTROLLER_FLAG: Flag =
    Flag::value(BOOTSTRAP_CONTROLLER, "The controllers to connect to, as host:port.")
        .short('C')
        .presence(Presence::ExactlyOne);
const CONFIG_FLAG: Flag = Flag::value(CONFIG, "(DEPRECATED) The same as --command-config.");
const COMMAND_CONFIG_FLAG: Flag =
    Flag::value(COMMAND_CONFIG, "A properties file for the admin client.").short('c');

static PROGRAM: Program = Program {
    name: "kafka-cluster",
    about: "The Kafka cluster tool.",
    flags: &[],
    commands: &[
        Subcommand {
            name: CLUSTER_ID_COMMAND,
            about: "Tell the id of the cluster.",
            flags: &[SERVER_FLAG, CONTROLLER_FLAG, CONFIG_FLAG, COMMAND_CONFIG_FLAG],
        },
        Subcommand {
            name: "unregister",
            about: "Take back the registration of a broker.",
            flags: &[
                SERVER_FLAG,
                CONTROLLER_FLAG,
                CONFIG_FLAG,
                COMMAND_CONFIG_FLAG,
                Flag::number(ID, "The id of the broker.").short('i').presence(Presence::Required),
            ],
        },
        Subcommand {
            name: LIST_ENDPOINTS_COMMAND,
            about: "List the addresses of brokers or controllers.",
            flags: &[
                SERVER_FLAG,
                CONTROLLER_FLAG,
                CONFIG_FLAG,
                COMMAND_CONFIG_FLAG,
                Flag::nothing(INCLUDE_FENCED, "List fenced brokers too."),
            ],
        },
    ],
};

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let arguments = match PROGRAM.parse(args) {
        // So it is in Kafka's tool.
        Ok(Parsed::Help(text)) => {
            terminal.out(text);
            return 1;
        }
        Ok(Parsed::Command(arguments)) => arguments,
        Err(error) => {
            terminal.err_line(error);
            return 1;
        }
    };
    session::run("kafka-cluster", async {
        let ended = work(&arguments, terminal).await;
        failure::end(terminal, ended)
    })
}

async fn work(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let properties = properties(arguments, terminal)?;
    let admin = session::admin(terminal, &properties).await?;
    match arguments.command {
        CLUSTER_ID_COMMAND => {
            let cluster = admin.describe_cluster(false).await;
            let cluster = cluster.map_err(|error| operation_failure!(error).in_execution())?;
            terminal.out_line(format_args!("Cluster ID: {}", cluster.cluster_id));
            Ok(())
        }
        LIST_ENDPOINTS_COMMAND => list_endpoints(&admin, arguments, terminal).await,
        _ => unregister(&admin, arguments, terminal).await,
    }
}

fn properties(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<Properties, Failure> {
    if arguments.has(CONFIG) && arguments.has(COMMAND_CONFIG) {
        let class = "net.sourceforge.argparse4j.inf.ArgumentParserException";
        return Err(Failure::new(class, "--config and --command-config cannot be specified together."));
    }
    if arguments.has(CONFIG) {
        tell_renamed(terminal, ("config", "command-config"));
    }
    let file = arguments.value(CONFIG).or(arguments.value(COMMAND_CONFIG));
    let mut properties = file.map_or_else(|| Ok(Properties::new()), session::properties_of_file)?;
    session::set_addresses(
        &mut properties,
        arguments.value(BOOTSTRAP_SERVER),
        arguments.value(BOOTSTRAP_CONTROLLER),
    );
    Ok(properties)
}

async fn list_endpoints(
    admin: &Admin,
    arguments: &Arguments,
    terminal: &mut Terminal<'_>,
) -> Result<(), Problem> {
    let controllers = arguments.has(BOOTSTRAP_CONTROLLER);
    let include_fenced = arguments.has(INCLUDE_FENCED);
    if controllers && include_fenced {
        let text = "The option --include-fenced-brokers is only supported with --bootstrap-server option";
        return Err(Failure::illegal_argument(text).into());
    }
    match admin.describe_cluster(include_fenced).await {
        Ok(cluster) => terminal.out(table(&cluster, controllers)),
        Err(DescribeClusterError::Call(error @ CallError::Unsupported { .. })) => {
            terminal.out_line(Failure::from(&error).message());
        }
        Err(error) => return Err(operation_failure!(error).in_execution().into()),
    }
    Ok(())
}

/// Widths of hosts and racks where there are none.
const HOST_WIDTH: usize = 100;
const RACK_WIDTH: usize = 10;

fn table(cluster: &ClusterDescription, controllers: bool) -> String {
    let hosts = cluster.nodes.iter().map(|node| node.endpoint.host.len());
    let racks = cluster.nodes.iter().filter_map(|node| node.rack.as_ref().map(String::len));
    let (host, rack) = (hosts.max().unwrap_or(HOST_WIDTH), racks.max().unwrap_or(RACK_WIDTH));
    let line = |[id, name, port, place]: [&str; 4], state: &str, kind: &str| {
        let state = if controllers { String::new() } else { format!("{state:10} ") };
        format!("{id:10} {name:host$} {port:10} {place:rack$} {state}{kind:15}\n")
    };
    let mut text = line(["ID", "HOST", "PORT", "RACK"], "STATE", "ENDPOINT_TYPE");
    for node in &cluster.nodes {
        let (id, port) = (node.id.to_string(), node.endpoint.port.to_string());
        let state = if cluster.fenced.contains(&node.id) { "fenced" } else { "unfenced" };
        let kind = if controllers { "controller" } else { "broker" };
        let place = node.rack.as_deref().unwrap_or("null");
        text.push_str(&line([&id, &node.endpoint.host, &port, place], state, kind));
    }
    text
}

async fn unregister(
    admin: &Admin,
    arguments: &Arguments,
    terminal: &mut Terminal<'_>,
) -> Result<(), Problem> {
    let number = arguments.number(ID).unwrap_or_default();
    let outcome = match BrokerId::new(number) {
        Some(id) => admin.unregister_broker(id).await,
        // No node has such an id.
        None => Err(ServerError {
            code: ErrorCode::BrokerIdNotRegistered,
            detail: Some(format!("Broker ID {number} is not currently registered")),
        }
        .into()),
    };
    let Err(error) = outcome else {
        terminal.out_line(format_args!("Broker {number} is no longer registered."));
        return Ok(());
    };
    if let Err(CallError::Unsupported { .. }) = error.answer() {
        terminal.out_line("The target cluster does not support the broker unregistration API.");
        return Ok(());
    }
    if let Some(refusal) = error.refusal() {
        let text = format!(
            "[AdminClient clientId=adminclient-1] Unregister broker request for broker ID {number} failed: {refusal}"
        );
        log(terminal, "ERROR", text, "org.apache.kafka.clients.admin.KafkaAdminClient");
    }
    Err(operation_failure!(error).in_execution().into())
}

#[cfg(test)]
mod tests {
    use ottla_client::Node;
    use ottla_client::config::Endpoint;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_hosts_and_racks() {
        let id = BrokerId::new(3).unwrap();
        let node = |rack: Option<&str>| Node {
            id,
            endpoint: Endpoint { host: "example.org".to_owned(), port: 9092 },
            rack: rack.map(str::to_owned),
        };
        let mut cluster = ClusterDescription {
            cluster_id: "c".to_owned(),
            controller: None,
            nodes: vec![node(Some("r"))],
            fenced: vec![id],
        };
        assert_eq!(
            table(&cluster, false),
            "ID         HOST        PORT       RACK STATE      ENDPOINT_TYPE  \n\
             3          example.org 9092       r fenced     broker         \n"
        );
        cluster.nodes = vec![node(None)];
        assert_eq!(
            table(&cluster, true),
            "ID         HOST        PORT       RACK       ENDPOINT_TYPE  \n\
             3          example.org 9092       null       controller     \n"
        );
    }
}
