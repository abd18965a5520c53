//! Transcripts of Kafka's tools: reading them, running their commands, comparing.
//!
//! A transcript has blocks of this form; lines of standard error begin with `2> `, of standard input with `< `:
//!
//! ```text
//! $ kafka-topics.sh --list
//! output
//! 2> errors
//! [exit 0]
//! ```
//!
//! What the recording cut out (`[option table cut]`, `[stack trace cut]`) is cut out of our output too.

use std::io::Write;
use std::process::{Command, Stdio};

/// One command and what it printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub command: String,
    pub input: String,
    pub seen: Seen,
}

/// What a command printed, line by line, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub out: Vec<String>,
    pub err: Vec<String>,
    pub exit: Option<i32>,
}

/// Reads the blocks of a transcript.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            blocks.push(Block { command: command.to_owned(), ..Block::default() });
        } else if let Some(block) = blocks.last_mut().filter(|block| block.seen.exit.is_none()) {
            if let Some(input) = line.strip_prefix("< ") {
                block.input.push_str(&format!("{}\n", input.replace("\\t", "\t")));
            } else if let Some(error) = line.strip_prefix("2> ").or(line.strip_prefix("2>")) {
                block.seen.err.push(error.to_owned());
            } else if let Some(exit) = line.strip_prefix("[exit ") {
                block.seen.exit = exit.trim_end_matches(']').parse().ok();
            } else {
                block.seen.out.push(line.to_owned());
            }
        }
    }
    blocks.retain(|block| block.seen.exit.is_some());
    blocks
}

/// The words of a command line, as a shell makes them.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// Runs a command of ours by the name of Kafka's script.
pub fn run(command: &str, input: &str) -> Seen {
    let args = words(command);
    let mut process = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A tool that does not read its input closes the pipe.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    let output = process.wait_with_output().unwrap();
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    Seen { out: lines(&output.stdout), err: lines(&output.stderr), exit: output.status.code() }
}

/// What is compared: without what the recording cut out, without times, and without lines that only log that a
/// connection is being tried again.
pub fn comparable(seen: &Seen) -> Seen {
    Seen { out: kept(&seen.out), err: kept(&seen.err), exit: seen.exit }
}

fn kept(lines: &[String]) -> Vec<String> {
    let begins_table = |line: &&String| line.starts_with("Option  ") || line.starts_with("Option (");
    let table = lines.iter().position(|line| begins_table(&line) || line == "[option table cut]");
    let lines = &lines[..table.unwrap_or(lines.len())];
    // Below its usage, a help text is in our own words.
    let is_help = lines.iter().any(|line| line == "optional arguments:");
    let below = lines.iter().position(|line| is_help && line.is_empty());
    let lines = &lines[..below.unwrap_or(lines.len())];
    let mut kept: Vec<String> =
        lines.iter().filter(|line| !is_cut(line)).map(|line| in_any_order(&without_times(line))).collect();
    while kept.last().is_some_and(String::is_empty) {
        kept.pop();
    }
    kept
}

/// Advice of the Java client about a protocol that this client does not speak yet.
const ADVICE: &str = "The consumer rebalance protocol (KIP-848) is production-ready!";

fn is_cut(line: &str) -> bool {
    line.contains("[stack trace cut]")
        || line.contains("] WARN ")
        || line.contains("such WARN lines cut]")
        || line == "[no newline at end]"
        || line == "[help cut]"
        || line.starts_with(ADVICE)
}

/// Lists that Kafka's tools print in an order of chance.
const LISTS: [&str; 4] = [
    " takes one of these options: ",
    " takes the following options: ",
    "requires one of the following scenarios: ",
    "Valid states are: ",
];

fn in_any_order(line: &str) -> String {
    let Some((list, at)) = LISTS.iter().find_map(|list| Some((list, line.find(list)?))) else {
        return line.to_owned();
    };
    let (before, names) = line.split_at(at + list.len());
    let mut names: Vec<&str> = names.trim_matches(['[', ']']).split(", ").collect();
    names.iter_mut().for_each(|name| *name = name.trim_matches(['[', ']']));
    names.sort_unstable();
    format!("{before}{}", names.join(", "))
}

/// Replaces what differs from run to run: times, ids of topics, groups that a tool made up.
fn without_times(line: &str) -> String {
    let mut text = line.to_owned();
    if text.starts_with("[20")
        && let Some(end) = text.find(']')
    {
        text.replace_range(..=end, "[TIME]");
    }
    for marker in ["TopicId: ", "CreateTime:"] {
        if let Some(at) = text.find(marker).map(|at| at + marker.len()) {
            let end = text[at..].find('\t').map_or(text.len(), |end| at + end);
            text.replace_range(at..end, "X");
        }
    }
    for group in ["groupId=console-consumer-", "groupId=perf-consumer-"] {
        if let Some(at) = text.find(group).map(|at| at + group.len()) {
            let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
            text.replace_range(at..at + digits, "X");
        }
    }
    text
}
