//! `ottla consume`: print the records of topics.
//!
//! Owns: its flags, and which partitions are read from where to where.
//! Does not own: the loop and the ways to end (`reading`), what a record looks like (`record`), offsets (`ends`).
//!
//! Without `--follow` reading ends with the last record that was there at the beginning. A member of a group and a
//! reader that begins at the end have nothing else to do than to wait: they follow by themselves.

mod printing;
mod reading;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ottla_client::Admin;
use ottla_client::config::{ConsumerConfig, IsolationLevel, Properties};
use ottla_env::time;
use ottla_model::{Offset, TopicPartition};
use regex::Regex;

use super::connection::{ConnectionFlags, Environment};
use super::ends::{AllEnds, ends_of, offsets_at};
use super::known_topics::{KnownTopics, matching, named};
use super::on_runtime;
use super::partitions::no_partition;
use super::plan::refuse_repeated;
use super::position::{Place, Span};
use super::refusal::Refusal;
use super::topic::pattern_of;
use crate::terminal::Terminal;
use printing::Printing;
use reading::{Goal, Reading, Source};

/// Print the records of topics, up to the last one that is there; with --follow, and those that come.
#[derive(Debug, Parser)]
#[command(name = "ottla consume", bin_name = "ottla consume", after_long_help = MORE_HELP)]
pub struct Flags {
    /// Topics to read
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Take the topics as regular expressions for whole names
    #[arg(short, long)]
    regex: bool,
    /// Where to begin and end: start, end, N, +N, -N, A:B, @TIME, @TIME:TIME [default: start]
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Option<String>,
    /// Partitions to read, divided by commas; all of them without it
    #[arg(short, long, value_name = "NUMBER", value_delimiter = ',', conflicts_with = "group",
          value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// End after so many records
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// Read as a member of this group and commit what was printed
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    /// Wait for records to come, until Ctrl-C or --num; by itself with --group and with --offset end
    #[arg(long)]
    follow: bool,
    /// Leave out records of open and aborted transactions
    #[arg(long)]
    read_committed: bool,
    /// Only records whose key, value or header this regular expression matches somewhere
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// How a record is printed, see below [default: %v\n]
    #[arg(short, long, value_name = "FORMAT", allow_hyphen_values = true)]
    format: Option<String>,
    /// Form of the output [default: text]
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Form>,
    #[command(flatten)]
    connection: ConnectionFlags,
}

/// What a record is printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// By --format
    Text,
    /// A line of JSON for each record, with everything that is in it
    Json,
    /// The same on several lines
    Pretty,
}

const MORE_HELP: &str = r#"Formats:
  %t %k %v          topic, key, value            %T %K %V   their sizes in bytes
  %h{%k=%v }        for each header              %H         number of headers
  %p %o %e          partition, offset, epoch     %i         number of the record in this output
  %d                timestamp in milliseconds; %d{iso}, %d{strftime[%F %T]}, %d{go[15:04]} in UTC
  %a{timestamp-type}  0 the producer's clock, 1 the broker's, -1 none
  %% %{ %}          these characters             \n \r \t \\ \xNN
  Texts:   %v{hex}, %v{base64}, %v{base64raw}, %v{unpack[>I.s]} (letters < > b B h H i I q Q c . s x $)
  Numbers: %o{ascii}, {hex8} to {hex64}, {big8} to {big64}, {little8} to {little64}, {byte}, {bool}

Offsets:
  start, end        from the first record; only records to come
  N, +N, -N         offset N; N behind the start; N before the end of each partition
  A:B, A:, :B       from A until before B, each of them as above
  @T, @T:T, @:T     from a time, until a time, or until a length behind the first (1h30m) or 'end'
                    T: 2026-02-14, 2026-02-14T01:02:03Z, -1h (ago), 10 or 13 digits since 1970

Examples:
  ottla consume orders                                   the values, one on each line
  ottla consume orders -f '%p/%o %d{iso} %k: %v\n' --offset -10
  ottla consume orders --follow --grep 'customer-7'
  ottla consume orders --offset @-1h:-30m -o json > part.json
  ottla consume orders -o json | ottla produce copy -i json
  ottla consume orders bills --group printers            join, print, commit; Ctrl-C leaves"#;

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let printing = Printing::of_flags(flags)?;
    let span = match &flags.offset {
        Some(text) => Span::parse(text, time::wall_now())?,
        None => Span { from: Place::Start, until: None },
    };
    let patterns = match flags.regex {
        true => flags.topics.iter().map(|text| pattern_of(text)).collect::<Result<Vec<Regex>, _>>()?,
        false => Vec::new(),
    };
    check(flags, span)?;
    let settings = flags.connection.resolve(&Environment::of_process())?;
    let config = ConsumerConfig::from_properties(&consumer_settings(flags, span, settings))?;
    let isolation = config.isolation;
    on_runtime(async {
        let admin = flags.connection.admin(&Environment::of_process()).await?;
        let known = match flags.regex {
            true => matching(&admin, &patterns).await?,
            false => named(&admin, &flags.topics).await?,
        };
        let source = match flags.group {
            Some(_) if flags.regex => Source::Pattern(pattern_of(&flags.topics.join("|"))?),
            Some(_) => Source::Topics(known.into_keys().collect()),
            None => {
                let partitions = partitions_of(&known, &flags.partitions)?;
                let ends = ends_of(&admin, &partitions, isolation).await?;
                let wanted = Wanted { span, isolation, follows: follows(flags, span) };
                Source::Partitions(wanted.goals(&admin, &ends, terminal).await?)
            }
        };
        let waits = flags.group.is_some() || follows(flags, span);
        let silence_max = (!waits).then(|| Duration::from_secs(flags.connection.timeout.into()));
        let reading = Reading::begin(config, source, (flags.num, silence_max))?;
        reading.run(printing, terminal).await
    })
}

