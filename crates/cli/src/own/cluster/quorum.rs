//! `ottla cluster quorum`: who keeps and follows the metadata log.
//!
//! Owns: what it shows. Does not own: changing who votes.

use ottla_client::Admin;
use ottla_client::admin::{DescribeQuorumError, QuorumDescription, QuorumReplica};
use ottla_model::{BrokerId, Offset, Timestamp};
use serde_json::{Value, json};

use super::super::refusal::Refusal;
use super::super::report::{Column, Output, Report, Table, column, wide};
use super::super::timestamp::iso;
use crate::admin_refusal;
use crate::terminal::Terminal;

const COLUMNS: &[Column] = &[
    column("node"),
    column("role"),
    column("log_end"),
    column("lag"),
    column("last_fetch"),
    wide("last_caught_up"),
    column("listeners"),
    wide("directory"),
];

/// Asks for the quorum.
pub async fn describe(admin: &Admin) -> Result<QuorumDescription, Refusal> {
    let failed =
        |error: DescribeQuorumError| admin_refusal!(error, "the metadata quorum could not be described");
    admin.describe_quorum().await.map_err(failed)
}

/// Shows the quorum.
pub async fn run(admin: &Admin, output: Output, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let quorum = describe(admin).await?;
    Report::list(table_of(&quorum)).print(output, terminal);
    Ok(())
}

fn table_of(quorum: &QuorumDescription) -> Table {
    let mut table = Table::new(COLUMNS);
    let is_leader = |replica: &QuorumReplica| quorum.leader.map(BrokerId::value) == Some(replica.id);
    let end = quorum.voters.iter().find(|voter| is_leader(voter)).and_then(|leader| leader.log_end);
    let roles = [("voter", &quorum.voters), ("observer", &quorum.observers)];
    for (role, replica) in roles.iter().flat_map(|(role, all)| all.iter().map(move |one| (*role, one))) {
        let role = if is_leader(replica) { "leader" } else { role };
        let listeners = BrokerId::new(replica.id).and_then(|id| quorum.nodes.get(&id)).cloned();
        let listeners: Vec<String> = listeners
            .unwrap_or_default()
            .into_iter()
            .map(|(name, endpoint)| format!("{name}://{endpoint}"))
            .collect();
        table.push([
            json!(replica.id),
            json!(role),
            json!(replica.log_end.map(Offset::value)),
            json!(lag(replica.log_end, end)),
            time(replica.last_fetch),
            time(replica.last_caught_up),
            json!(listeners),
            json!(replica.directory.map(|directory| directory.to_string())),
        ]);
    }
    table
}

/// Records that a copy lacks.
fn lag(log_end: Option<Offset>, of_leader: Option<Offset>) -> Option<i64> {
    Some((of_leader?.value() - log_end?.value()).max(0))
}

fn time(time: Option<Timestamp>) -> Value {
    json!(time.and_then(iso))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: i32, log_end: i64) -> QuorumReplica {
        let last_fetch = Some(Timestamp::from_millis(0));
        QuorumReplica { id, directory: None, log_end: Offset::new(log_end), last_fetch, last_caught_up: None }
    }

    #[test]
    fn roles_and_lag_are_told_against_the_leader() {
        let quorum = QuorumDescription {
            leader: BrokerId::new(2),
            leader_epoch: None,
            high_watermark: None,
            voters: vec![replica(1, 90), replica(2, 100)],
            observers: vec![replica(7, 99)],
            nodes: Default::default(),
        };
        let rows = table_of(&quorum).objects();
        let told = |row: &Value| (row["node"].clone(), row["role"].clone(), row["lag"].clone());
        assert_eq!(told(&rows[0]), (json!(1), json!("voter"), json!(10)));
        assert_eq!(told(&rows[1]), (json!(2), json!("leader"), json!(0)));
        assert_eq!(told(&rows[2]), (json!(7), json!("observer"), json!(1)));
        assert_eq!(rows[0]["last_fetch"], "1970-01-01T00:00:00.000Z");
    }
}
