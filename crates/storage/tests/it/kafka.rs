//! One data directory, used in turn by Apache Kafka and by us.
//!
//! Needs Java and Kafka's jars in `libs/` below `$OTTLA_KAFKA_PEER` (default `~/.cache/kafka-4.3.1`). Where
//! they are missing the test says on standard error that it did not run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ottla_env::disk::RealDisk;
use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition};
use ottla_protocol::compression::Encoding;
use ottla_protocol::record::{BatchOptions, BatchProducer};
use ottla_storage::{FileCache, FoundLog, Log, LogConfig, LogDir, LogOptions, Report};

use crate::place::{TestDir, as_client, build, offset, partition, time};

/// Kafka's programs, and the directory a node of it works in.
pub struct Kafka {
    libs: String,
    pub dir: TestDir,
    port: u16,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Kafka {
    /// `None`, with a word about it, where Kafka is not installed.
    pub fn find() -> Option<Kafka> {
        let home = std::env::var_os("OTTLA_KAFKA_PEER").map(PathBuf::from).or_else(|| {
            let home = PathBuf::from(std::env::var_os("HOME")?);
            Some(home.join(".cache/kafka-4.3.1"))
        });
        let libs = home.map(|home| home.join("libs")).filter(|libs| libs.is_dir());
        let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
        let Some(libs) = libs.filter(|_| java.is_ok_and(|status| status.success())) else {
            // Not a print macro: the harness would swallow it.
            let text = "NOT RUN: storage against Apache Kafka 4.3.1 (no java, or no jars in $OTTLA_KAFKA_PEER/libs)\n";
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return None;
        };
        let (dir, port) = (TestDir::new("kafka"), free_port());
        let quorum = free_port();
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{quorum}\n\
             controller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{quorum}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n",
            dir.path.join("data").display()
        );
        std::fs::write(dir.path.join("server.properties"), properties).unwrap();
        let kafka = Kafka { libs: format!("{}/*", libs.display()), dir, port };
        let properties = kafka.path("server.properties");
        kafka.tool("kafka.tools.StorageTool", &["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", &properties]);
        Some(kafka)
    }

    /// Where its partitions lie.
    pub fn data(&self) -> PathBuf {
        self.dir.path.join("data")
    }

