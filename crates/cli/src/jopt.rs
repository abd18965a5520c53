//! Command lines as Kafka's tools on joptsimple take them.
//!
//! Owns: reading options, their values, the words of refusals, the table of options in a help text.
//! Does not own: which options a tool has (each tool declares them), which may go together (`usage`).
//!
//! Options have full names only; one dash is as good as two. A value stands behind its option or behind `=`, and a
//! value that must be there is taken whatever it looks like. `--` ends the options. What is no option is passed over.
//!
//! Source: behaviour of Kafka 4.3.1's tools (`tests/data/offline.txt`).

use std::collections::BTreeSet;

/// One option.
#[derive(Debug, PartialEq, Eq)]
pub struct Opt {
    /// Without its dashes.
    pub name: &'static str,
    pub takes: Takes,
    pub about: &'static str,
    /// The option may only stand with one of these; with anything where there are none.
    pub needs: &'static [&'static str],
}

impl Opt {
    /// The same option, which may only stand with one of these.
    pub const fn only_with(self, needs: &'static [&'static str]) -> Opt {
        Opt { needs, ..self }
    }
}

/// What goes with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// A value, described so in help.
    Value(&'static str),
    /// A value, or none.
    MaybeValue(&'static str),
    /// A whole number, which may be negative, or none.
    MaybeNumber(&'static str),
}

/// An option without a value.
pub const fn flag(name: &'static str, about: &'static str) -> Opt {
    Opt { name, takes: Takes::Nothing, about, needs: &[] }
}

/// An option with a value.
pub const fn value(name: &'static str, placeholder: &'static str, about: &'static str) -> Opt {
    Opt { name, takes: Takes::Value(placeholder), about, needs: &[] }
}

/// An option that may have a value.
pub const fn maybe_value(name: &'static str, placeholder: &'static str, about: &'static str) -> Opt {
    Opt { name, takes: Takes::MaybeValue(placeholder), about, needs: &[] }
}

/// An option that may have a number.
pub const fn maybe_number(name: &'static str, placeholder: &'static str, about: &'static str) -> Opt {
    Opt { name, takes: Takes::MaybeNumber(placeholder), about, needs: &[] }
}

/// The options that were given.
#[derive(Debug)]
pub struct Given {
    options: &'static [Opt],
    given: Vec<(&'static Opt, Option<String>)>,
}

/// A command line that is refused, in joptsimple's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptError {
    #[error("{name} is not a recognized option")]
    Unrecognized { name: String },
    #[error("Option {name} requires an argument")]
    MissingArgument { name: &'static str },
    #[error("Found multiple arguments for option {name}, but you asked for only one")]
    Multiple { name: &'static str },
    #[error("Option(s) [{}] are unavailable given other options on the command line", names.join(", "))]
    Unavailable { names: Vec<&'static str> },
    #[error("Cannot parse argument '{text}' of option {name}")]
    NotANumber { name: &'static str, text: String },
}

impl OptError {
    /// Full name of the exception that joptsimple throws.
    pub fn class(&self) -> &'static str {
        match self {
            OptError::Unrecognized { .. } => "joptsimple.UnrecognizedOptionException",
            OptError::MissingArgument { .. } => "joptsimple.OptionMissingRequiredArgumentException",
            OptError::Multiple { .. } => "joptsimple.MultipleArgumentsForOptionException",
            OptError::Unavailable { .. } => "joptsimple.UnavailableOptionException",
            OptError::NotANumber { .. } => "joptsimple.OptionArgumentConversionException",
        }
    }
}

/// Reads `args` against the options of a tool.
pub fn parse(options: &'static [Opt], args: &[String]) -> Result<Given, OptError> {
    let mut given = Vec::new();
    let mut rest = args.iter().map(String::as_str).peekable();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            break;
        }
        let Some(body) = option_of(arg) else { continue };
        let (name, attached) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let Some(option) = options.iter().find(|option| option.name == name) else {
            return Err(OptError::Unrecognized { name: unrecognized(arg, name) });
        };
        let attached = attached.filter(|value| !value.is_empty());
        let taken = match (option.takes, attached) {
            (Takes::Nothing, _) => None,
            (Takes::Value(_) | Takes::MaybeValue(_) | Takes::MaybeNumber(_), Some(value)) => Some(value),
            (Takes::Value(_), None) => {
                Some(rest.next().ok_or(OptError::MissingArgument { name: option.name })?)
            }
            (Takes::MaybeValue(_), None) => rest.next_if(|next| option_of(next).is_none()),
            // What is no number is left alone, and passed over if it is no option either.
            (Takes::MaybeNumber(_), None) => rest.next_if(|next| next.parse::<i64>().is_ok()),
        };
        given.push((option, taken.map(str::to_owned)));
    }
    let given = Given { options, given };
    given.check_available()?;
    Ok(given)
}

/// The option behind the dashes; `None` for a plain argument. A lone dash is one.
fn option_of(arg: &str) -> Option<&str> {
    arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|body| !body.is_empty())
}

/// Behind one dash joptsimple takes an unknown name for letters in a row, and complains of the first.
fn unrecognized(arg: &str, name: &str) -> String {
    match arg.starts_with("--") {
        true => name.to_owned(),
        false => name.chars().take(1).collect(),
    }
}

impl Given {
    /// Whether the option was given.
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(option, _)| option.name == name)
    }

    /// The value of an option that may be given once.
    pub fn value(&self, name: &'static str) -> Result<Option<&str>, OptError> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(OptError::Multiple { name }),
        }
    }

    /// All values of an option, in order.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.given.iter().filter(move |(option, _)| option.name == name);
        named.filter_map(|(_, value)| value.as_deref())
    }

    /// The values of several options, in the order of the command line.
    pub fn in_order(&self, names: &[&str]) -> impl Iterator<Item = Option<&str>> {
        let named = self.given.iter().filter(move |(option, _)| names.contains(&option.name));
        named.map(|(_, value)| value.as_deref())
    }

    /// The value of an option that is a number.
    pub fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, OptError> {
        match self.value(name)? {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(OptError::NotANumber { name, text: text.to_owned() }),
            },
        }
    }

    /// Help and version are answered whatever else was given.
    fn check_available(&self) -> Result<(), OptError> {
        let is_unavailable = |option: &Opt| {
            self.has(option.name)
                && !option.needs.is_empty()
                && !option.needs.iter().any(|other| self.has(other))
        };
        let mut names: Vec<&str> =
            self.options.iter().filter(|option| is_unavailable(option)).map(|option| option.name).collect();
        names.sort_unstable();
        match names.is_empty() || self.has("help") || self.has("version") {
            true => Ok(()),
            false => Err(OptError::Unavailable { names }),
        }
    }

    /// How often the options of a list were given, all together.
    pub fn count(&self, names: &[&str]) -> usize {
        names.iter().filter(|name| self.has(name)).count()
    }

    /// The options of the tool.
    pub fn options(&self) -> &'static [Opt] {
        self.options
    }
}