/// Refuses flags that contradict each other.
fn check(flags: &Flags, span: Span) -> Result<(), Refusal> {
    refuse_repeated(&flags.topics)?;
    let begins = matches!(span.from, Place::Start | Place::End) && span.until.is_none();
    if flags.group.is_some() && !begins {
        let offset = flags.offset.as_deref().unwrap_or_default();
        return Err(Refusal::usage(format!("--group and --offset {offset} contradict each other"))
            .detail("A group goes on where it left off; --offset start or end is for partitions it did not read yet")
            .hint("`ottla group seek` moves a group"));
    }
    match span.until {
        Some(Place::End | Place::Time(_) | Place::BeforeEnd(_)) if flags.follow => {
            let offset = flags.offset.as_deref().unwrap_or_default();
            Err(Refusal::usage(format!("--follow and --offset {offset} contradict each other"))
                .detail("The range ends with what is there now"))
        }
        Some(_) | None => Ok(()),
    }
}

fn follows(flags: &Flags, span: Span) -> bool {
    flags.follow || (span.from == Place::End && span.until.is_none())
}

fn consumer_settings(flags: &Flags, span: Span, settings: Properties) -> Properties {
    let mut settings = settings;
    let mut set = |key: &str, value: &str| drop(settings.insert(key.to_owned(), value.to_owned()));
    set("allow.auto.create.topics", "false");
    if flags.read_committed {
        set("isolation.level", "read_committed");
    }
    match &flags.group {
        Some(group) => {
            set("group.id", group);
            set("auto.offset.reset", if span.from == Place::End { "latest" } else { "earliest" });
        }
        None => {
            // Positions are chosen here, and reading commits nothing.
            set("auto.offset.reset", "none");
            for key in ["group.id", "group.instance.id", "enable.auto.commit"] {
                settings.remove(key);
            }
        }
    }
    settings
}

/// All partitions of the topics, or those with the given numbers, which each topic must have.
fn partitions_of(known: &KnownTopics, wanted: &[i32]) -> Result<Vec<TopicPartition>, Refusal> {
    let mut partitions = Vec::new();
    for (name, indexes) in known {
        let is_there = |wanted: &i32| indexes.iter().any(|index| index.value() == *wanted);
        if let Some(missing) = wanted.iter().find(|wanted| !is_there(wanted)) {
            return Err(no_partition((name.as_str(), indexes.len()), *missing));
        }
        let kept = indexes.iter().filter(|index| wanted.is_empty() || wanted.contains(&index.value()));
        partitions.extend(kept.map(|index| TopicPartition::new(name.clone(), *index)));
    }
    Ok(partitions)
}

/// What is to be read of each partition.
struct Wanted {
    span: Span,
    isolation: IsolationLevel,
    follows: bool,
}

impl Wanted {
    async fn goals(
        &self,
        admin: &Admin,
        ends: &AllEnds,
        terminal: &mut Terminal<'_>,
    ) -> Result<BTreeMap<TopicPartition, Goal>, Refusal> {
        let from = offsets_at(admin, ends, (self.span.from, self.isolation)).await?;
        let until = match self.span.until {
            Some(place) => offsets_at(admin, ends, (place, self.isolation)).await?,
            None => BTreeMap::new(),
        };
        let mut goals = BTreeMap::new();
        for (partition, ends) in ends {
            let from = from.get(partition).copied().unwrap_or(ends.start);
            let until = until.get(partition).copied();
            let until = if self.follows { until } else { Some(until.unwrap_or(ends.end).min(ends.end)) };
            if from > ends.end && !self.follows {
                let end = ends.end;
                terminal.err_line(format_args!("note: {partition} ends at {end}, before offset {from}"));
            }
            let goal = Goal { begin: from.clamp(ends.start, ends.end), from, until };
            if goal.left(goal.begin) != Some(0) {
                goals.insert(partition.clone(), goal);
            }
        }
        Ok(goals)
    }
}

impl Goal {
    /// Offsets from this one to the end, if there is an end.
    fn left(&self, at: Offset) -> Option<u64> {
        self.until.map(|until| u64::try_from(until.value().saturating_sub(at.value())).unwrap_or(0))
    }
}
