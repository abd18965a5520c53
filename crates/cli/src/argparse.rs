//! Command lines with subcommands, as Kafka's tools on argparse4j take them.
//!
//! Owns: the reading of such a command line, and the words of its usage, help and errors.
//! Does not own: the flags (each tool declares its own), what a command does.
//!
//! Flags may be shortened as long as they stay unique (`--rel 4.0`), so may commands; a value stands behind its flag,
//! behind `=` or right behind a short flag (`-cFILE`); short flags without a value may be joined (`-gs`).
//! Lines are filled to 75 columns, and a line that is wrapped is stretched to that width, as argparse4j does it.
//!
//! Source: behaviour of `kafka-storage` of Kafka 4.3.1 (`tests/data/storage.txt`).

mod text;

use std::collections::BTreeSet;
use std::fmt;

use text::{help_entry, usage_lines, wrapped};

/// A program with its commands.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    pub about: &'static str,
    pub commands: &'static [Subcommand],
}

/// One command of a program.
#[derive(Debug)]
pub struct Subcommand {
    pub name: &'static str,
    pub about: &'static str,
    pub flags: &'static [Flag],
}

/// One flag of a command.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without its dashes.
    pub long: &'static str,
    pub short: char,
    pub takes: Takes,
    pub about: &'static str,
}

/// What goes with a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A value; the flag must be there.
    RequiredValue,
    /// A value.
    Value,
    /// Nothing.
    Nothing,
    /// Nothing; of all flags that exclude each other only one may be there.
    NothingExclusive,
    /// A value; of all flags that exclude each other only one may be there.
    ValueExclusive,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// `--help`, with the text to print.
    Help(String),
    Command(Arguments),
}

/// The flags that were given to a command.
#[derive(Debug)]
pub struct Arguments {
    pub command: &'static str,
    given: Vec<(&'static Flag, Option<String>)>,
}

/// A command line that is refused, in the words for standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    usage: String,
    message: String,
    candidates: Vec<String>,
}

impl Arguments {
    /// Whether the flag was given.
    pub fn has(&self, long: &str) -> bool {
        self.given.iter().any(|(flag, _)| flag.long == long)
    }

    /// The value of the flag; the last one counts.
    pub fn value(&self, long: &'static str) -> Option<&str> {
        self.values(long).last()
    }

    /// All values of the flag, in order.
    pub fn values(&self, long: &'static str) -> impl Iterator<Item = &str> {
        let named = self.given.iter().filter(move |(flag, _)| flag.long == long);
        named.filter_map(|(_, value)| value.as_deref())
    }
}

impl fmt::Display for UsageError {
    /// Ends without a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.usage, self.message)?;
        if !self.candidates.is_empty() {
            write!(f, "\n\nDid you mean:")?;
        }
        self.candidates.iter().try_for_each(|candidate| write!(f, "\n\t{candidate}"))
    }
}

impl Takes {
    const fn a_value(self) -> bool {
        matches!(self, Takes::RequiredValue | Takes::Value | Takes::ValueExclusive)
    }

    const fn is_exclusive(self) -> bool {
        matches!(self, Takes::NothingExclusive | Takes::ValueExclusive)
    }
}

impl Flag {
    /// `--config/-c`
    fn name(&self) -> String {
        format!("--{}/-{}", self.long, self.short)
    }

    /// `--config CONFIG`
    fn syntax(&self) -> String {
        format!("--{}{}", self.long, self.placeholder())
    }

    fn placeholder(&self) -> String {
        if self.takes.a_value() {
            format!(" {}", self.long.to_uppercase().replace('-', "_"))
        } else {
            String::new()
        }
    }
}

impl Program {
    /// Reads the arguments behind the program's name.
    pub fn parse(&'static self, args: &[String]) -> Result<Parsed, UsageError> {
        let Some((first, rest)) = args.split_first() else { return Err(self.refused("too few arguments")) };
        if matches!(first.as_str(), "-h" | "--help" | "--h" | "--he" | "--hel") {
            return Ok(Parsed::Help(self.help()));
        }
        if is_flag(first) {
            let error = self.refused(&format!("unrecognized arguments: '{first}'"));
            return Err(error.with_candidates(first, &["--help"]));
        }
        self.command(first)?.parse(self.name, rest)
    }

