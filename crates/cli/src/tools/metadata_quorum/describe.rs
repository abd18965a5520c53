//! `kafka-metadata-quorum describe`.
//!
//! Owns: the summary and the table. Does not own: asking for them (`ottla_client::Admin`).
//!
//! Scripts read both: columns stand between tabs, filled to the width of the widest cell.

use ottla_client::Admin;
use ottla_client::admin::{QuorumDescription, QuorumReplica};
use ottla_env::time;
use ottla_model::{BrokerId, Offset, Timestamp};

use super::super::failure::{Failure, Problem};
use super::controller::endpoint_text;
use crate::operation_failure;
use crate::terminal::Terminal;

/// What the tool says of an offset or a time that nobody knows.
const UNKNOWN: i64 = -1;

/// Shows the summary.
pub(super) async fn status(admin: &Admin, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let cluster = admin.describe_cluster(false).await;
    let cluster = cluster.map_err(|error| operation_failure!(error).in_execution())?;
    let quorum = quorum(admin).await?;
    terminal.out_line(summary(&cluster.cluster_id, &quorum)?);
    Ok(())
}

/// Shows how far each copy is.
pub(super) async fn replication(
    admin: &Admin,
    human_readable: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), Problem> {
    let quorum = quorum(admin).await?;
    let now = human_readable.then(time::wall_now);
    terminal.out(table(&rows(&quorum, now)?));
    Ok(())
}

async fn quorum(admin: &Admin) -> Result<QuorumDescription, Failure> {
    admin.describe_quorum().await.map_err(|error| operation_failure!(error).in_execution())
}

/// The place of the leader among the voters.
fn leader_of(quorum: &QuorumDescription) -> Result<usize, Failure> {
    let leads = |voter: &QuorumReplica| quorum.leader.is_some_and(|leader| leader.value() == voter.id);
    let absent = || Failure::new("java.util.NoSuchElementException", "No value present");
    quorum.voters.iter().position(leads).ok_or_else(absent)
}

fn end_of(replica: &QuorumReplica) -> i64 {
    replica.log_end.map_or(UNKNOWN, Offset::value)
}

fn summary(cluster_id: &str, quorum: &QuorumDescription) -> Result<String, Failure> {
    let leader_at = leader_of(quorum)?;
    let leader = &quorum.voters[leader_at];
    let last = quorum.voters.iter().enumerate().min_by_key(|(_, voter)| end_of(voter));
    let (last_at, last) = last.unwrap_or((leader_at, leader));
    let lag_ms = match (leader.last_caught_up, last.last_caught_up) {
        _ if last_at == leader_at => 0,
        (Some(leader), Some(last)) => leader.millis().saturating_sub(last.millis()),
        (Some(_) | None, _) => UNKNOWN,
    };
    let lines = [
        ("ClusterId", cluster_id.to_owned()),
        ("LeaderId", quorum.leader.map_or(UNKNOWN.to_string(), |leader| leader.to_string())),
        ("LeaderEpoch", quorum.leader_epoch.map_or(UNKNOWN.to_string(), |epoch| epoch.value().to_string())),
        ("HighWatermark", quorum.high_watermark.map_or(UNKNOWN, Offset::value).to_string()),
        ("MaxFollowerLag", end_of(leader).saturating_sub(end_of(last)).to_string()),
        ("MaxFollowerLagTimeMs", lag_ms.to_string()),
        ("CurrentVoters", nodes(quorum, &quorum.voters)),
        ("CurrentObservers", nodes(quorum, &quorum.observers)),
    ];
    let lines = lines.map(|(title, text)| format!("{:24}{text}", format!("{title}:")));
    Ok(lines.join("\n"))
}

/// `[{"id": 1, "directoryId": "…", "endpoints": ["CONTROLLER://localhost:9093"]}]`
fn nodes(quorum: &QuorumDescription, replicas: &[QuorumReplica]) -> String {
    let node = |replica: &QuorumReplica| {
        let mut text = format!("{{\"id\": {}", replica.id);
        if let Some(directory) = replica.directory {
            text.push_str(&format!(", \"directoryId\": \"{directory}\""));
        }
        let listeners = BrokerId::new(replica.id).and_then(|id| quorum.nodes.get(&id));
        if let Some(listeners) = listeners.filter(|listeners| !listeners.is_empty()) {
            let endpoints: Vec<String> =
                listeners.iter().map(|listener| format!("\"{}\"", endpoint_text(listener))).collect();
            text.push_str(&format!(", \"endpoints\": [{}]", endpoints.join(", ")));
        }
        text + "}"
    };
    format!("[{}]", replicas.iter().map(node).collect::<Vec<_>>().join(", "))
}

/// One line of the table.
type Row = [String; 7];

const HEADER: [&str; 7] =
    ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];

