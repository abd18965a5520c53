//! `kafka-server-stop`: asks the servers on this machine to stop.
//!
//! Owns: its flags and words; which of the servers are meant.
//! Does not own: finding them (`processes`), how a server stops.
//!
//! Source: `kafka-server-stop.sh` of Kafka 4.3.1, KIP-979.

use ottla_metadata::config::Properties;
use rustix::process::{Pid, Signal, kill_process};

use super::processes::{ServerProcess, servers};
use crate::settings::read_file;
use crate::terminal::Terminal;

/// Which servers are meant.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    process_role: Option<String>,
    node_id: Option<String>,
}

/// Runs the command.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let wanted = Wanted::from_args(args);
    if wanted.process_role.is_some() && wanted.node_id.is_some() {
        terminal.out_line(
            "When both node-id and process-role are provided, the value for node-id will take precedence",
        );
    }
    let found = servers();
    if found.is_empty() {
        terminal.out_line("No kafka server to stop");
        return 1;
    }
    let mut code = 0;
    for server in found.iter().filter(|server| wanted.includes(server)) {
        let id = Pid::from_raw(server.id);
        if let Err(error) = id.map_or(Ok(()), |id| kill_process(id, Signal::TERM)) {
            terminal.err_line(format_args!("ottla: cannot stop process {}: {error}", server.id));
            code = 1;
        }
    }
    code
}

impl Wanted {
    /// As in Kafka's script, other arguments say nothing.
    fn from_args(args: &[String]) -> Wanted {
        let value = |flag: &str| args.iter().rev().find_map(|arg| arg.strip_prefix(flag)).map(str::to_owned);
        Wanted { process_role: value("--process-role="), node_id: value("--node-id=") }
    }

    fn includes(&self, server: &ServerProcess) -> bool {
        if *self == Wanted::default() {
            return true;
        }
        let content = read_file(&server.config_path()).unwrap_or_default();
        let settings =
            Properties::from_bytes(&content).map(|properties| properties.settings()).unwrap_or_default();
        match (&self.node_id, &self.process_role) {
            (Some(id), _) => settings.get("node.id") == Some(id),
            (None, role) => settings.get("process.roles") == role.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_kafkas_script_are_understood() {
        let args = ["--node-id=7", "ignored", "--process-role=broker"].map(str::to_owned);
        let wanted = Wanted::from_args(&args);
        assert_eq!(wanted.node_id.as_deref(), Some("7"));
        assert_eq!(wanted.process_role.as_deref(), Some("broker"));
        assert_eq!(Wanted::from_args(&[]), Wanted::default());
    }
}