    fn command(&'static self, name: &str) -> Result<&'static Subcommand, UsageError> {
        if let Some(command) = self.commands.iter().find(|command| command.name == name) {
            return Ok(command);
        }
        let begins_so: BTreeSet<_> = self
            .commands
            .iter()
            .map(|command| command.name)
            .filter(|known| known.starts_with(name))
            .collect();
        let mut found = self.commands.iter().filter(|command| command.name.starts_with(name));
        match (found.next(), found.next()) {
            (Some(command), None) => Ok(command),
            (Some(_), Some(_)) => {
                let names: Vec<_> = begins_so.into_iter().collect();
                Err(self.refused(&format!("ambiguous command: {name} could match {}", names.join(", "))))
            }
            (None, _) => {
                let names: Vec<_> = self.commands.iter().map(|command| command.name).collect();
                let choices: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
                let message = format!("invalid choice: '{name}' (choose from {})", choices.join(", "));
                Err(self.refused(&message).with_candidates(name, &names))
            }
        }
    }

    fn usage(&self) -> String {
        usage_lines(self.name, ["[-h]".to_owned(), self.choices(), "...".to_owned()])
    }

    /// `{info,format}`
    fn choices(&self) -> String {
        let names: Vec<_> = self.commands.iter().map(|command| command.name).collect();
        format!("{{{}}}", names.join(","))
    }

    fn refused(&self, message: &str) -> UsageError {
        let message = wrapped(&format!("{}: error: {message}", self.name), 0, 0);
        UsageError { usage: self.usage(), message, candidates: Vec::new() }
    }

    fn help(&self) -> String {
        let mut help = format!("{}\n\n{}\n\npositional arguments:\n", self.usage(), self.about);
        help.push_str(&help_entry(&self.choices(), ""));
        for command in self.commands {
            help.push_str(&help_entry(&format!("  {}", command.name), command.about));
        }
        help.push_str("\noptional arguments:\n");
        help.push_str(&help_entry("-h, --help", HELP_ABOUT));
        help
    }
}

const HELP_ABOUT: &str = "show this help message and exit";

impl Subcommand {
    fn parse(&'static self, program: &str, args: &[String]) -> Result<Parsed, UsageError> {
        let mut reader = CommandReader { program, command: self, rest: args, given: Vec::new() };
        while let Some(arg) = reader.next() {
            if !is_flag(arg) {
                let rest: Vec<_> =
                    std::iter::once(arg).chain(reader.rest.iter().map(String::as_str)).collect();
                return Err(reader.refused(&format!("unrecognized arguments: '{}'", rest.join(" "))));
            }
            if reader.flag(arg)? == Read::Help {
                return Ok(Parsed::Help(self.help(program)));
            }
        }
        let missing = |flag: &&Flag| {
            flag.takes == Takes::RequiredValue && !reader.given.iter().any(|(given, _)| given == flag)
        };
        // Of several that are missing, argparse4j names the last.
        if let Some(flag) = self.flags.iter().rfind(missing) {
            return Err(reader.refused(&format!("argument {} is required", flag.name())));
        }
        Ok(Parsed::Command(Arguments { command: self.name, given: reader.given }))
    }

    fn usage(&self, program: &str) -> String {
        let mut parts = vec![self.name.to_owned(), "[-h]".to_owned()];
        for flag in self.flags.iter().filter(|flag| !flag.takes.is_exclusive()) {
            parts.push(match flag.takes {
                Takes::RequiredValue => flag.syntax(),
                Takes::Value | Takes::Nothing | Takes::NothingExclusive | Takes::ValueExclusive => {
                    format!("[{}]", flag.syntax())
                }
            });
        }
        let exclusive: Vec<_> = self.flags.iter().filter(|flag| flag.takes.is_exclusive()).collect();
        for (at, flag) in exclusive.iter().enumerate() {
            let (open, close) =
                (if at == 0 { "[" } else { "" }, if at + 1 == exclusive.len() { "]" } else { "" });
            parts.push(format!("{open}{}{close}", flag.syntax()));
            if at + 1 < exclusive.len() {
                parts.push("|".to_owned());
            }
        }
        usage_lines(program, parts)
    }

    fn help(&self, program: &str) -> String {
        let mut help = format!("{}\n\noptional arguments:\n", self.usage(program));
        help.push_str(&help_entry("-h, --help", HELP_ABOUT));
        for flag in self.flags {
            let title =
                format!("--{}{}, -{}{}", flag.long, flag.placeholder(), flag.short, flag.placeholder());
            help.push_str(&help_entry(&title, flag.about));
        }
        help
    }
}

/// What a flag turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Flag,
    Help,
}