    /// Adds lines to its properties, before it is started.
    pub fn configure(&self, lines: &str) {
        let path = self.dir.path.join("server.properties");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + lines).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path.join(name).display().to_string()
    }

    fn java(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-cp", &self.libs, class]).args(arguments).stdin(Stdio::null());
        command
    }

    fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let output = self.java(class, arguments).stderr(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{class} {arguments:?}: {text}");
        text
    }

    pub fn start(&self) -> Child {
        let log = std::fs::File::create(self.dir.path.join("kafka.out")).unwrap();
        let logs = format!("-Dkafka.logs.dir={}", self.path("logs"));
        let mut command = Command::new("java");
        command.args(["-Xmx512m", &logs, "-cp", &self.libs, "kafka.Kafka", &self.path("server.properties")]);
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log).spawn().unwrap()
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until the node answers, and creates a topic with one partition.
    fn create_topic(&self, topic: &str) {
        let arguments = [
            "--bootstrap-server",
            &self.bootstrap(),
            "--create",
            "--topic",
            topic,
            "--config",
            "segment.bytes=1048576",
            "--config",
            "index.interval.bytes=500",
        ];
        self.tool("org.apache.kafka.tools.TopicCommand", &arguments);
    }

    /// A compacted topic with one partition, of which everything that may be is compacted at once.
    pub fn create_compacted(&self, topic: &str, delete_retention_ms: i64) {
        let retention = format!("delete.retention.ms={delete_retention_ms}");
        let bootstrap = self.bootstrap();
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--create", "--topic", topic];
        let configs = [
            "cleanup.policy=compact",
            "min.cleanable.dirty.ratio=0",
            "segment.bytes=1048576",
            "index.interval.bytes=200",
            &retention,
        ];
        arguments.extend(configs.iter().flat_map(|config| ["--config", config]));
        self.tool("org.apache.kafka.tools.TopicCommand", &arguments);
    }

    fn produce(&self, topic: &str, records: usize) {
        let (records, bootstrap) = (records.to_string(), format!("bootstrap.servers={}", self.bootstrap()));
        let arguments = [
            "--topic",
            topic,
            "--num-records",
            &records,
            "--record-size",
            "200",
            "--throughput",
            "-1",
            "--command-property",
            &bootstrap,
        ];
        self.tool("org.apache.kafka.tools.ProducerPerformance", &arguments);
    }

    fn consume(&self, topic: &str, records: usize) -> Vec<String> {
        let (records, bootstrap) = (records.to_string(), self.bootstrap());
        let arguments = [
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            topic,
            "--from-beginning",
            "--max-messages",
            &records,
            "--timeout-ms",
            "60000",
        ];
        let text = self.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments);
        text.lines().map(str::to_owned).collect()
    }

    /// How many records a reader of committed records gets until no more come.
    pub fn consume_committed(&self, topic: &str) -> usize {
        let bootstrap = self.bootstrap();
        let arguments = [
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            topic,
            "--from-beginning",
            "--isolation-level",
            "read_committed",
            "--timeout-ms",
            "10000",
        ];
        let output = self.java("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments);
        let output = { output }.stderr(Stdio::null()).output().unwrap();
        // The tool ends with words about the time that is over.
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().take_while(|line| !line.contains(" ERROR Error processing message")).count()
    }

    /// What Kafka reads in the files of a partition.
    pub fn dump(&self, directory: &str, ending: &str, flag: &str) -> String {
        let mut files: Vec<String> = std::fs::read_dir(self.dir.path.join("data").join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().path().display().to_string())
            .filter(|path| path.ends_with(ending))
            .collect();
        files.sort();
        self.tool("org.apache.kafka.tools.DumpLogSegments", &["--files", &files.join(","), flag])
    }

    fn log_dir(&self) -> LogDir {
        let files = FileCache::new(Arc::new(RealDisk), 100);
        let mut dir = LogDir::open(files, self.dir.path.join("data")).unwrap();
        assert!(dir.begin().unwrap().is_empty());
        dir
    }
}

pub fn stop(mut node: Child) {
    Command::new("kill").args(["-TERM", &node.id().to_string()]).status().unwrap();
    node.wait().unwrap();
}

fn kill(mut node: Child) {
    node.kill().unwrap();
    node.wait().unwrap();
}

/// All partitions of a directory but the quorum's.
fn open_all(dir: &LogDir) -> BTreeMap<TopicPartition, (Log, Report)> {
    let config = LogConfig { segment_bytes: 1 << 20, index_interval_bytes: 500, ..LogConfig::default() };
    let options = LogOptions { config: Arc::new(config), now: time(0), producer_expiration_ms: i64::MAX };
    let logs = dir.list().unwrap().logs;
    let ours = |found: &FoundLog| found.partition.topic.as_str() != "__cluster_metadata";
    logs.iter()
        .filter(|found| ours(found))
        .map(|found| (found.partition.clone(), dir.open_log(found, &options).unwrap()))
        .collect()
}

/// Appends records numbered from `first`, packed and plain, by an idempotent producer; returns their
/// values.
fn append(log: &mut Log, first: usize, batches: usize) -> Vec<String> {
    let mut written = Vec::new();
    for at in 0..batches {
        let values: Vec<String> =
            (0..7).map(|record| format!("ours-{}-{}", first + at * 7 + record, "y".repeat(150))).collect();
        let records: Vec<_> = values.iter().map(|value| (1_700_000_000_000, value.as_str())).collect();
        let encodings = [Encoding::None, Encoding::Snappy];
        let producer = BatchProducer {
            id: ProducerId::new(4_000_000).unwrap(),
            epoch: ProducerEpoch::ZERO,
            base_sequence: Sequence::new(i32::try_from(first + at * 7).unwrap()),
        };
        let encoding = encodings[at % encodings.len()];
        let options = BatchOptions { encoding, producer: Some(producer), ..BatchOptions::default() };
        let epoch = log.latest_epoch().map_or(0, |epoch| epoch.epoch.value());
        log.append_as_leader(&mut build(&records, options), &as_client(epoch)).unwrap();
        written.extend(values);
    }
    written
}

