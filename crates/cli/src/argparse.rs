//! Command lines with subcommands, as Kafka's tools on argparse4j take them.
//!
//! Owns: the reading of such a command line, and the words of its usage, help and errors.
//! Does not own: the flags (each tool declares its own), what a command does.
//!
//! Flags may be shortened as long as they stay unique (`--rel 4.0`), so may commands; a value stands behind its flag,
//! behind `=` or right behind a short flag (`-cFILE`); short flags without a value may be joined (`-gs`).
//! Lines are filled to 75 columns, and a line that is wrapped is stretched to that width, as argparse4j does it.
//!
//! A program may have flags of its own; they stand before the command.
//!
//! Source: behaviour of tools of Kafka 4.3.1 (`tests/data/storage.txt`, `tests/data/refused.txt`).

mod near;
mod reader;
pub mod single;
mod text;

use std::collections::BTreeSet;
use std::fmt;

use reader::{Read, Reader};
use text::{help_entry, usage_lines, wrapped};

/// A program with its commands.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    pub about: &'static str,
    /// What stands before the command.
    pub flags: &'static [Flag],
    pub commands: &'static [Subcommand],
}

/// One command of a program.
#[derive(Debug)]
pub struct Subcommand {
    pub name: &'static str,
    pub about: &'static str,
    pub flags: &'static [Flag],
}

/// One flag of a program or a command.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without its dashes.
    pub long: &'static str,
    pub short: Option<char>,
    pub takes: Takes,
    pub presence: Presence,
    pub about: &'static str,
}

/// What goes with a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Value,
    /// A whole number of 32 bits.
    Number,
}

/// Whether a flag must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Optional,
    Required,
    /// Of all flags of this kind only one may be there.
    AtMostOne,
    /// Of all flags of this kind one must be there, and no other.
    ExactlyOne,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// `--help`, with the text to print.
    Help(String),
    Command(Arguments),
}

/// The flags that were given, those of the program and those of the command.
#[derive(Debug)]
pub struct Arguments {
    pub command: &'static str,
    given: Vec<(&'static Flag, Option<String>)>,
}

/// A command line that is refused, in the words for standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    program: &'static str,
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

    /// The value of a flag that takes a number.
    pub fn number(&self, long: &'static str) -> Option<i32> {
        // The reader has refused what is none.
        self.value(long)?.parse().ok()
    }

    /// All values of the flag, in order.
    pub fn values(&self, long: &'static str) -> impl Iterator<Item = &str> {
        let named = self.given.iter().filter(move |(flag, _)| flag.long == long);
        named.filter_map(|(_, value)| value.as_deref())
    }
}

impl UsageError {
    /// What is wrong, on one line.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for UsageError {
    /// Ends without a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The line end counts as a column.
        let message = wrapped(&format!("{}: error: {}\n", self.program, self.message), 0, 0);
        write!(f, "{}\n{}", self.usage, message.trim_end())?;
        if !self.candidates.is_empty() {
            write!(f, "\n\nDid you mean:")?;
        }
        self.candidates.iter().try_for_each(|candidate| write!(f, "\n\t{candidate}"))
    }
}

impl Takes {
    const fn a_value(self) -> bool {
        matches!(self, Takes::Value | Takes::Number)
    }
}

impl Presence {
    const fn is_exclusive(self) -> bool {
        matches!(self, Presence::AtMostOne | Presence::ExactlyOne)
    }

    const fn is_needed(self) -> bool {
        matches!(self, Presence::Required | Presence::ExactlyOne)
    }
}

impl Flag {
    /// An optional flag without a value.
    pub const fn nothing(long: &'static str, about: &'static str) -> Flag {
        Flag { long, short: None, takes: Takes::Nothing, presence: Presence::Optional, about }
    }

    /// An optional flag with a value.
    pub const fn value(long: &'static str, about: &'static str) -> Flag {
        Flag { takes: Takes::Value, ..Flag::nothing(long, about) }
    }

    /// An optional flag with a number.
    pub const fn number(long: &'static str, about: &'static str) -> Flag {
        Flag { takes: Takes::Number, ..Flag::nothing(long, about) }
    }

    /// The flag with a short name besides.
    pub const fn short(self, short: char) -> Flag {
        Flag { short: Some(short), ..self }
    }

    /// The flag where it is not optional.
    pub const fn presence(self, presence: Presence) -> Flag {
        Flag { presence, ..self }
    }

