//! `ottla explain`: what an error of Kafka or a setting means, and what to do.
//!
//! Owns: finding what is meant, how it is shown.
//! Does not own: the errors (`ottla_protocol::ErrorCode`), the settings (`ottla_metadata::config`), the texts of errors
//! (`data`, `producing`, `groups`, `cluster`).
//!
//! An error is named by its number, its name in any spelling, the Java exception that stands for it, or librdkafka's name.
//!
//! | Form | Fields |
//! |---|---|
//! | an error | `name`, `number`, `retriable`, `retry`, `exception`, `message`, `meaning`, `causes`, `remedy` |
//! | a setting | `key`, `of`, `type`, `default`, `allowed`, `change`, `importance`, `meaning` |

mod cluster;
mod data;
mod groups;
mod producing;

use clap::Parser;
use ottla_metadata::config::{
    Check, Default, Effect, Key, broker_keys, client_metrics_keys, group_keys, topic_keys,
};
use ottla_protocol::{ErrorCode, Retry};
use serde_json::{Value, json};

use super::connection::OutputFlags;
use super::refusal::Refusal;
use super::report::{Column, Output, Report, Table, column};
use super::similar::similar;
use crate::terminal::Terminal;

/// Say what an error of Kafka or a setting means, and what to do.
#[derive(Debug, Parser)]
#[command(name = "ottla explain", bin_name = "ottla explain")]
pub struct Flags {
    /// Number or name of an error, name of a Java exception, or key of a setting; without it all errors are listed
    #[arg(allow_negative_numbers = true, value_name = "ERROR")]
    name: Option<String>,
    #[command(flatten)]
    output: OutputFlags,
}

/// What is said of an error, in sentences.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    meaning: &'static str,
    causes: &'static str,
    remedy: &'static str,
}

const fn text(meaning: &'static str, causes: &'static str, remedy: &'static str) -> Text {
    Text { meaning, causes, remedy }
}

/// Texts by subject.
const TEXTS: [&[(ErrorCode, Text)]; 4] = [data::TEXTS, producing::TEXTS, groups::TEXTS, cluster::TEXTS];

const LISTED: &[Column] = &[column("number"), column("name"), column("retriable"), column("meaning")];
const ERROR: &[Column] = &[
    column("name"),
    column("number"),
    column("retriable"),
    column("retry"),
    column("exception"),
    column("message"),
    column("meaning"),
    column("causes"),
    column("remedy"),
];
const SETTING: &[Column] = &[
    column("key"),
    column("of"),
    column("type"),
    column("default"),
    column("allowed"),
    column("change"),
    column("importance"),
    column("meaning"),
];

/// Codes and the exceptions of Kafka's Java client that stand for them.
const EXCEPTIONS: &str = include_str!("../tools/exceptions.tsv");

/// Names of earlier times, which librdkafka still has.
const OLD_NAMES: &[(&str, ErrorCode)] = &[
    ("NOT_LEADER_FOR_PARTITION", ErrorCode::NotLeaderOrFollower),
    ("GROUP_LOAD_IN_PROGRESS", ErrorCode::CoordinatorLoadInProgress),
    ("GROUP_COORDINATOR_NOT_AVAILABLE", ErrorCode::CoordinatorNotAvailable),
    ("NOT_COORDINATOR_FOR_GROUP", ErrorCode::NotCoordinator),
];

/// What a name stands for.
enum Found {
    Error(ErrorCode),
    Settings(Vec<(&'static str, &'static Key)>),
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let output = flags.output.output;
    let Some(name) = &flags.name else {
        let mut table = Table::new(LISTED);
        for code in ErrorCode::ALL {
            let meaning = text_of(*code).map(|text| text.meaning);
            table.push([
                json!(code.number()),
                json!(code.name()),
                json!(code.is_retriable()),
                json!(meaning),
            ]);
        }
        Report::list(table).print(output, terminal);
        return Ok(());
    };
    let table = match find(name)? {
        Found::Error(code) => table_of_error(code),
        Found::Settings(keys) => table_of_settings(&keys),
    };
    match output {
        Output::Table | Output::Wide => terminal.out(pages(&table)),
        Output::Json | Output::Yaml | Output::Csv => {
            let objects = table.objects();
            let document = match objects.as_slice() {
                [one] => one.clone(),
                several => Value::Array(several.to_vec()),
            };
            Report::of_sections(document, Vec::new(), table).print(output, terminal);
        }
    }
    Ok(())
}

