//! Command lines without subcommands, as Kafka's tools on argparse4j take them.
//!
//! Owns: the reading of such a command line, the types of its values, its usage, help and refusals.
//! Does not own: the layout of text (`text`), the flags (each tool declares its own), what they mean.
//!
//! Flags have long names, which may be shortened as long as they stay unique. A value stands behind its flag or behind
//! `=`; a negative whole number is a value, whatever else begins with a dash is a flag. Some flags stand in one group
//! of which at most one may be given, and exactly one if the group is required.
//!
//! Source: behaviour of `kafka-producer-perf-test` and `kafka-verifiable-producer` of Kafka 4.3.1
//! (`tests/data/perf-offline.txt`).

use std::fmt::Write as _;

use super::UsageError;
use super::reader::is_flag;
use super::text::{help_entry, usage_lines, wrapped};

/// A program and its flags.
#[derive(Debug)]
pub struct Parser {
    pub name: &'static str,
    pub about: &'static str,
    pub options: &'static [Opt],
    pub group: Group,
}

/// Flags that exclude each other.
#[derive(Debug)]
pub struct Group {
    pub title: Option<&'static str>,
    pub about: &'static str,
    pub options: &'static [Opt],
}

/// One flag.
#[derive(Debug, PartialEq, Eq)]
pub struct Opt {
    /// Without its dashes.
    pub name: &'static str,
    pub takes: Takes,
    pub need: Need,
    pub about: &'static str,
    pub default: Option<&'static str>,
}

/// What stands behind a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    One(&'static str, Kind),
    /// One or more texts, up to the next flag.
    Several(&'static str),
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    Long,
    Double,
    /// One of these numbers.
    IntOf(&'static [i32]),
}

/// Whether a flag must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
}

/// A flag with a value.
pub const fn value(name: &'static str, (metavar, kind): (&'static str, Kind), about: &'static str) -> Opt {
    Opt { name, takes: Takes::One(metavar, kind), need: Need::Optional, about, default: None }
}

/// A flag with one or more values.
pub const fn several(name: &'static str, metavar: &'static str, about: &'static str) -> Opt {
    Opt { name, takes: Takes::Several(metavar), need: Need::Optional, about, default: None }
}

/// A flag without a value.
pub const fn flag(name: &'static str, about: &'static str) -> Opt {
    Opt { name, takes: Takes::Nothing, need: Need::Optional, about, default: Some("false") }
}

impl Opt {
    /// The same flag, which must be there.
    pub const fn required(self) -> Opt {
        Opt { need: Need::Required, ..self }
    }

    /// The same flag with a value for when it is not there, as help tells it.
    pub const fn or(self, default: &'static str) -> Opt {
        Opt { default: Some(default), ..self }
    }

    fn long(&self) -> String {
        format!("--{}", self.name)
    }

    /// `--topic TOPIC`
    fn syntax(&self) -> String {
        match self.takes {
            Takes::Nothing => self.long(),
            Takes::One(metavar, _) => format!("--{} {metavar}", self.name),
            Takes::Several(metavar) => format!("--{} {metavar} [{metavar} ...]", self.name),
        }
    }

    fn help(&self) -> String {
        let about = match self.default {
            Some(default) => format!("{} (default: {default})", self.about),
            None => self.about.to_owned(),
        };
        help_entry(&self.syntax(), &about)
    }

    /// Why the text is no value of this flag.
    fn refusal(&self, text: &str) -> Option<String> {
        let Takes::One(_, kind) = self.takes else { return None };
        let is_right = match kind {
            Kind::Text => true,
            Kind::Int | Kind::IntOf(_) => text.parse::<i32>().is_ok(),
            Kind::Long => text.parse::<i64>().is_ok(),
            Kind::Double => double(text).is_some(),
        };
        if !is_right {
            let class = kind.class();
            return Some(format!("could not convert '{text}' to {class} (For input string: \"{text}\")"));
        }
        match kind {
            Kind::IntOf(choices) if !choices.iter().any(|choice| text.parse() == Ok(*choice)) => {
                let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
                Some(format!("invalid choice: '{text}' (choose from {{{}}})", choices.join(",")))
            }
            Kind::Text | Kind::Int | Kind::Long | Kind::Double | Kind::IntOf(_) => None,
        }
    }
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Kind::Text => "String",
            Kind::Int | Kind::IntOf(_) => "Integer",
            Kind::Long => "Long",
            Kind::Double => "Double",
        }
    }
}

/// A number with a fraction.
pub fn double(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// `--help`, with the text to print.
    Help(String),
    Given(Given),
}

/// The flags that were given, each with its values.
#[derive(Debug)]
pub struct Given(Vec<(&'static Opt, Vec<String>)>);

impl Given {
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(option, _)| option.name == name)
    }

    /// The value of a flag; the last one counts. A flag that was not given has its default.
    pub fn value(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().rev().find(|(option, _)| option.name == name);
        given.and_then(|(_, values)| values.last()).map(String::as_str)
    }

    /// The values of the last time the flag was given.
    pub fn values(&self, name: &str) -> &[String] {
        self.0.iter().rev().find(|(option, _)| option.name == name).map_or(&[], |(_, values)| values)
    }

    /// The value as a number; it was checked when it was read.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.value(name).and_then(|text| text.parse().ok())
    }
}

