//! `cargo xtask bench client`: the client library and librdkafka on the same work, in turn, in one run.
//!
//! Owns: the order of rounds (A B B A), the clock, the processor time, the table. Does not own: the work
//! (`crates/client/examples/performance.rs`, librdkafka's `rdkafka_performance`), the node's life (`compat::node`).
//!
//! Both programs send to and read from one partition of a new topic, with the same settings: `acks=all`, idempotence,
//! `linger.ms=5`, the same `batch.size`, buffers of sockets as the system has them. Each counts every delivery and looks at every
//! record. Processor time is that of the program alone, user and system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::compat::node::Node;
use crate::compat::{build_binary, build_release, root};

pub const USAGE: &str =
    "bench client [--bootstrap HOST:PORT] [--rounds N] [--megabytes N] [--librdkafka FILE]";

/// Where the suite of librdkafka leaves its sources and libraries, below its cache; the program lies there once it is
/// made.
const BUILT_BY_SUITE: &str = "librdkafka-2.12.1/examples/rdkafka_performance";

/// Bytes of a record, and of a batch: the Java client's default and librdkafka's.
const WORK: [(u32, u32); 4] = [(100, 1_000_000), (1024, 1_000_000), (100, 16_384), (1024, 16_384)];

/// Ticks of the system's processor clock in a second; Linux has this number for programs, whatever it counts in.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the arguments ask for.
struct Plan {
    /// A broker that runs already; without it, a node of ours is started.
    bootstrap: Option<String>,
    rounds: u32,
    /// Bytes of values per run, in millions.
    megabytes: u32,
    librdkafka: PathBuf,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Plan, String> {
        let home = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
        let cache = std::env::var_os("CACHE").map_or_else(|| home.join(".cache/ottla-compat"), PathBuf::from);
        let mut plan =
            Plan { bootstrap: None, rounds: 2, megabytes: 300, librdkafka: cache.join(BUILT_BY_SUITE) };
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value; usage: {USAGE}"))?;
            let number = || value.parse().map_err(|_| format!("{flag} takes a number, not '{value}'"));
            match flag.as_str() {
                "--bootstrap" => plan.bootstrap = Some(value.clone()),
                "--rounds" => plan.rounds = number()?,
                "--megabytes" => plan.megabytes = number()?,
                "--librdkafka" => plan.librdkafka = PathBuf::from(value),
                unknown => return Err(format!("unknown flag {unknown}; usage: {USAGE}")),
            }
        }
        plan.make_librdkafka()?;
        Ok(plan)
    }

    /// The suite builds the library only; the program is made from it once.
    fn make_librdkafka(&self) -> Result<(), String> {
        let place = &self.librdkafka;
        let sources = place.parent().filter(|directory| directory.join("rdkafka_performance.c").exists());
        if let (false, Some(directory)) = (place.exists(), sources) {
            let made = Command::new("make").arg("-C").arg(directory).arg("rdkafka_performance").output();
            let made = made.map_err(|error| format!("cannot run make: {error}"))?;
            if !made.status.success() {
                return Err(format!("make failed: {}", String::from_utf8_lossy(&made.stderr)));
            }
        }
        match place.exists() {
            true => Ok(()),
            false => Err(format!(
                "there is no {}: `cargo xtask compat librdkafka` builds its library, or name one by --librdkafka",
                place.display()
            )),
        }
    }
}

/// Measures the client library as the arguments say.
pub fn run(arguments: &[String]) -> Result<(), String> {
    client(&Plan::parse(arguments)?)
}