/// What a name stands for.
enum Resolved {
    Flag(&'static Flag),
    Help,
    Unknown,
}

/// The arguments of one command while they are read.
struct CommandReader<'a> {
    program: &'a str,
    command: &'static Subcommand,
    rest: &'a [String],
    given: Vec<(&'static Flag, Option<String>)>,
}

impl<'a> CommandReader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn flag(&mut self, term: &str) -> Result<Read, UsageError> {
        let (name, value) = match term.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (term, None),
        };
        match self.resolve(name)? {
            Resolved::Help => Ok(Read::Help),
            Resolved::Flag(flag) => self.take(flag, value).map(|()| Read::Flag),
            Resolved::Unknown => self.joined(term),
        }
    }

    /// The flag with this name, or with a name that begins so.
    fn resolve(&self, name: &str) -> Result<Resolved, UsageError> {
        let matches = |known: &str| known.starts_with(name);
        let mut found: Vec<(String, Resolved)> = Vec::new();
        for flag in self.command.flags {
            for known in [format!("--{}", flag.long), format!("-{}", flag.short)] {
                if known == name {
                    return Ok(Resolved::Flag(flag));
                }
                if matches(&known) {
                    found.push((known, Resolved::Flag(flag)));
                }
            }
        }
        for known in ["-h", "--help"] {
            if known == name {
                return Ok(Resolved::Help);
            }
            if matches(known) {
                found.push((known.to_owned(), Resolved::Help));
            }
        }
        if found.len() > 1 {
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("ambiguous option: {name} could match {}", names.join(", "));
            return Err(self.refused(&message));
        }
        Ok(found.pop().map_or(Resolved::Unknown, |(_, resolved)| resolved))
    }

    /// Short flags one behind the other, the last one perhaps with its value: `-gc/etc/server.properties`.
    fn joined(&mut self, term: &str) -> Result<Read, UsageError> {
        let Some(letters) = term.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else {
            return Err(self.unrecognized(term));
        };
        for (at, letter) in letters.char_indices() {
            if letter == 'h' {
                return Ok(Read::Help);
            }
            let Some(flag) = self.command.flags.iter().find(|flag| flag.short == letter) else {
                return Err(self.unrecognized(term));
            };
            let behind = letters.get(at + letter.len_utf8()..).filter(|behind| !behind.is_empty());
            if flag.takes.a_value() {
                return self.take(flag, behind).map(|()| Read::Flag);
            }
            self.take(flag, None)?;
        }
        Ok(Read::Flag)
    }

    fn take(&mut self, flag: &'static Flag, value: Option<&str>) -> Result<(), UsageError> {
        let rival = self.given.iter().find(|(given, _)| given.takes.is_exclusive() && *given != flag);
        if let Some((rival, _)) = rival.filter(|_| flag.takes.is_exclusive()) {
            let message = format!("argument {}: not allowed with argument {}", flag.name(), rival.name());
            return Err(self.refused(&message));
        }
        let value = match (flag.takes.a_value(), value) {
            (false, None) => None,
            (false, Some(value)) => {
                let message = format!("argument {}: ignore implicit argument '{value}'", flag.name());
                return Err(self.refused(&message));
            }
            (true, Some(value)) => Some(value.to_owned()),
            (true, None) => match self.rest.first().filter(|next| !is_flag(next)) {
                Some(_) => self.next().map(str::to_owned),
                None => return Err(self.refused(&format!("argument {}: expected one argument", flag.name()))),
            },
        };
        self.given.push((flag, value));
        Ok(())
    }

    fn unrecognized(&self, term: &str) -> UsageError {
        let known: Vec<_> = self.command.flags.iter().map(|flag| format!("--{}", flag.long)).collect();
        let known: Vec<_> = ["--help"].into_iter().chain(known.iter().map(String::as_str)).collect();
        self.refused(&format!("unrecognized arguments: '{term}'")).with_candidates(term, &known)
    }

    fn refused(&self, message: &str) -> UsageError {
        let message = wrapped(&format!("{}: error: {message}", self.program), 0, 0);
        UsageError { usage: self.command.usage(self.program), message, candidates: Vec::new() }
    }
}

impl UsageError {
    /// Adds the known names that are nearest to what was typed, if any is near enough.
    fn with_candidates(mut self, typed: &str, known: &[&str]) -> UsageError {
        let plain = |text: &str| text.trim_start_matches('-').to_owned();
        let typed = plain(typed);
        if typed.chars().count() < 2 {
            return self;
        }
        let far =
            |known: &str| if plain(known).starts_with(&typed) { 0 } else { distance(&typed, &plain(known)) };
        let mut near: Vec<(u32, &str)> = known.iter().map(|known| (far(known), *known)).collect();
        near.sort_unstable();
        let Some((least, _)) = near.first().copied().filter(|(least, _)| *least < FAR) else { return self };
        self.candidates =
            near.into_iter().filter(|(far, _)| *far == least).map(|(_, name)| name.to_owned()).collect();
        self
    }
}

/// From this distance on two names have nothing to do with each other.
const FAR: u32 = 7;

/// How far apart two names are: the cheapest way from one to the other, where a swap of neighbours is free, an added
/// letter costs 1, another letter 2 and a left-out one 3 (the prices of git's "did you mean").
fn distance(from: &str, to: &str) -> u32 {
    const SWAP: u32 = 0;
    const ADD: u32 = 1;
    const REPLACE: u32 = 2;
    const DROP: u32 = 3;
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Row i holds the prices from the first i letters of `from` to every beginning of `to`.
    let mut rows: Vec<Vec<u32>> = vec![(0..).take(to.len() + 1).collect()];
    for (i, typed) in from.iter().enumerate() {
        let above = &rows[i];
        let mut row = vec![above[0] + 1];
        for (j, known) in to.iter().enumerate() {
            let replaced = above[j] + if typed == known { 0 } else { REPLACE };
            let mut least = replaced.min(above[j + 1] + DROP).min(row[j] + ADD);
            if i > 0 && j > 0 && typed != known && from[i - 1] == *known && *typed == to[j - 1] {
                least = least.min(rows[i - 1][j - 1] + SWAP);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

/// Whether the argument is a flag; a negative number is a value.
fn is_flag(arg: &str) -> bool {
    let Some(body) = arg.strip_prefix('-').filter(|body| !body.is_empty()) else { return false };
    !body.bytes().all(|byte| byte.is_ascii_digit())
}