/// The leader, the other voters, the observers. With the time `now`, times are told as how long ago.
fn rows(quorum: &QuorumDescription, now: Option<Timestamp>) -> Result<Vec<Row>, Failure> {
    let leader_at = leader_of(quorum)?;
    let leader_end = end_of(&quorum.voters[leader_at]);
    let leads = |voter: &&QuorumReplica| quorum.leader.is_some_and(|leader| leader.value() == voter.id);
    let mut shown = vec![(&quorum.voters[leader_at], "Leader")];
    shown.extend(quorum.voters.iter().filter(|voter| !leads(voter)).map(|voter| (voter, "Follower")));
    shown.extend(quorum.observers.iter().map(|observer| (observer, "Observer")));
    let row = |(replica, status): (&QuorumReplica, &str)| {
        Ok([
            replica.id.to_string(),
            replica.directory.unwrap_or_default().to_string(),
            end_of(replica).to_string(),
            leader_end.saturating_sub(end_of(replica)).to_string(),
            time_text(replica.last_fetch, now, "last fetch")?,
            time_text(replica.last_caught_up, now, "last caught up")?,
            status.to_owned(),
        ])
    };
    shown.into_iter().map(row).collect()
}

fn time_text(at: Option<Timestamp>, now: Option<Timestamp>, what: &str) -> Result<String, Failure> {
    match (at, now) {
        (None, _) => Ok(UNKNOWN.to_string()),
        (Some(at), None) => Ok(at.millis().to_string()),
        (Some(at), Some(now)) if at.millis() > 0 && at <= now => {
            Ok(format!("{} ms ago", now.millis().saturating_sub(at.millis())))
        }
        (Some(at), Some(now)) => Err(Failure::new(
            "org.apache.kafka.common.KafkaException",
            format!(
                "Error while computing relative time, possible drift in system clock.\nCurrent timestamp is {}, {what} \
                 timestamp is {}",
                now.millis(),
                at.millis()
            ),
        )),
    }
}

fn table(rows: &[Row]) -> String {
    let header = HEADER.map(str::to_owned);
    let all: Vec<&Row> = std::iter::once(&header).chain(rows).collect();
    let mut text = String::new();
    for row in &all {
        for (column, cell) in row.iter().enumerate() {
            let width = all.iter().map(|row| row[column].len()).max().unwrap_or(0);
            text.push_str(&format!("{cell:width$}\t"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottla_client::config::Endpoint;
    use ottla_model::{LeaderEpoch, Uuid};

    use super::*;

    fn replica(id: i32, end: i64, caught_up: Option<i64>) -> QuorumReplica {
        QuorumReplica {
            id,
            directory: (id == 3).then(|| Uuid::from_bytes([1; 16])),
            log_end: Offset::new(end),
            last_fetch: caught_up.map(Timestamp::from_millis),
            last_caught_up: caught_up.map(Timestamp::from_millis),
        }
    }

    fn quorum() -> QuorumDescription {
        let endpoint = |port| ("C".to_owned(), Endpoint { host: "::1".to_owned(), port });
        QuorumDescription {
            leader: BrokerId::new(2),
            leader_epoch: LeaderEpoch::new(7),
            high_watermark: Offset::new(95),
            voters: vec![replica(1, 90, Some(400)), replica(2, 100, Some(1000)), replica(3, 100, Some(900))],
            observers: vec![replica(4, -1, None)],
            nodes: BTreeMap::from([(BrokerId::new(1).unwrap(), vec![endpoint(1), endpoint(2)])]),
        }
    }

    /// OUT-03
    #[test]
    fn the_summary_names_the_leader_the_lag_and_who_belongs_to_the_quorum() {
        let expected = "ClusterId:              abc\nLeaderId:               2\nLeaderEpoch:            7\n\
                        HighWatermark:          95\nMaxFollowerLag:         10\nMaxFollowerLagTimeMs:   600\n\
                        CurrentVoters:          [{\"id\": 1, \"endpoints\": [\"C://[::1]:1\", \"C://[::1]:2\"]}, \
                        {\"id\": 2}, {\"id\": 3, \"directoryId\": \"AQEBAQEBAQEBAQEBAQEBAQ\"}]\n\
                        CurrentObservers:       [{\"id\": 4}]";
        assert_eq!(summary("abc", &quorum()).unwrap(), expected);
        let alone = QuorumDescription { voters: vec![replica(2, 5, None)], ..quorum() };
        assert!(summary("abc", &alone).unwrap().contains("MaxFollowerLagTimeMs:   0\n"));
        let leaderless = QuorumDescription { leader: None, ..quorum() };
        assert_eq!(summary("abc", &leaderless).unwrap_err().message(), "No value present");
    }

    #[test]
    fn the_leader_stands_first_in_the_table_and_observers_last() {
        let rows = rows(&quorum(), Some(Timestamp::from_millis(1500))).unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        let none = Uuid::default().to_string();
        assert_eq!(lines[0], format!("2 {none} 100 0 500 ms ago 500 ms ago Leader"));
        assert_eq!(lines[1], format!("1 {none} 90 10 1100 ms ago 1100 ms ago Follower"));
        assert_eq!(lines[3], format!("4 {none} -1 101 -1 -1 Observer"));
        assert!(table(&rows).lines().all(|line| line.ends_with('\t')));
        assert!(table(&rows).starts_with("NodeId\tDirectoryId           \tLogEndOffset\tLag\t"));
    }

    #[test]
    fn a_time_that_is_yet_to_come_is_a_clock_gone_wrong() {
        let failure = rows(&quorum(), Some(Timestamp::from_millis(950))).unwrap_err();
        assert!(failure.message().ends_with("Current timestamp is 950, last fetch timestamp is 1000"));
    }
}