/// Columns of the left half of the option table.
const LEFT_COLUMNS: usize = 41;
/// Columns of the right half.
const RIGHT_COLUMNS: usize = 39;

/// The table of options that joptsimple prints below a refusal and in help.
pub fn table(options: &[Opt]) -> String {
    let mut text = format!("{:LEFT_COLUMNS$}{}\n", "Option", "Description");
    text.push_str(&format!("{:LEFT_COLUMNS$}{}\n", "------", "-----------"));
    let names: BTreeSet<&str> = options.iter().map(|option| option.name).collect();
    for option in names.iter().filter_map(|name| options.iter().find(|option| option.name == *name)) {
        let title = match option.takes {
            Takes::Nothing => format!("--{}", option.name),
            Takes::Value(placeholder) => format!("--{} <{placeholder}>", option.name),
            Takes::MaybeValue(placeholder) | Takes::MaybeNumber(placeholder) => {
                format!("--{} [{placeholder}]", option.name)
            }
        };
        let left = filled(&title, LEFT_COLUMNS - 1);
        let right = filled(option.about, RIGHT_COLUMNS);
        for at in 0..left.len().max(right.len()) {
            let (left, right) = (left.get(at), right.get(at));
            let line = format!(
                "{:LEFT_COLUMNS$}{}",
                left.map_or("", String::as_str),
                right.map_or("", String::as_str)
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// Breaks a text into lines of at most `columns`; all but the first are indented by two.
fn filled(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let is_first_word = line.trim().is_empty();
        if !is_first_word && line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(std::mem::replace(&mut line, format!("  {word}")));
        } else {
            if !is_first_word {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        flag("list", "List."),
        value("topic", "String: topic", "The topic."),
        value("count", "Integer", "A number."),
        maybe_value("state", "String", "States.").only_with(&["list", "count"]),
        maybe_number("size", "Integer", "A size."),
        flag("help", "Help."),
    ];

    fn parsed(line: &str) -> Result<Given, OptError> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(OPTIONS, &args)
    }

    fn refusal(line: &str) -> String {
        parsed(line).unwrap_err().to_string()
    }

    #[test]
    fn one_dash_is_as_good_as_two_and_a_value_may_be_attached() {
        for line in ["--list --topic a", "-list -topic a", "--topic=a --list", "-topic=a --list=whatever"] {
            let given = parsed(line).unwrap();
            assert!(given.has("list"), "{line}");
            assert_eq!(given.value("topic"), Ok(Some("a")), "{line}");
        }
    }

    #[test]
    fn names_are_never_shortened() {
        assert_eq!(refusal("--lis"), "lis is not a recognized option");
        assert_eq!(refusal("-bogus"), "b is not a recognized option");
    }

    #[test]
    fn a_value_that_must_be_there_is_taken_whatever_it_looks_like() {
        assert_eq!(parsed("--topic --list").unwrap().value("topic"), Ok(Some("--list")));
        assert_eq!(refusal("--topic"), "Option topic requires an argument");
    }

    #[test]
    fn a_value_that_may_be_there_does_not_look_like_an_option() {
        let given = parsed("--state --list").unwrap();
        assert!(given.has("list") && given.has("state") && given.value("state") == Ok(None));
        assert_eq!(parsed("--list --state Stable").unwrap().value("state"), Ok(Some("Stable")));
    }

    #[test]
    fn a_number_that_may_be_there_is_taken_also_if_it_is_negative() {
        assert_eq!(parsed("--size -1 --list").unwrap().number::<i32>("size"), Ok(Some(-1)));
        let given = parsed("--size x --list").unwrap();
        assert!(given.has("list") && given.has("size") && given.value("size") == Ok(None));
        assert_eq!(refusal("--size -x"), "x is not a recognized option");
    }

    #[test]
    fn an_option_asked_for_once_may_be_given_once() {
        let given = parsed("--topic a --topic b").unwrap();
        let refused = given.value("topic").unwrap_err().to_string();
        assert_eq!(refused, "Found multiple arguments for option topic, but you asked for only one");
        assert_eq!(given.values("topic").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_number_must_be_one() {
        assert_eq!(parsed("--count 7").unwrap().number::<i32>("count"), Ok(Some(7)));
        let refused = parsed("--count abc").unwrap().number::<i32>("count").unwrap_err();
        assert_eq!(refused.to_string(), "Cannot parse argument 'abc' of option count");
    }

    #[test]
    fn an_option_that_needs_another_one_does_not_stand_alone() {
        let refused = "Option(s) [state] are unavailable given other options on the command line";
        assert_eq!(refusal("--state --topic a"), refused);
        assert!(parsed("--state --count 1").is_ok() && parsed("--state --help").is_ok());
    }

    #[test]
    fn plain_arguments_are_passed_over_and_two_dashes_end_the_options() {
        let given = parsed("word --list -- --topic a").unwrap();
        assert!(given.has("list") && !given.has("topic"));
    }

    #[test]
    fn the_table_has_every_option_in_order() {
        let table = table(OPTIONS);
        let options: Vec<&str> = table.lines().skip(2).filter(|line| line.starts_with("--")).collect();
        assert_eq!(options.len(), 6);
        assert!(options[0].starts_with("--count <Integer>") && options[4].starts_with("--state [String]"));
        assert!(table.lines().all(|line| line.chars().count() <= 80));
    }
}