fn client(plan: &Plan) -> Result<(), String> {
    let binary = build_binary()?;
    let example = build_release(&["--package", "ottla-client", "--example", "performance"])?
        .join("examples/performance");
    let mut node = None;
    let bootstrap = match &plan.bootstrap {
        Some(bootstrap) => bootstrap.clone(),
        None => {
            let settings = root().join("tests/bench/broker.properties");
            let started = Node::start(&binary, &settings, &root().join("target/bench"))?;
            let bootstrap = format!("127.0.0.1:{}", started.port);
            node = Some(started);
            bootstrap
        }
    };
    let stage = Stage { binary, bootstrap, programs: [example, plan.librdkafka.clone()] };
    let mut figures = Figures::default();
    for (bytes, batch) in WORK {
        let records = u64::from(plan.megabytes) * 1_000_000 / u64::from(bytes);
        let records =
            u32::try_from(records).map_err(|_| "--megabytes: that are too many records".to_owned())?;
        let records = records.max(1);
        for _ in 0..plan.rounds {
            for program in [Program::Ours, Program::Librdkafka, Program::Librdkafka, Program::Ours] {
                stage.round(program, Work { bytes, batch, records }, &mut figures)?;
            }
        }
    }
    figures.print();
    node.map_or(Ok(()), |mut node| node.stop())
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Ours,
    Librdkafka,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Produce,
    Consume,
}

#[derive(Clone, Copy)]
struct Work {
    bytes: u32,
    batch: u32,
    records: u32,
}

/// Where the programs run.
struct Stage {
    binary: PathBuf,
    bootstrap: String,
    /// Ours and librdkafka's.
    programs: [PathBuf; 2],
}

impl Stage {
    /// Sends to a new topic, reads it, deletes it.
    fn round(&self, program: Program, work: Work, figures: &mut Figures) -> Result<(), String> {
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        let topic = format!("bench-{nanos}");
        self.topics(&["--create", "--topic", &topic, "--partitions", "1", "--replication-factor", "1"])?;
        for verb in [Verb::Produce, Verb::Consume] {
            let mut command = match program {
                Program::Ours => self.ours(verb, &topic, work),
                Program::Librdkafka => self.librdkafka(verb, &topic, work),
            };
            let (rate, seconds) = measured(&mut command)?;
            let gigabytes = f64::from(work.records) * f64::from(work.bytes) / 1e9;
            figures.add((verb, work.bytes, work.batch, program), (rate, seconds / gigabytes));
            eprint!(".");
        }
        self.topics(&["--delete", "--topic", &topic])
    }

