//! Real clients: any program that sends or reads, such as librdkafka's `rdkafka_performance` or Kafka's
//! `kafka-producer-perf-test.sh`, against every system.
//!
//! Owns: running them in the order given on one topic, the rate they tell. Does not own: the programs.
//!
//! They spend far more processor time per record than a broker does, so the broker's share is shown beside their rate.

use std::process::{Command, Stdio};

use super::{Bench, Case};
use crate::Fallible;
use crate::driver::client::Client;
use crate::figures::Load;
use crate::frames::TOPIC;
use crate::processor::Moment;
use crate::system::{Durability, Start, Validation};

/// What stands behind the rate in what programs say.
const RATES: [&str; 2] = [" msgs/s", " records/sec"];

/// Runs every command on a topic of one partition; what an earlier one wrote is there for the later ones.
pub async fn run(bench: &mut Bench) -> Fallible<()> {
    let commands = bench.plan.clients.clone();
    for last in 0..commands.len() {
        let start = Start {
            durability: Durability::PageCache,
            validation: Validation::Full,
            partitions: 1,
            retention_bytes: None,
        };
        let case = Case { row: 0, name: &commands[last], start, with_yardstick: false };
        bench
            .case(case, async |system| {
                Client::create_topic(system, &[]).await?;
                for command in &commands[..last] {
                    said(command, system.port)?;
                }
                let begin = Moment::now(system.session())?;
                let said = said(&commands[last], system.port)?;
                let usage = begin.until(&Moment::now(system.session())?);
                let rate = rate_in(&said).ok_or_else(|| format!("no rate in what it said: {said}"))?;
                let figures = vec![
                    ("records/s", rate),
                    ("seconds", usage.seconds),
                    ("broker processor seconds", usage.system_seconds),
                ];
                // The client's own work would look like that of strangers.
                Ok((figures, Load::default()))
            })
            .await?;
    }
    Ok(())
}

/// What a command says. Its own processor time counts as strangers': it is no part of the driver.
pub fn said(command: &str, port: u16) -> Fallible<String> {
    let command = command.replace("{bootstrap}", &format!("127.0.0.1:{port}")).replace("{topic}", TOPIC);
    let output = Command::new("sh").args(["-c", &command]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{command} failed: {said}").into()) }
}

/// The last rate of a text.
pub fn rate_in(text: &str) -> Option<f64> {
    let at = RATES.iter().filter_map(|unit| text.rfind(unit)).max()?;
    text[..at].rsplit(|it: char| !it.is_ascii_digit() && it != '.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_last_that_a_program_tells() {
        assert_eq!(rate_in("% 5 msgs/s and\n% 9 messages, 812345 msgs/s and 81.2 MB/s"), Some(812_345.0));
        let kafka = "10 records sent, 9.5 records/sec (0.1 MB/sec)\n50 records sent, 1234.5 records/sec (0.5 MB/sec), 1 ms avg";
        assert_eq!(rate_in(kafka), Some(1_234.5));
        assert_eq!(rate_in("no rate"), None);
    }
}