impl Parser {
    /// Reads the arguments behind the program's name.
    pub fn parse(&'static self, args: &[String]) -> Result<Parsed, UsageError> {
        let mut reader = Reader { parser: self, rest: args, given: Vec::new() };
        while let Some((arg, rest)) = reader.rest.split_first() {
            if !is_flag(arg) {
                return Err(self.refused(&format!("unrecognized arguments: '{}'", reader.rest.join(" "))));
            }
            reader.rest = rest;
            if reader.flag(arg)? == Read::Help {
                return Ok(Parsed::Help(self.help()));
            }
        }
        let given = Given(reader.given);
        self.check_needs(&given)?;
        Ok(Parsed::Given(given))
    }

    fn check_needs(&self, given: &Given) -> Result<(), UsageError> {
        let is_missing = |option: &&Opt| option.need == Need::Required && !given.has(option.name);
        // Of several that are missing, argparse4j names the last.
        if let Some(missing) = self.group.options.iter().chain(self.options).rfind(is_missing) {
            return Err(self.refused(&format!("argument {} is required", missing.long())));
        }
        if self.group.options.iter().any(|option| given.has(option.name)) {
            return Ok(());
        }
        let names: Vec<String> = self.group.options.iter().map(Opt::long).collect();
        Err(self.refused(&format!("one of the arguments {} is required", names.join(" "))))
    }

    fn all(&self) -> impl Iterator<Item = &'static Opt> {
        self.options.iter().chain(self.group.options)
    }

    fn usage(&self) -> String {
        let mut parts = vec!["[-h]".to_owned()];
        parts.extend(self.options.iter().map(|option| match option.need {
            Need::Required => option.syntax(),
            Need::Optional => format!("[{}]", option.syntax()),
        }));
        let last = self.group.options.len().saturating_sub(1);
        for (at, option) in self.group.options.iter().enumerate() {
            let open = if at == 0 && last > 0 { "(" } else { "" };
            let close = if at == last && last > 0 { ")" } else { "" };
            parts.push(format!("{open}{}{close}", option.syntax()));
            if at < last {
                parts.push("|".to_owned());
            }
        }
        usage_lines(self.name, parts)
    }

    /// What `--help` prints, and a tool without arguments.
    pub fn help(&self) -> String {
        let mut help = format!("{}\n\n{}\n\noptional arguments:\n", self.usage(), wrapped(self.about, 0, 0));
        help.push_str(&help_entry("-h, --help", "show this help message and exit"));
        self.options.iter().for_each(|option| help.push_str(&option.help()));
        help.push('\n');
        if let Some(title) = self.group.title {
            // Writing to a `String` does not fail.
            let _ = writeln!(help, "{title}:");
        }
        let _ = writeln!(help, "  {}\n", wrapped(self.group.about, 2, 2));
        self.group.options.iter().for_each(|option| help.push_str(&option.help()));
        help
    }

    /// A refusal of the whole command line.
    pub fn refused(&self, message: &str) -> UsageError {
        UsageError {
            program: self.name,
            usage: self.usage(),
            message: message.to_owned(),
            candidates: Vec::new(),
        }
    }

    /// A refusal of what was said of one flag.
    pub fn refused_argument(&self, option: &Opt, message: &str) -> UsageError {
        self.refused(&format!("argument {}: {message}", option.long()))
    }
}

/// What a flag turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Option,
    Help,
}

/// The arguments while they are read.
struct Reader<'a> {
    parser: &'static Parser,
    rest: &'a [String],
    given: Vec<(&'static Opt, Vec<String>)>,
}