    fn topics(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(&self.binary);
        command.arg("kafka-topics").args(["--bootstrap-server", &self.bootstrap]).args(arguments);
        let output = command.output().map_err(|error| format!("cannot run kafka-topics: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("kafka-topics failed: {}", String::from_utf8_lossy(&output.stdout))),
        }
    }

    fn ours(&self, verb: Verb, topic: &str, work: Work) -> Command {
        let mut command = Command::new(&self.programs[0]);
        let (records, bytes) = (work.records.to_string(), work.bytes.to_string());
        match verb {
            Verb::Produce => command
                .args(["produce", &self.bootstrap, topic, &records, &bytes, "linger.ms=5"])
                .arg(format!("batch.size={}", work.batch)),
            Verb::Consume => command.args(["consume", &self.bootstrap, topic, &records]),
        };
        command.args(["receive.buffer.bytes=-1", "send.buffer.bytes=-1"]);
        command
    }

    fn librdkafka(&self, verb: Verb, topic: &str, work: Work) -> Command {
        let mut command = Command::new(&self.programs[1]);
        command.args(["-b", &self.bootstrap, "-t", topic, "-p", "0", "-c", &work.records.to_string()]);
        match verb {
            Verb::Produce => command
                .args(["-P", "-a", "-1", "-s", &work.bytes.to_string()])
                .args(["-X", "linger.ms=5", "-X", "enable.idempotence=true"])
                .args(["-X", "queue.buffering.max.messages=500000"])
                .args(["-X", &format!("batch.size={}", work.batch)]),
            Verb::Consume => command.args(["-C", "-o", "beginning"]),
        };
        command
    }
}

/// Records per second, and seconds of processor time.
fn measured(command: &mut Command) -> Result<(f64, f64), String> {
    let before = processor_ticks_of_children()?;
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let ticks = processor_ticks_of_children()? - before;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    match rate_in(&said) {
        Some(rate) if output.status.success() => Ok((rate, ticks / TICKS_PER_SECOND)),
        _ => Err(format!("{command:?} failed: {said}")),
    }
}

/// The last `N msgs/s` of a text: what the program measured itself, without its start and end.
fn rate_in(text: &str) -> Option<f64> {
    let before = &text[..text.rfind(" msgs/s")?];
    let digits = before.rsplit(|it: char| !it.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Processor time, user and system, of all processes that this one has waited for, in ticks.
fn processor_ticks_of_children() -> Result<f64, String> {
    let place = Path::new("/proc/self/stat");
    let text = std::fs::read_to_string(place).map_err(|error| format!("cannot read {place:?}: {error}"))?;
    // The name of the program, in brackets, may hold blanks.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let sum = ticks(13).zip(ticks(14)).map(|(user, system)| user + system);
    sum.ok_or_else(|| format!("{place:?} is not what it is on Linux: {text}"))
}

/// What was measured: records per second, and processor seconds per gigabyte of values.
#[derive(Default)]
struct Figures(BTreeMap<Row, Vec<Figure>>);

/// The verb, bytes of a record, bytes of a batch, who did it.
type Row = (Verb, u32, u32, Program);

/// Records per second, processor seconds per gigabyte.
type Figure = (f64, f64);

impl Figures {
    fn add(&mut self, row: Row, figure: Figure) {
        self.0.entry(row).or_default().push(figure);
    }

    fn print(&self) {
        println!("\n| Work | Client | records/s, least | median | most | s/GB, least | median | most |");
        println!("|---|---|---:|---:|---:|---:|---:|---:|");
        for ((verb, bytes, batch, program), figures) in &self.0 {
            let name = match program {
                Program::Ours => "ottla-client",
                Program::Librdkafka => "librdkafka",
            };
            let work = match verb {
                Verb::Produce => format!("produce {bytes} B, batches of {batch}"),
                Verb::Consume => format!("consume {bytes} B, batches of {batch}"),
            };
            let rates = spread(figures.iter().map(|(rate, _)| *rate));
            let costs = spread(figures.iter().map(|(_, cost)| *cost));
            let [least, median, most] = rates.map(|rate| format!("{rate:.0}"));
            let [low, middle, high] = costs.map(|cost| format!("{cost:.2}"));
            println!("| {work} | {name} | {least} | {median} | {most} | {low} | {middle} | {high} |");
        }
    }
}

/// The least, the median and the most. Of an even count, the median lies between the two in the middle.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let last = sorted.len().saturating_sub(1);
    [at(0), f64::midpoint(at(last / 2), at(sorted.len() / 2)), at(last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_least_median_and_most() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), [1.0, 2.0, 3.0]);
        assert_eq!(spread([7.0].into_iter()), [7.0, 7.0, 7.0]);
        assert_eq!(spread([4.0, 1.0].into_iter()), [1.0, 2.5, 4.0]);
        assert_eq!(spread([4.0, 1.0, 2.0, 3.0].into_iter()), [1.0, 2.5, 4.0]);
    }

    #[test]
    fn the_rate_is_the_last_that_a_program_tells() {
        assert_eq!(
            rate_in("% 5 in 2ms: 7 msgs/s and\n% 9 (1 bytes) 812345 msgs/s and 81.2 MB/s"),
            Some(812_345.0)
        );
        assert_eq!(rate_in("no rate"), None);
    }

    #[test]
    fn wrong_arguments_are_told_with_what_is_allowed() {
        let refused = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            run(&words).unwrap_err()
        };
        assert_eq!(refused(&["--rounds", "x"]), "--rounds takes a number, not 'x'");
        assert_eq!(refused(&["--rounds"]), format!("--rounds needs a value; usage: {USAGE}"));
        assert!(refused(&["--librdkafka", "/nowhere"]).contains("/nowhere: `cargo xtask compat"));
    }
}