fn text_of(code: ErrorCode) -> Option<Text> {
    TEXTS.iter().flat_map(|texts| *texts).find(|(of, _)| *of == code).map(|(_, text)| *text)
}

fn find(name: &str) -> Result<Found, Refusal> {
    if let Ok(number) = name.parse::<i16>() {
        return ErrorCode::from_number(number).map(Found::Error).ok_or_else(|| {
            let last = ErrorCode::ALL.last().map_or(0, |code| code.number());
            Refusal::failed(format!("there is no error {number}"))
                .detail(format_args!("Kafka 4.3 has the errors -1 to {last}"))
        });
    }
    let typed = plain(name);
    let by_name = ErrorCode::ALL.iter().copied().find(|code| plain(code.name()) == typed);
    let is_exception = |code: &ErrorCode| exception(*code).is_some_and(|class| plain(class) == typed);
    let by_exception = || ErrorCode::ALL.iter().copied().find(is_exception);
    let old = || OLD_NAMES.iter().find(|(name, _)| plain(name) == typed).map(|(_, code)| *code);
    if let Some(code) = by_name.or_else(by_exception).or_else(old) {
        return Ok(Found::Error(code));
    }
    let settings: Vec<(&str, &Key)> =
        tables().into_iter().filter_map(|(of, table)| Some((of, *table.get(name)?))).collect();
    if settings.is_empty() { Err(unknown(name)) } else { Ok(Found::Settings(settings)) }
}

fn tables() -> [(&'static str, &'static ottla_metadata::config::KeyTable); 4] {
    [
        ("topic", topic_keys()),
        ("broker", broker_keys()),
        ("group", group_keys()),
        ("client-metrics", client_metrics_keys()),
    ]
}

/// The letters and digits of a name, without what different languages put around it.
fn plain(name: &str) -> String {
    let name = name.rsplit('.').next().unwrap_or(name);
    let name = name.trim_start_matches("RD_KAFKA_RESP_ERR_").trim_start_matches('_');
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|it| it.to_ascii_lowercase()).collect();
    letters.strip_suffix("exception").unwrap_or(&letters).to_owned()
}

fn unknown(name: &str) -> Refusal {
    let refusal = Refusal::failed(format!("there is no error and no setting '{name}'"));
    let errors = || ErrorCode::ALL.iter().map(|code| code.name());
    let near = match name.contains('.') && !name.contains("Exception") {
        true => similar(name, tables().into_iter().flat_map(|(_, table)| table.keys().copied())),
        false => similar(&name.replace('-', "_"), errors()),
    };
    refusal.reminding(&near, "`ottla explain` lists all errors")
}

fn table_of_error(code: ErrorCode) -> Table {
    let retry = match code.retry() {
        Retry::Never => "no: the same request fails again",
        Retry::AsIs => "yes: clients send it again after a while",
        Retry::WithFreshMetadata => "yes: clients ask for leaders and topics first",
        Retry::WithFreshCoordinator => "yes: clients look for the coordinator first",
    };
    let text = text_of(code);
    let mut table = Table::new(ERROR);
    table.push([
        json!(code.name()),
        json!(code.number()),
        json!(code.is_retriable()),
        json!(retry),
        json!(exception(code)),
        json!(code.message()),
        json!(text.map(|text| text.meaning)),
        json!(text.map(|text| text.causes)),
        json!(text.map(|text| text.remedy)),
    ]);
    table
}

/// The Java exception that stands for a code, without its package.
fn exception(code: ErrorCode) -> Option<&'static str> {
    let mut rows = EXCEPTIONS.lines().filter_map(|row| row.split_once('\t'));
    let class = rows.find(|(name, _)| *name == code.name()).map(|(_, class)| class)?;
    class.rsplit('.').next()
}

fn table_of_settings(keys: &[(&'static str, &'static Key)]) -> Table {
    let mut table = Table::new(SETTING);
    for (of, key) in keys {
        let default = match key.default {
            Default::Required => json!("none: it must be set"),
            Default::Null => Value::Null,
            Default::Text(text) => json!(text),
        };
        let effect = match key.effect {
            Effect::Live => "",
            Effect::Later => " Ottla accepts and shows it; what it governs is not built yet.",
            Effect::Moot => " Ottla accepts and shows it; what it governs does not exist here.",
            Effect::Refused => {
                " A node of Ottla that is given another value than the default does not start."
            }
        };
        table.push([
            json!(key.name),
            json!(of),
            json!(key.kind.name().to_ascii_lowercase()),
            default,
            json!(allowed(&key.check)),
            json!(key.change.name()),
            json!(key.importance.name()),
            json!(key.doc() + effect),
        ]);
    }
    table
}

