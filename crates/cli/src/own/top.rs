//! `ottla top`: who writes and reads how much, and how far readers are behind, as it goes.
//!
//! Owns: its flags, the loop of keys and samples, the report of `--once`.
//! Does not own: what is asked (`sample`), the numbers and the order (`view`), the picture (`picture`).
//!
//! Samples are taken by a task beside the loop, so that a slow cluster does not hold up the keys. Whatever ends the loop,
//! the terminal is given back as it was.
//!
//! | Form of `--once` | Fields |
//! |---|---|
//! | documents | `seconds`, `topics` (list of `topic`, `partitions`, `records_per_second`, `bytes_per_second`, `bytes`), `groups` (list of `group`, `state`, `lag`, `lag_per_second`, `reads_per_second`) |
//! | CSV | the topics |

mod picture;
mod sample;
mod view;

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use clap::Parser;
use ottla_client::Admin;
use ottla_env::task::{Signal, Signals};
use ottla_env::{task, time};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde_json::{Value, json};

use super::connection::{BOOTSTRAP, ConnectionFlags, Environment, OutputFlags};
use super::refusal::Refusal;
use super::report::{Column, Output, Report, Table, column};
use crate::terminal::{Terminal, exit_code_of};
use sample::{Sampler, Wanted};
use view::{GroupRow, Key, TopicRow, View};

