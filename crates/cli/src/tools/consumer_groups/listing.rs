//! `kafka-consumer-groups --list`.
//!
//! Owns: which groups are listed, in which columns.
//! Does not own: asking the brokers (`ottla_client::Admin`).

use ottla_client::admin::GroupListing;
use ottla_model::java_string_hash;

use super::super::failure::{Failure, groups_not_listed};
use super::super::hash_order::hash_order;
use super::state::{State, Type};
use super::topic_list::split;
use super::{Tool, line, width};
use crate::jopt::OptError;
use crate::terminal::Terminal;

/// The types of groups that consumers form.
pub(super) const CONSUMER_TYPES: [Type; 2] = [Type::Classic, Type::Consumer];

/// Width of a column but the first.
const COLUMN: usize = 20;

pub(super) async fn run(tool: &Tool<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let (has_type, has_state) = (tool.given.has("type"), tool.given.has("state"));
    if !has_type && !has_state {
        let groups = consumer_groups(tool, &[], &CONSUMER_TYPES).await.map_err(Failure::in_runtime)?;
        groups.iter().for_each(|group| terminal.out_line(&group.id));
        return Ok(());
    }
    let of_option = |error: OptError| Failure::from(&error);
    let types = types_of(tool.given.value("type").map_err(of_option)?)?;
    let states = states_of(tool.given.value("state").map_err(of_option)?)?;
    let groups = consumer_groups(tool, &states, &types).await?;
    let id_width = width(15, groups.iter().map(|group| group.id.as_str())) + 10;
    let row = |id: &str, kind: &str, state: &str| {
        let mut cells = vec![(id, id_width)];
        cells.extend(has_type.then_some((kind, COLUMN)));
        cells.extend(has_state.then_some((state, COLUMN)));
        line(&cells)
    };
    terminal.out_line(row("GROUP", "TYPE", "STATE"));
    for group in groups {
        let (kind, state) = (Type::parse(&group.group_type), State::parse(&group.state));
        terminal.out_line(row(&group.id, kind.name(), state.name()));
    }
    Ok(())
}

/// The groups of consumers in these states and of these types, in the order of a hash table.
pub(super) async fn consumer_groups(
    tool: &Tool<'_>,
    states: &[State],
    types: &[Type],
) -> Result<Vec<GroupListing>, Failure> {
    let states: Vec<String> = states.iter().map(|state| state.name().to_owned()).collect();
    let types: Vec<String> = types.iter().map(|kind| kind.name().to_owned()).collect();
    let groups = tool.admin.list_groups(&states, &types).await;
    let mut groups = groups.map_err(|error| groups_not_listed(&error).in_execution())?;
    groups.retain(|group| matches!(group.protocol_type.as_str(), "" | "consumer"));
    Ok(hash_order(groups, |group| java_string_hash(&group.id)))
}

fn states_of(text: Option<&str>) -> Result<Vec<State>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let states: Vec<State> = split(text, ',').into_iter().map(|name| State::parse(name.trim())).collect();
    match states.contains(&State::Unknown) {
        false => Ok(states),
        true => {
            let valid: Vec<&str> = State::OF_CONSUMERS.iter().map(|state| state.name()).collect();
            Err(Failure::illegal_argument(format!(
                "Invalid state list '{text}'. Valid states are: {}",
                valid.join(", ")
            )))
        }
    }
}

fn types_of(text: Option<&str>) -> Result<Vec<Type>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let types: Vec<Type> = split(text, ',').into_iter().map(|name| Type::parse(name.trim())).collect();
    match types.contains(&Type::Unknown) {
        false => Ok(types),
        true => {
            let valid: Vec<&str> = Type::OF_CONSUMERS.iter().map(|kind| kind.name()).collect();
            Err(Failure::illegal_argument(format!(
                "Invalid types list '{text}'. Valid types are: {}",
                valid.join(", ")
            )))
        }
    }
}
