//! The node processes on this machine.
//!
//! Owns: finding them by their command lines.
//! Does not own: what is done to them (`stop`).
//!
//! Source: `kafka-server-stop.sh` of Kafka 4.3.1, which looks for its class among all command lines.

use std::path::{Path, PathBuf};
use std::process::Command;

use ottla_env::disk::{Disk, RealDisk};

use crate::settings::read_file;

/// A process that runs `ottla server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    pub id: i32,
    /// The properties file as its command line names it.
    pub config: PathBuf,
    /// Where a relative path of it begins; `None` where the system does not say.
    pub directory: Option<PathBuf>,
}

/// All of them, by id.
pub fn servers() -> Vec<ServerProcess> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let lines = match RealDisk.is_dir(Path::new("/proc/self")) {
        Ok(true) => by_proc(),
        Ok(false) | Err(_) => by_ps(),
    };
    let mut found: Vec<_> = lines
        .into_iter()
        .filter(|(id, _)| *id != own)
        .filter_map(|(id, args)| {
            let config = config_of(&args)?;
            // Of a process of another user the system does not tell the directory.
            let directory = RealDisk.canonicalize(Path::new(&format!("/proc/{id}/cwd"))).ok();
            Some(ServerProcess { id, config, directory })
        })
        .collect();
    found.sort_by_key(|server| server.id);
    found
}

impl ServerProcess {
    /// The properties file, from wherever this process runs.
    pub fn config_path(&self) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.join(&self.config),
            None => self.config.clone(),
        }
    }
}

fn by_proc() -> Vec<(i32, Vec<String>)> {
    let entries = RealDisk.read_dir(Path::new("/proc")).unwrap_or_default();
    let ids = entries.iter().filter_map(|entry| entry.name.parse().ok());
    // A process may be gone meanwhile.
    ids.filter_map(|id: i32| {
        Some((id, arguments(&read_file(Path::new(&format!("/proc/{id}/cmdline"))).ok()?)))
    })
    .collect()
}

/// The arguments in `/proc/ID/cmdline`, each of which ends with a zero byte.
fn arguments(content: &[u8]) -> Vec<String> {
    let args = content.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned());
    let mut args: Vec<_> = args.collect();
    args.pop();
    args
}

fn by_ps() -> Vec<(i32, Vec<String>)> {
    let Ok(output) = Command::new("ps").args(["-axww", "-o", "pid=,args="]).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some((words.next()?.parse().ok()?, words.collect()))
    });
    lines.collect()
}

/// The properties file of a command line that starts a server; `None` for other command lines.
fn config_of(args: &[String]) -> Option<PathBuf> {
    let (program, rest) = args.split_first()?;
    let program = program.rsplit('/').next().unwrap_or(program);
    let is_server = |name: &str| matches!(name, "server" | "kafka-server-start" | "kafka-server-start.sh");
    let rest = match (program, rest.split_first()) {
        ("ottla", Some((command, rest))) if is_server(command) => rest,
        (link, _) if link != "server" && is_server(link) => rest,
        _ => return None,
    };
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            // This process only starts the one that is looked for.
            "-daemon" | "--daemon" => return None,
            "--override" | "--log-format" => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            config => return Some(PathBuf::from(config)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> Option<PathBuf> {
        config_of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_server_is_known_by_its_command_line() {
        let file = Some(PathBuf::from("c/server.properties"));
        assert_eq!(config("/usr/bin/ottla server c/server.properties"), file);
        assert_eq!(config("ottla kafka-server-start.sh c/server.properties --override a=b"), file);
        assert_eq!(config("bin/kafka-server-start --override a=b c/server.properties"), file);
        assert_eq!(config("ottla server --override=a=b --log-format json c/server.properties"), file);
    }

    #[test]
    fn other_processes_are_none() {
        for line in [
            "ottla dev",
            "ottla",
            "ottla kafka-topics server",
            "server c/server.properties",
            "vi server server.properties",
            "ottla server -daemon server.properties",
            "ottla server --help",
            "java kafka.Kafka server.properties",
        ] {
            assert_eq!(config(line), None, "{line}");
        }
    }

    #[test]
    fn arguments_end_with_zero_bytes() {
        assert_eq!(arguments(b"ottla\0dev\0\0"), ["ottla", "dev", ""]);
        assert!(arguments(b"").is_empty());
    }
}
