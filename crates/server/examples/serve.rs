//! Serves one node on local storage: `serve DIRECTORY PORT CONTROLLER_PORT`.

use std::sync::Arc;

use ottla_env::disk::RealDisk;
use ottla_env::random::OsRandom;
use ottla_metadata::config::{Layers, Properties};
use ottla_server::{StartOptions, loggers::Loggers, start};

fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let (dir, port, controller) = (arguments.next().unwrap(), arguments.next().unwrap(), arguments.next().unwrap());
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\nlog.dirs={dir}\noffsets.topic.replication.factor=1\n\
         num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n{}",
        arguments.collect::<Vec<_>>().join("\n")
    );
    let layers = Layers::new(Properties::parse(&text).unwrap().settings());
    let outcome = ottla_env::task::run(None, async move {
        let began = ottla_env::time::now();
        let options = StartOptions {
            layers,
            disk: Arc::new(RealDisk::default()),
            random: Arc::new(OsRandom::new().unwrap()),
            loggers: Loggers::default(),
        };
        let mut node = match start(options).await {
            Ok(node) => node,
            Err(error) => {
                eprintln!("{error}");
                return;
            }
        };
        eprintln!("serving {:?} after {:?}", node.addresses(), began.elapsed());
        let mut signals = ottla_env::task::Signals::listen().unwrap();
        ottla_env::task::select! {
            biased;
            _ = signals.stop() => {}
            reason = node.failed() => eprintln!("failed: {reason}"),
        }
        node.stop().await;
        eprintln!("stopped");
    });
    outcome.unwrap();
}