fn close_all(dir: LogDir, logs: BTreeMap<TopicPartition, (Log, Report)>) {
    let closed: Vec<_> = logs.into_iter().map(|(name, (log, _))| (name, log.close().unwrap())).collect();
    dir.write_recovery_points(closed.iter().map(|(name, closed)| (name, closed.log_end))).unwrap();
    dir.write_high_watermarks(closed.iter().map(|(name, closed)| (name, closed.log_end))).unwrap();
    let inside = closed.iter().filter(|(_, closed)| closed.log_start > closed.first_base);
    dir.write_log_starts(inside.map(|(name, closed)| (name, closed.log_start))).unwrap();
    dir.end(None).unwrap();
}

fn log_end(logs: &BTreeMap<TopicPartition, (Log, Report)>, topic: &str) -> Offset {
    logs[&partition(topic, 0)].0.log_end()
}

const THEIRS: usize = 20_000;

/// LOG-00, LOG-04, IDM-09: a directory of Kafka opens here and ours opens in Kafka, after clean stops and after
/// crashes of either.
#[test]
fn a_data_directory_goes_back_and_forth_between_kafka_and_us() {
    let Some(kafka) = Kafka::find() else { return };
    let node = kafka.start();
    kafka.create_topic("theirs");
    kafka.create_topic("ours");
    kafka.produce("theirs", THEIRS);
    stop(node);
    let before = kafka.dump("theirs-0", ".log", "--print-data-log");

    let dir = kafka.log_dir();
    assert!(dir.was_clean());
    let mut logs = open_all(&dir);
    assert_eq!(log_end(&logs, "theirs").value(), i64::try_from(THEIRS).unwrap());
    assert!(logs[&partition("theirs", 0)].0.segment_bases().count() > 3);
    assert!(logs.values().all(|(_, report)| report.cut.is_none()));
    let ours = &mut logs.get_mut(&partition("ours", 0)).unwrap().0;
    let mut values = append(ours, 0, 2500);
    assert!(ours.segment_bases().count() > 1);
    close_all(dir, logs);
    assert_eq!(kafka.dump("theirs-0", ".log", "--print-data-log"), before, "nothing was changed");
    for ending in [".index", ".timeindex"] {
        let found = kafka.dump("ours-0", ending, "--verify-index-only");
        assert!(!found.to_lowercase().contains("mismatch") && !found.contains("Found"), "{found}");
    }

    let node = kafka.start();
    assert_eq!(kafka.consume("ours", values.len()), values);
    kafka.produce("theirs", 100);
    kill(node);

    let dir = kafka.log_dir();
    assert!(!dir.was_clean());
    let mut logs = open_all(&dir);
    assert_eq!(log_end(&logs, "theirs"), offset(i64::try_from(THEIRS + 100).unwrap()));
    assert!(
        logs.values().all(|(_, report)| report.cut.is_none()),
        "Kafka's preallocated indexes are no batches"
    );
    let ours = &mut logs.get_mut(&partition("ours", 0)).unwrap().0;
    let first = values.len();
    values.extend(append(ours, first, 1500));
    let job = ours.flush_job().unwrap().unwrap();
    job.run().unwrap();
    ours.on_flushed(&job);
    let points: Vec<_> = logs.iter().map(|(name, (log, _))| (name.clone(), log.recovery_point())).collect();
    dir.write_recovery_points(points.iter().map(|(name, point)| (name, *point))).unwrap();
    // As if killed: nothing is closed, segments were rolled and their indexes never written.
    drop((logs, dir));

    let node = kafka.start();
    assert_eq!(kafka.consume("ours", values.len()), values);
    assert_eq!(kafka.consume("theirs", THEIRS + 100).len(), THEIRS + 100);
    stop(node);
    let dir = kafka.log_dir();
    let logs = open_all(&dir);
    assert_eq!(log_end(&logs, "ours"), offset(i64::try_from(values.len()).unwrap()));
    let producer = logs[&partition("ours", 0)].0.producer(ProducerId::new(4_000_000).unwrap()).unwrap();
    let last = producer.last_batch().unwrap().last_sequence.unwrap();
    assert_eq!(usize::try_from(last.value()).unwrap(), values.len() - 1);
}
