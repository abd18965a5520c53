//! `ottla group describe`: what a group is, what it has read, who its members are.
//!
//! Owns: the tables and documents. Does not own: the numbers (`positions`).

use std::collections::BTreeSet;

use ottla_client::admin::{GroupDescription, GroupType, MemberDescription};
use ottla_model::TopicPartition;
use serde_json::{Value, json};

use super::super::partitions::ends_of;
use super::super::plan::all_told;
use super::super::refusal::Refusal;
use super::super::report::{Column, Report, Table, column, wide};
use super::Work;
use super::positions::{self, Position};
use crate::terminal::Terminal;

const SUMMARY: &[Column] = &[
    column("name"),
    column("state"),
    column("type"),
    column("members"),
    column("lag"),
    column("assignor"),
    column("coordinator"),
    wide("epoch"),
    wide("assignment_epoch"),
];
const PARTITIONS: &[Column] = &[
    column("topic"),
    column("partition"),
    column("committed"),
    wide("start"),
    column("end"),
    column("lag"),
    column("member"),
    wide("client_id"),
    column("host"),
    wide("leader_epoch"),
    wide("metadata"),
];
const PARTITIONS_OF_ALL: &[Column] = &[
    column("group"),
    column("topic"),
    column("partition"),
    column("committed"),
    column("start"),
    column("end"),
    column("lag"),
    column("member"),
    column("client_id"),
    column("host"),
    column("leader_epoch"),
    column("metadata"),
];
const MEMBERS: &[Column] = &[
    column("member"),
    wide("instance_id"),
    column("client_id"),
    column("host"),
    wide("epoch"),
    column("partitions"),
];

/// A group with all that is shown of it.
struct Shown {
    group: GroupDescription,
    positions: Vec<Position>,
}

/// Shows groups; those that cannot be shown are told.
pub(super) async fn run(work: &Work, names: &[String], terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let (mut sections, mut documents, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Table::new(PARTITIONS_OF_ALL);
    for name in names {
        match of_group(work, name).await {
            Ok(shown) => {
                documents.push(shown.document());
                shown.add_sections(&mut sections);
                for position in &shown.positions {
                    let [a, b, c, d, e, f, g, h, i, j, k] = cells(position);
                    all.push([json!(name), a, b, c, d, e, f, g, h, i, j, k]);
                }
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if !documents.is_empty() {
        Report::of_sections(Value::Array(documents), sections, all).print(work.output.output, terminal);
    }
    all_told(refusals, terminal)
}

async fn of_group(work: &Work, name: &str) -> Result<Shown, Refusal> {
    let group = positions::described(&work.admin, name).await?;
    let committed = positions::committed(&work.admin, name).await?;
    let partitions: BTreeSet<TopicPartition> = positions::partitions(&group, &committed);
    let ends = ends_of(&work.admin, &partitions).await?;
    let positions = positions::positions(&group, &committed, &ends);
    Ok(Shown { group, positions })
}

impl Shown {
    fn summary(&self) -> [Value; 9] {
        let group = &self.group;
        let assignor = Some(&group.assignor).filter(|assignor| !assignor.is_empty());
        [
            json!(group.id),
            json!(group.state),
            json!(type_name(group.group_type)),
            json!(group.members.len()),
            json!(positions::total_lag(&self.positions)),
            json!(assignor),
            json!(group.coordinator.id.value()),
            json!(group.epoch),
            json!(group.assignment_epoch),
        ]
    }

    fn partitions(&self) -> Table {
        let mut table = Table::new(PARTITIONS);
        self.positions.iter().for_each(|position| table.push(cells(position)));
        table
    }

    fn members(&self) -> Table {
        let mut table = Table::new(MEMBERS);
        for member in &self.group.members {
            table.push(member_cells(member));
        }
        table
    }

    fn document(&self) -> Value {
        let [name, state, kind, _, lag, assignor, coordinator, epoch, assignment_epoch] = self.summary();
        json!({
            "name": name,
            "state": state,
            "type": kind,
            "assignor": assignor,
            "coordinator": coordinator,
            "epoch": epoch,
            "assignment_epoch": assignment_epoch,
            "lag": lag,
            "partitions": self.partitions().objects(),
            "members": self.members().objects(),
        })
    }

    fn add_sections(&self, sections: &mut Vec<(Option<String>, Table)>) {
        let mut summary = Table::new(SUMMARY);
        summary.push(self.summary());
        sections.push((None, summary));
        if !self.positions.is_empty() {
            sections.push((None, self.partitions()));
        }
        if !self.group.members.is_empty() {
            sections.push((None, self.members()));
        }
    }
}

fn type_name(kind: GroupType) -> &'static str {
    match kind {
        GroupType::Classic => "classic",
        GroupType::Consumer => "consumer",
    }
}

fn cells(position: &Position) -> [Value; 11] {
    let member = position.member.as_ref();
    let committed = position.committed.as_ref();
    let metadata = committed.map(|it| &it.metadata).filter(|metadata| !metadata.is_empty());
    [
        json!(position.partition.topic.as_str()),
        json!(position.partition.partition.value()),
        json!(committed.map(|it| it.offset.value())),
        json!(position.ends.map(|ends| ends.start.value())),
        json!(position.ends.map(|ends| ends.end.value())),
        json!(position.lag()),
        json!(member.map(|member| &member.id)),
        json!(member.map(|member| &member.client_id)),
        json!(member.map(|member| &member.host)),
        json!(committed.and_then(|it| it.leader_epoch).map(|epoch| epoch.value())),
        json!(metadata),
    ]
}

fn member_cells(member: &MemberDescription) -> [Value; 6] {
    let mut partitions: Vec<&TopicPartition> = member.assignment.iter().collect();
    partitions.sort();
    let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    [
        json!(member.id),
        json!(member.instance_id),
        json!(member.client_id),
        json!(member.host),
        json!(member.epoch),
        json!(partitions),
    ]
}