    /// `--config/-c`
    fn name(&self) -> String {
        match self.short {
            Some(short) => format!("--{}/-{short}", self.long),
            None => format!("--{}", self.long),
        }
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

    /// `--config CONFIG, -c CONFIG`
    fn title(&self) -> String {
        match self.short {
            Some(short) => format!("{}, -{short}{}", self.syntax(), self.placeholder()),
            None => self.syntax(),
        }
    }
}

/// The parts of a usage line for these flags: single ones in order, then those that exclude each other.
fn usage_parts<'a>(flags: impl Iterator<Item = &'a Flag> + Clone) -> Vec<String> {
    let mut parts = Vec::new();
    for flag in flags.clone().filter(|flag| !flag.presence.is_exclusive()) {
        parts.push(if flag.presence.is_needed() { flag.syntax() } else { format!("[{}]", flag.syntax()) });
    }
    let exclusive: Vec<_> = flags.filter(|flag| flag.presence.is_exclusive()).collect();
    for (at, flag) in exclusive.iter().enumerate() {
        let (open, close) = if flag.presence.is_needed() { ("(", ")") } else { ("[", "]") };
        let open = if at == 0 { open } else { "" };
        let close = if at + 1 == exclusive.len() { close } else { "" };
        parts.push(format!("{open}{}{close}", flag.syntax()));
        if at + 1 < exclusive.len() {
            parts.push("|".to_owned());
        }
    }
    parts
}

impl Program {
    /// Reads the arguments behind the program's name.
    pub fn parse(&'static self, args: &[String]) -> Result<Parsed, UsageError> {
        let mut reader = Reader::new(self.usage_error(), self.flags, args);
        let name = loop {
            match reader.next() {
                Some(arg) if reader::is_flag(arg) => {
                    if reader.flag(arg)? == Read::Help {
                        return Ok(Parsed::Help(self.help()));
                    }
                }
                Some(arg) => break arg,
                None => return Err(self.refused("too few arguments")),
            }
        };
        let command = self.command(name)?;
        let mut inner = Reader::new(command.usage_error(self), command.flags, reader.rest());
        while let Some(arg) = inner.next() {
            if !reader::is_flag(arg) {
                return Err(inner.unexpected(arg));
            }
            if inner.flag(arg)? == Read::Help {
                return Ok(Parsed::Help(command.help(self)));
            }
        }
        let given = reader.finish_after(inner)?;
        Ok(Parsed::Command(Arguments { command: command.name, given }))
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
        let mut parts = vec!["[-h]".to_owned()];
        parts.extend(usage_parts(self.flags.iter()));
        parts.extend([self.choices(), "...".to_owned()]);
        usage_lines(self.name, parts)
    }

    /// `{info,format}`
    fn choices(&self) -> String {
        let names: Vec<_> = self.commands.iter().map(|command| command.name).collect();
        format!("{{{}}}", names.join(","))
    }

    /// An error about what stands before the command, without its message.
    fn usage_error(&self) -> UsageError {
        let (message, candidates) = (String::new(), Vec::new());
        UsageError { program: self.name, usage: self.usage(), message, candidates }
    }

    fn refused(&self, message: &str) -> UsageError {
        UsageError { message: message.to_owned(), ..self.usage_error() }
    }

    fn help(&self) -> String {
        let mut help = format!("{}\n\n{}\n\npositional arguments:\n", self.usage(), self.about);
        help.push_str(&help_entry(&self.choices(), ""));
        for command in self.commands {
            help.push_str(&help_entry(&format!("  {}", command.name), command.about));
        }
        help.push_str(&flags_help(self.flags));
        help
    }
}

fn flags_help(flags: &[Flag]) -> String {
    let mut help = "\noptional arguments:\n".to_owned();
    help.push_str(&help_entry("-h, --help", "show this help message and exit"));
    for flag in flags {
        help.push_str(&help_entry(&flag.title(), flag.about));
    }
    help
}

impl Subcommand {
    fn usage(&self, program: &Program) -> String {
        let mut parts = usage_parts(program.flags.iter().filter(|flag| flag.presence.is_needed()));
        parts.extend([self.name.to_owned(), "[-h]".to_owned()]);
        parts.extend(usage_parts(self.flags.iter()));
        usage_lines(program.name, parts)
    }

    fn usage_error(&self, program: &Program) -> UsageError {
        UsageError { usage: self.usage(program), ..program.usage_error() }
    }

    fn help(&self, program: &Program) -> String {
        format!("{}\n{}", self.usage(program), flags_help(self.flags))
    }
}