/// Watch throughput of topics and lag of groups.
#[derive(Debug, Parser)]
#[command(
    name = "ottla top",
    bin_name = "ottla top",
    after_help = "Keys: q quits, Tab goes to the other table, s changes the order, arrows scroll, the space bar holds on."
)]
pub struct Flags {
    /// Seconds between two looks at the cluster
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,
    /// Print what happened in one interval and end
    #[arg(long)]
    once: bool,
    /// The brokers' own topics too
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Longest wait for a key before samples are looked at.
const KEY_WAIT: Duration = Duration::from_millis(100);
/// The client and the sampler beside the loop.
const WORKERS: NonZeroUsize = NonZeroUsize::MIN;

/// What the loop is told by tasks.
enum News {
    Sample(Result<sample::Sample, Refusal>),
    Signal(Signal),
}

/// Runs the command. A signal that ends it is left in `ended`.
pub fn run(flags: &Flags, ended: &mut Option<u8>, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    if !flags.once {
        check_terminal(flags.output.output)?;
    }
    let environment = Environment::of_process();
    let settings = flags.connection.resolve(&environment)?;
    let address = settings.get(BOOTSTRAP).cloned().unwrap_or_default();
    let work = async {
        let admin = flags.connection.admin(&environment).await?;
        let interval = Duration::from_secs(u64::from(flags.interval));
        let wanted = Wanted { internal: flags.internal };
        match flags.once {
            true => once((admin, wanted), interval, (flags.output.output, terminal)).await,
            false => {
                *ended = watch((admin, wanted), interval, &address)?.map(exit_code_of);
                Ok(())
            }
        }
    };
    let failed = |error| Err(Refusal::failed("no runtime could be started").detail(error));
    task::run(Some(WORKERS), work).unwrap_or_else(failed)
}

fn check_terminal(output: Output) -> Result<(), Refusal> {
    if output != Output::Table {
        return Err(Refusal::usage("a live view has no form of output").hint("With --once it has"));
    }
    if !std::io::stdout().is_terminal() {
        return Err(Refusal::usage("standard output is no terminal to draw on")
            .hint("--once prints what happened in one interval"));
    }
    Ok(())
}

async fn once(
    (admin, wanted): (Admin, Wanted),
    interval: Duration,
    (output, terminal): (Output, &mut Terminal<'_>),
) -> Result<(), Refusal> {
    let sampler = Sampler::new(admin, wanted);
    let mut view = View::new();
    view.on_sample(sampler.take().await?);
    time::sleep(interval).await;
    view.on_sample(sampler.take().await?);
    report_of(&view).print(output, terminal);
    Ok(())
}

/// Draws until a key or a signal ends it. The loop blocks its thread; tasks have others.
fn watch(
    (admin, wanted): (Admin, Wanted),
    interval: Duration,
    address: &str,
) -> Result<Option<Signal>, Refusal> {
    let failed = |error| Refusal::failed("the terminal cannot be drawn on").detail(error);
    let (tell, news) = channel();
    let signals = Signals::listen().map_err(failed)?;
    drop(task::spawn(tell_signals(signals, tell.clone())));
    drop(task::spawn(tell_samples(Sampler::new(admin, wanted), interval, tell)));
    let mut screen = ratatui::try_init().map_err(failed)?;
    let ended = drawn(&mut screen, &news, address);
    let restored = ratatui::try_restore();
    let ended = ended.map_err(failed)?;
    restored.map_err(failed)?;
    Ok(ended)
}

async fn tell_signals(mut signals: Signals, tell: Sender<News>) {
    // The loop has ended if nobody listens any more.
    drop(tell.send(News::Signal(signals.next().await)));
}

async fn tell_samples(sampler: Sampler, interval: Duration, tell: Sender<News>) {
    loop {
        let next_at = time::now() + interval;
        if tell.send(News::Sample(sampler.take().await)).is_err() {
            return;
        }
        time::sleep_until(next_at).await;
    }
}

fn drawn(
    screen: &mut DefaultTerminal,
    news: &Receiver<News>,
    address: &str,
) -> std::io::Result<Option<Signal>> {
    let mut view = View::new();
    let mut has_changed = true;
    loop {
        loop {
            match news.try_recv() {
                Ok(News::Sample(Ok(sample))) => view.on_sample(sample),
                Ok(News::Sample(Err(refusal))) => view.on_trouble(&refusal.to_string()),
                Ok(News::Signal(signal)) => return Ok(Some(signal)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            has_changed = true;
        }
        if has_changed {
            screen.draw(|frame| picture::draw(frame, &view, address))?;
        }
        // Anything that comes from the terminal may ask for a new picture, also a change of its size.
        has_changed = event::poll(KEY_WAIT)?;
        if has_changed
            && let Some(key) = key_of(&event::read()?)
            && view.on_key(key)
        {
            return Ok(None);
        }
    }
}

/// The key of an event, if it is one that means something.
fn key_of(event: &Event) -> Option<Key> {
    let key = event.as_key_event().filter(|key| key.kind == KeyEventKind::Press)?;
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control {
        return (key.code == KeyCode::Char('c')).then_some(Key::Quit);
    }
    let keys = [
        (KeyCode::Char('q'), Key::Quit),
        (KeyCode::Esc, Key::Quit),
        (KeyCode::Tab, Key::OtherTable),
        (KeyCode::Char('s'), Key::NextOrder),
        (KeyCode::Char(' '), Key::Hold),
        (KeyCode::Up, Key::Up),
        (KeyCode::Down, Key::Down),
    ];
    keys.into_iter().find(|(code, _)| *code == key.code).map(|(_, key)| key)
}

const TOPICS: &[Column] = &[
    column("topic"),
    column("partitions"),
    column("records_per_second"),
    column("bytes_per_second"),
    column("bytes"),
];
const GROUPS: &[Column] =
    &[column("group"), column("state"), column("lag"), column("lag_per_second"), column("reads_per_second")];

fn report_of(view: &View) -> Report {
    let mut topics = Table::new(TOPICS);
    for TopicRow { name, partitions, records_per_second, bytes_per_second, bytes } in view.topics() {
        topics.push([
            json!(name),
            json!(partitions),
            rate(records_per_second),
            rate(bytes_per_second),
            json!(bytes),
        ]);
    }
    let mut groups = Table::new(GROUPS);
    for GroupRow { name, state, lag, lag_per_second, reads_per_second } in view.groups() {
        groups.push([json!(name), json!(state), json!(lag), rate(lag_per_second), rate(reads_per_second)]);
    }
    let document =
        json!({"seconds": rate(view.seconds()), "topics": topics.objects(), "groups": groups.objects()});
    Report::of_sections(document, vec![(None, topics.clone()), (None, groups)], topics)
}

/// A rate with one digit behind the point, as more would pretend.
fn rate(rate: Option<f64>) -> Value {
    json!(rate.map(|rate| (rate * 10.0).round() / 10.0))
}
