//! Which command a name stands for.
//!
//! Owns: the table of commands; how a name is taken from `argv[0]` or from the first argument.
//! Does not own: what the commands do (`tools`, `node`).
//!
//! A command is found under its name and under that of Kafka's script (`kafka-topics`, `kafka-topics.sh`), as the
//! first argument (`ottla kafka-topics …`) or as the name of the program: a symbolic link to `ottla`.

use crate::terminal::Terminal;
use crate::{node, own, tools};

/// One command.
pub struct Command {
    /// Without `.sh`.
    pub name: &'static str,
    /// One line for `ottla --help`.
    pub about: &'static str,
    /// Takes the arguments behind the name, gives the exit code.
    pub run: fn(&[String], &mut Terminal<'_>) -> u8,
}

/// All commands, in the order of `ottla --help`.
pub const COMMANDS: &[Command] = &[
    Command { name: "dev", about: "Start a node to try things with", run: node::dev::run },
    Command { name: "topic", about: "List, describe, create, change and delete topics", run: own::topic },
    Command {
        name: "config",
        about: "Show and change settings of topics, brokers and groups",
        run: own::config,
    },
    Command { name: "produce", about: "Write records to a topic", run: own::produce },
    Command { name: "consume", about: "Print the records of topics", run: own::consume },
    Command {
        name: "group",
        about: "List, describe and delete groups of consumers, set their offsets",
        run: own::group,
    },
    Command {
        name: "offsets",
        about: "Show where partitions begin and end, and where a time lies",
        run: own::offsets,
    },
    Command { name: "cluster", about: "Show what a cluster is made of and how it is", run: own::cluster },
    Command {
        name: "explain",
        about: "Say what an error or a setting means, and what to do",
        run: own::explain,
    },
    Command { name: "top", about: "Watch throughput of topics and lag of groups", run: own::top },
    Command { name: "log", about: "Look into the files of partitions, without a node", run: own::log },
    Command { name: "context", about: "Name clusters and choose one", run: own::context },
    Command {
        name: "completion",
        about: "Print the script that makes a shell complete commands",
        run: own::completion,
    },
    Command { name: "man", about: "Write pages for man", run: own::manual },
    Command {
        name: "server",
        about: "Start a node with the settings of a properties file",
        run: node::server::run,
    },
    Command { name: "kafka-server-start", about: "The same as server", run: node::server::run_script },
    Command { name: "kafka-server-stop", about: "Stop the nodes on this machine", run: node::stop::run },
    Command {
        name: "kafka-dump-log",
        about: "Show what is in the files of a partition",
        run: tools::dump_log::run,
    },
    Command {
        name: "kafka-storage",
        about: "Format data directories, look at them",
        run: tools::storage::run,
    },
    Command {
        name: "kafka-configs",
        about: "Show and change the configurations of topics, brokers and groups",
        run: tools::configs::run,
    },
    Command {
        name: "kafka-console-consumer",
        about: "Print the records of topics",
        run: tools::console_consumer::run,
    },
    Command {
        name: "kafka-console-producer",
        about: "Write lines of input to a topic",
        run: tools::console_producer::run,
    },
    Command {
        name: "kafka-consumer-groups",
        about: "List, describe and delete groups of consumers, reset their offsets",
        run: tools::consumer_groups::run,
    },
    Command {
        name: "kafka-broker-api-versions",
        about: "Show which APIs the brokers have, in which versions",
        run: tools::broker_api_versions::run,
    },
    Command {
        name: "kafka-cluster",
        about: "Show the id and the nodes of a cluster, unregister brokers",
        run: tools::cluster::run,
    },
    Command {
        name: "kafka-delete-records",
        about: "Delete the first records of partitions",
        run: tools::delete_records::run,
    },
    Command {
        name: "kafka-e2e-latency",
        about: "Measure how long a record takes from producer to consumer",
        run: tools::e2e_latency::run,
    },
    Command {
        name: "kafka-features",
        about: "Show and change the levels of features",
        run: tools::features::run,
    },
    Command {
        name: "kafka-get-offsets",
        about: "Print first, last and other offsets of partitions",
        run: tools::get_offsets::run,
    },
    Command { name: "kafka-groups", about: "List groups of all kinds", run: tools::groups::run },
    Command {
        name: "kafka-leader-election",
        about: "Have leaders of partitions elected",
        run: tools::leader_election::run,
    },
    Command {
        name: "kafka-log-dirs",
        about: "Show the log directories of brokers and what lies in them",
        run: tools::log_dirs::run,
    },
    Command {
        name: "kafka-metadata-quorum",
        about: "Show the metadata quorum, add and remove controllers",
        run: tools::metadata_quorum::run,
    },
    Command {
        name: "kafka-consumer-perf-test",
        about: "Measure how fast records are read",
        run: tools::consumer_perf::run,
    },
    Command {
        name: "kafka-producer-perf-test",
        about: "Measure how fast records are sent",
        run: tools::producer_perf::run,
    },
    Command {
        name: "kafka-topics",
        about: "List, describe, create, alter and delete topics",
        run: tools::topics::run,
    },
    Command {
        name: "kafka-verifiable-consumer",
        about: "Read records and tell of each event in JSON",
        run: tools::verifiable_consumer::run,
    },
    Command {
        name: "kafka-verifiable-producer",
        about: "Write numbers and tell of each one in JSON",
        run: tools::verifiable_producer::run,
    },
];

/// The command with this name.
pub fn find(name: &str) -> Option<&'static Command> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    COMMANDS.iter().find(|command| command.name == name)
}