fn allowed(check: &Check) -> Option<String> {
    Some(check.to_string()).filter(|text| !text.is_empty())
}

/// The fields of each row under each other, sentences filled to the width of a page.
fn pages(table: &Table) -> String {
    let page = |object: &Value| {
        let fields = object.as_object().into_iter().flatten();
        let shown = fields.filter(|(name, value)| !value.is_null() && *name != "retriable");
        let entry = |(name, value): (&String, &Value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name = format!("{:10}  ", name.replace('_', " "));
            filled(&name, &text)
        };
        shown.map(entry).collect::<String>()
    };
    table.objects().iter().map(page).collect::<Vec<_>>().join("\n")
}

/// Columns of a page.
const PAGE_WIDTH: usize = 100;

fn filled(name: &str, text: &str) -> String {
    let indent = name.chars().count();
    let mut lines = vec![name.to_owned()];
    let mut width = indent;
    for word in text.split_whitespace() {
        let more = word.chars().count();
        if width + more > PAGE_WIDTH && width > indent {
            lines.push(" ".repeat(indent));
            width = indent;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
            line.push(' ');
        }
        width += more + 1;
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_exactly_one_text_of_whole_sentences() {
        for code in ErrorCode::ALL {
            let texts: Vec<_> = TEXTS.iter().flat_map(|texts| *texts).filter(|(of, _)| of == code).collect();
            assert_eq!(texts.len(), 1, "{code}");
            let Text { meaning, causes, remedy } = texts[0].1;
            for sentence in [meaning, causes, remedy] {
                assert!(sentence.ends_with('.') && !sentence.contains("  "), "{code}: {sentence}");
            }
            // Kafka's own words are shown besides; these must say more.
            assert_ne!(meaning, code.message(), "{code}");
        }
    }

    #[test]
    fn an_error_is_found_by_number_and_every_name_it_has() {
        let found = |name: &str| match find(name) {
            Ok(Found::Error(code)) => code.name(),
            Ok(Found::Settings(_)) => "setting",
            Err(_) => "nothing",
        };
        for (name, code) in [
            ("6", "NOT_LEADER_OR_FOLLOWER"),
            ("-1", "UNKNOWN_SERVER_ERROR"),
            ("not-leader-or-follower", "NOT_LEADER_OR_FOLLOWER"),
            ("NotLeaderOrFollowerException", "NOT_LEADER_OR_FOLLOWER"),
            ("org.apache.kafka.common.errors.TimeoutException", "REQUEST_TIMED_OUT"),
            ("GroupNotEmptyException", "NON_EMPTY_GROUP"),
            ("RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION", "NOT_LEADER_OR_FOLLOWER"),
            ("InvalidTopicException", "INVALID_TOPIC_EXCEPTION"),
            ("retention.ms", "setting"),
            ("134", "nothing"),
            ("NO_SUCH_THING", "nothing"),
        ] {
            assert_eq!(found(name), code, "{name}");
        }
        for code in ErrorCode::ALL {
            assert_eq!(found(&code.number().to_string()), code.name());
            assert_eq!(exception(*code).map_or(code.name(), found), code.name());
        }
    }

    #[test]
    fn a_name_that_is_none_reminds_of_those_near_to_it() {
        let told = |name: &str| find(name).err().unwrap().to_string();
        assert!(told("NOT_ENOUGH_REPLICA").contains("Did you mean"), "{}", told("NOT_ENOUGH_REPLICA"));
        assert!(told("retention.mss").ends_with("Did you mean 'retention.ms'?"), "{}", told("retention.mss"));
        assert!(told("x").ends_with("`ottla explain` lists all errors."));
    }

    #[test]
    fn long_sentences_are_filled() {
        let text = filled("causes      ", &"word ".repeat(30));
        assert!(text.lines().all(|line| line.len() <= PAGE_WIDTH) && text.lines().count() == 2, "{text}");
    }
}
