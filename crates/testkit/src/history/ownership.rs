//! Rules about who has which partition of a group: G1 and G4.
//!
//! Owns: when two members may have one partition at a time, and when a group counts as settled.
//! Does not own: what members commit (`groups`).
//!
//! A member that was cut off may believe in a partition that is another's by now, until it learns that it lost it. One that gave
//! it up in order, or whose commit was accepted, was no such member: the coordinator knew two owners.

use std::collections::HashMap;

use super::event::{Event, Name};
use super::index::{GroupPartition, History, Outcome};
use super::{Findings, Rule};

/// A member that has a partition, and those that got it meanwhile.
struct Owner<'a> {
    client: &'a Name,
    assigned: usize,
    /// The first one that came after it: when, and the event.
    followed: Option<(u64, usize)>,
}

/// Owners as events pass by.
#[derive(Default)]
struct Owners<'a> {
    now: HashMap<GroupPartition, Vec<Owner<'a>>>,
    /// Of each member and partition, from when to when another one had it too.
    doubted: HashMap<(GroupPartition, &'a Name), Vec<Doubt>>,
}

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut owners = Owners::default();
    for (position, event) in history.events() {
        owners.on_assigned(position, event);
        owners.on_revoked(position, event, findings);
        settles(position, event, findings);
    }
    let doubted = owners.into_doubted();
    no_commit_in_doubt(history, &doubted, findings);
}

impl<'a> Owners<'a> {
    fn on_assigned(&mut self, position: usize, event: &'a Event) {
        let Event::Assigned { at, client, group, partition } = event else { return };
        let owners = self.now.entry((group.clone(), partition.clone())).or_default();
        if owners.iter().any(|owner| owner.client == client) {
            return;
        }
        for owner in owners.iter_mut() {
            owner.followed = owner.followed.or(Some((*at, position)));
        }
        owners.push(Owner { client, assigned: position, followed: None });
    }

    fn on_revoked(&mut self, position: usize, event: &'a Event, findings: &mut Findings) {
        let Event::Revoked { at, client, group, partition, lost } = event else { return };
        let key = (group.clone(), partition.clone());
        let Some(owners) = self.now.get_mut(&key) else { return };
        let Some(index) = owners.iter().position(|owner| owner.client == client) else { return };
        let owner = owners.remove(index);
        // What touches does not overlap.
        let Some((since, other)) = owner.followed.filter(|(since, _)| since < at) else { return };
        self.doubted.entry((key, client)).or_default().push(Doubt { since, until: *at, other });
        if !lost {
            let sentence = format!(
                "{client} gave {partition} of group {group} up in order, after another member had got it"
            );
            findings.add(Rule::G1, [owner.assigned, other, position], sentence);
        }
    }

    /// Who still has a partition that another one has too may do so for ever.
    fn into_doubted(self) -> HashMap<(GroupPartition, &'a Name), Vec<Doubt>> {
        let mut doubted = self.doubted;
        for (key, owners) in self.now {
            for owner in owners {
                if let Some((since, other)) = owner.followed {
                    let doubt = Doubt { since, until: u64::MAX, other };
                    doubted.entry((key.clone(), owner.client)).or_default().push(doubt);
                }
            }
        }
        doubted
    }
}

/// A time in which another member had got the partition too.
struct Doubt {
    since: u64,
    until: u64,
    other: usize,
}

/// A member whose partition another one has got commits no more (G1).
fn no_commit_in_doubt(
    history: &History,
    doubted: &HashMap<(GroupPartition, &Name), Vec<Doubt>>,
    findings: &mut Findings,
) {
    for (key, commits) in history.commits() {
        for commit in commits.iter().filter(|commit| !commit.reset) {
            let Outcome::Ok { event, .. } = commit.outcome else { continue };
            let doubts = doubted.get(&(key.clone(), &commit.client));
            let doubt =
                doubts.into_iter().flatten().find(|it| it.since < commit.began && commit.began < it.until);
            if let Some(doubt) = doubt {
                let sentence = format!(
                    "a commit of {} for {} of group {} was accepted after another member had got the partition",
                    commit.client, key.1, key.0
                );
                findings.add(Rule::G1, [doubt.other, commit.event, event], sentence);
            }
        }
    }
}

fn settles(position: usize, event: &Event, findings: &mut Findings) {
    let Event::Settled { since, at, within, group, partition, stable, owners } = event else { return };
    let took = at - since;
    let wrong = if !stable {
        format!("group {group} is not stable {took} ns after the last fault")
    } else if *owners != 1 {
        format!("{partition} of group {group} is at {owners} members")
    } else if took > *within {
        format!("group {group} took {took} ns to settle; {within} is the bound")
    } else {
        return;
    };
    findings.add(Rule::G4, [position], wrong);
}