/// Runs what the program's name or its first argument asks for. `args[0]` is the path of the program.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let (program, rest) = args.split_first().map_or(("", args), |(program, rest)| (program.as_str(), rest));
    let program = program.rsplit('/').next().unwrap_or(program);
    if let Some(command) = find(program) {
        return (command.run)(rest, terminal);
    }
    match rest.split_first() {
        Some((name, rest)) if find(name).is_some() => {
            find(name).map_or(1, |command| (command.run)(rest, terminal))
        }
        Some(_) | None => crate::own::run(rest, terminal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exit code, standard output and standard error of a command line.
    fn ran(line: &str) -> (u8, String, String) {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(&args, &mut Terminal::new(&mut out, &mut err));
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_command_is_found_as_an_argument_and_as_the_name_of_the_program() {
        for line in [
            "ottla kafka-storage version-mapping",
            "target/debug/ottla kafka-storage.sh version-mapping",
            "/opt/bin/kafka-storage version-mapping",
            "./kafka-storage.sh version-mapping",
        ] {
            let (code, out, err) = ran(line);
            assert_eq!((code, err.as_str()), (0, ""), "{line}");
            assert!(out.starts_with("metadata.version=30 (4.3-IV0)\n"), "{line}");
        }
    }

    #[test]
    fn every_command_is_listed_and_another_one_is_refused() {
        let (code, help, _) = ran("ottla --help");
        assert_eq!(code, 0);
        let listed = |command: &Command| help.contains(&format!("\n  {} ", command.name));
        assert!(COMMANDS.iter().all(listed), "{help}");
        assert_eq!(ran("ottla help"), ran("ottla --help"));
        assert_eq!(ran("ottla help topic list"), ran("ottla topic list --help"));
        assert_eq!(ran("ottla help nonsense").0, 2);
        let (code, out, err) = ran("ottla kafka-nonsense");
        assert_eq!((code, out.as_str()), (2, ""));
        assert_eq!(
            err,
            "error: there is no command 'kafka-nonsense'\nhint: `ottla --help` lists the commands.\n"
        );
        for (typed, meant) in [("topci", "topic"), ("kafka-topic.sh", "kafka-topics")] {
            assert!(ran(&format!("ottla {typed}")).2.ends_with(&format!("hint: Did you mean '{meant}'?\n")));
        }
        assert!(ran("ottla --version").1.starts_with("ottla "));
    }
}