impl Reader<'_> {
    fn flag(&mut self, term: &str) -> Result<Read, UsageError> {
        let (name, attached) = match term.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (term, None),
        };
        if name == "-h" || name == "--help" {
            return Ok(Read::Help);
        }
        let options = self.parser.all();
        let mut found: Vec<(String, Option<&'static Opt>)> = options
            .map(|option| (option.long(), Some(option)))
            .chain([("--help".to_owned(), None), ("-h".to_owned(), None)])
            .filter(|(known, _)| known.starts_with(name))
            .collect();
        if let Some(exact) = found.iter().position(|(known, _)| known == name) {
            found = vec![found.swap_remove(exact)];
        }
        if found.len() > 1 {
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("ambiguous option: {name} could match {}", names.join(", "));
            return Err(self.parser.refused(&message));
        }
        match found.pop() {
            Some((_, Some(option))) => self.take(option, attached).map(|()| Read::Option),
            Some((_, None)) => Ok(Read::Help),
            None => self.unknown(term),
        }
    }

    /// Short flags stand in a row behind one dash; there is only one, and it asks for help.
    fn unknown(&self, term: &str) -> Result<Read, UsageError> {
        if term.starts_with("-h") {
            return Ok(Read::Help);
        }
        let known: Vec<String> = self.parser.all().map(Opt::long).collect();
        let known: Vec<&str> = ["--help"].into_iter().chain(known.iter().map(String::as_str)).collect();
        let refused = self.parser.refused(&format!("unrecognized arguments: '{term}'"));
        Err(refused.with_candidates(term, &known))
    }

    fn take(&mut self, option: &'static Opt, attached: Option<&str>) -> Result<(), UsageError> {
        let group = self.parser.group.options;
        let rival = self.given.iter().find(|(given, _)| group.contains(given) && *given != option);
        if let Some((rival, _)) = rival.filter(|_| group.contains(option)) {
            let message = format!("not allowed with argument {}", rival.long());
            return Err(self.parser.refused_argument(option, &message));
        }
        let values = match (option.takes, attached) {
            (Takes::Nothing, None) => Vec::new(),
            (Takes::Nothing, Some(value)) => {
                let message = format!("ignore implicit argument '{value}'");
                return Err(self.parser.refused_argument(option, &message));
            }
            (Takes::One(..) | Takes::Several(_), Some(value)) => vec![value.to_owned()],
            (Takes::One(..), None) => self.next_values(1),
            (Takes::Several(_), None) => self.next_values(usize::MAX),
        };
        let missing = match option.takes {
            Takes::One(..) => "expected one argument",
            Takes::Nothing | Takes::Several(_) => "expected 1 argument(s)",
        };
        if values.is_empty() && option.takes != Takes::Nothing {
            return Err(self.parser.refused_argument(option, missing));
        }
        if let Some(message) = values.iter().find_map(|value| option.refusal(value)) {
            return Err(self.parser.refused_argument(option, &message));
        }
        self.given.push((option, values));
        Ok(())
    }

    /// The plain arguments that come next.
    fn next_values(&mut self, count_max: usize) -> Vec<String> {
        let plain = self.rest.iter().take_while(|next| !is_flag(next)).count().min(count_max);
        let (values, rest) = self.rest.split_at(plain);
        self.rest = rest;
        values.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PARSER: Parser = Parser {
        name: "kafka-thing",
        about: "Does things.",
        options: &[
            value("topic", ("TOPIC", Kind::Text), "The topic.").required(),
            value("count", ("COUNT", Kind::Int), "How many.").or("3"),
            several("props", "NAME=VALUE", "Properties."),
            flag("print", "Prints."),
        ],
        group: Group {
            title: None,
            about: "One of both.",
            options: &[
                value("size", ("SIZE", Kind::IntOf(&[0, 1, -1])), "A size."),
                flag("sizeless", "None."),
            ],
        },
    };

    fn parsed(line: &str) -> Result<Parsed, UsageError> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        PARSER.parse(&args)
    }

    fn given(line: &str) -> Given {
        match parsed(line) {
            Ok(Parsed::Given(given)) => given,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str) -> String {
        let text = parsed(line).unwrap_err().to_string();
        let message = text.split_once("kafka-thing: error: ").map_or(text.as_str(), |(_, message)| message);
        message.to_owned()
    }

    #[test]
    fn flags_may_be_shortened_and_a_negative_number_is_a_value() {
        let given = given("--top t --coun -5 --size=-1 --props a=b c=d --print");
        assert_eq!((given.value("topic"), given.number("count")), (Some("t"), Some(-5)));
        assert_eq!(given.value("size"), Some("-1"));
        assert_eq!(given.values("props"), ["a=b", "c=d"]);
        assert!(given.has("print") && !given.has("sizeless"));
        assert_eq!(refusal("--topic t --p"), "ambiguous option: --p could match --print, --props");
    }

    #[test]
    fn one_of_the_group_and_no_more_must_be_there() {
        assert_eq!(refusal("--topic t"), "one of the arguments --size --sizeless is required");
        let both = "argument --sizeless: not allowed with argument --size";
        assert_eq!(refusal("--topic t --size 1 --sizeless"), both);
        assert_eq!(refusal("--size 1"), "argument --topic is required");
    }

    #[test]
    fn help_lists_the_group_behind_the_other_flags() {
        let Ok(Parsed::Help(help)) = parsed("--topic t -h") else { panic!("no help") };
        let usage = "usage: kafka-thing [-h] --topic TOPIC [--count COUNT]\n                   \
                     [--props NAME=VALUE [NAME=VALUE ...]] [--print]\n                   \
                     (--size SIZE | --sizeless)\n";
        assert!(help.starts_with(usage), "{help}");
        assert!(help.contains("  --count COUNT          How many. (default: 3)\n"), "{help}");
        assert!(help.ends_with("\n  One of both.\n\n  --size SIZE            A size.\n  --sizeless             None. (default: false)\n"), "{help}");
    }
}
