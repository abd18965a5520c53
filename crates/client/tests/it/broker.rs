//! The broker under test, and names that no other test has.

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_client::admin::{
    Admin, ConfigChange, ConfigEntry, ConfigResource, DescribeConfigsOptions, Layout, NewTopic,
    PARTITIONS_PER_ANSWER, ResourceKind,
};
use ottla_client::config::AdminConfig;
use ottla_env::task;

/// Questions for a topic before it is given up; each takes a round trip.
pub const QUESTIONS_MAX: u32 = 10_000;

/// Runs `test` against a broker: the one that `OTTLA_TEST_BOOTSTRAP` names, or a node of its own where the binary was built
/// (`cargo test --workspace` builds it). Says loudly when it did not run.
pub fn against_broker<F: Future<Output = ()>>(test: impl FnOnce(Broker) -> F) {
    if let Ok(bootstrap) = std::env::var("OTTLA_TEST_BOOTSTRAP") {
        return task::block_on(test(Broker { bootstrap })).unwrap();
    }
    let Some(binary) = binary() else {
        // Straight to the descriptor: the test harness hides what goes through the macros.
        let text =
            "NOT RUN: no broker to test against: build the binary, or set OTTLA_TEST_BOOTSTRAP=host:port\n";
        return std::io::stderr().write_all(text.as_bytes()).unwrap();
    };
    let node = Node::start(&binary);
    task::block_on(test(Broker { bootstrap: node.bootstrap.clone() })).unwrap();
}

/// The binary, two folders above this test as cargo lays them.
fn binary() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    Some(test.parent()?.parent()?.join("ottla")).filter(|binary| binary.is_file())
}

/// A node for one test, on a directory of its own.
struct Node {
    child: Child,
    directory: PathBuf,
    bootstrap: String,
}

impl Node {
    fn start(binary: &Path) -> Node {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("client"));
        std::fs::create_dir_all(&directory).unwrap();
        let listeners = "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:0\nlisteners={listeners}\n\
             advertised.listeners={listeners}\nlog.dirs={}\noffsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=2\ngroup.initial.rebalance.delay.ms=0\n",
            directory.join("data").display()
        );
        let properties = directory.join("server.properties");
        std::fs::write(&properties, text).unwrap();
        let mut command = Command::new(binary);
        command.arg("server").arg(properties).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let listening = "listening listener=PLAINTEXT address=";
        let line = lines.find(|line| line.contains(listening)).expect("the node starts");
        let (_, address) = line.split_once(listening).unwrap();
        let bootstrap = address.split(' ').next().unwrap().to_owned();
        // Somebody has to read on, or the node would wait for room in the pipe.
        std::thread::spawn(move || lines.count());
        Node { child, directory, bootstrap }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It ends with the test, however that ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub struct Broker {
    pub bootstrap: String,
}

impl Broker {
    pub fn admin(&self) -> Admin {
        Admin::new(AdminConfig::new(&self.bootstrap).unwrap()).unwrap()
    }

    /// Creates a topic with a name of its own.
    pub async fn topic(&self, what: &str, partitions: i32) -> String {
        let name = unique(what);
        self.create(&name, partitions).await;
        name
    }

    /// Creates a topic.
    pub async fn create(&self, name: &str, partitions: i32) {
        let layout = Layout::Counts { partitions: Some(partitions), replication_factor: Some(1) };
        let topic = NewTopic { name: name.to_owned(), layout, ..NewTopic::default() };
        let outcomes = self.admin().create_topics(&[topic], false).await.unwrap();
        outcomes[0].1.as_ref().unwrap();
        self.wait_for_topic(name).await;
    }

    /// Sets one key of a topic and waits until its broker follows it.
    pub async fn set_config(&self, topic: &str, key: &str, value: &str) {
        let resource = ConfigResource::new(ResourceKind::Topic, topic);
        let change = vec![(key.to_owned(), ConfigChange::Set(value.to_owned()))];
        let altered = self.admin().alter_configs(&[(resource.clone(), change)], false).await.unwrap();
        assert_eq!(altered[0].1, Ok(()));
        self.config_when(&resource, key, |entry| entry.value.as_deref() == Some(value)).await;
    }

    /// Asks for one key until the broker's answer is as expected: what a controller took reaches brokers later.
    pub async fn config_when(
        &self,
        resource: &ConfigResource,
        key: &str,
        expected: impl Fn(&ConfigEntry) -> bool,
    ) -> ConfigEntry {
        let admin = self.admin();
        let options = DescribeConfigsOptions { synonyms: true, documentation: false };
        for _ in 0..QUESTIONS_MAX {
            let described = admin.describe_configs(std::slice::from_ref(resource), options).await.unwrap();
            let entries = described[0].1.as_ref().unwrap();
            if let Some(entry) = entries.iter().find(|entry| entry.name == key && expected(entry)) {
                return entry.clone();
            }
        }
        panic!("{key} of {resource:?} does not change");
    }

    /// Asks until the broker itself knows the topic that its controller created.
    pub async fn wait_for_topic(&self, name: &str) {
        let admin = self.admin();
        for _ in 0..QUESTIONS_MAX {
            let described = admin.describe_topics(&[name.to_owned()], PARTITIONS_PER_ANSWER).await.unwrap();
            if let Ok(topic) = &described[0].1
                && topic.partitions.iter().all(|partition| partition.leader.is_some())
            {
                return;
            }
        }
        panic!("topic {name} does not appear");
    }
}

/// A name that neither another test nor another run has.
pub fn unique(what: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("it-{what}-{}-{nanos}", std::process::id())
}
