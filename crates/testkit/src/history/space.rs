//! C4: a node with a full disk lives, and takes records again by itself once there is room.
//!
//! Owns: what counts as coming back. Does not own: that nothing is lost meanwhile (`durability`).

use super::event::Event;
use super::index::{History, Outcome};
use super::{Findings, Rule};

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut acks: Vec<u64> = history
        .sends()
        .iter()
        .filter_map(|sent| match sent.outcome {
            Outcome::Ok { at, .. } => Some(at),
            Outcome::Failed | Outcome::Unknown => None,
        })
        .collect();
    acks.sort_unstable();
    for (position, event) in history.events() {
        let Event::Full { since, at, within, node } = event else { continue };
        let deadline = at.saturating_add(*within);
        let ended = history.events().find(|(_, other)| {
            matches!(other, Event::Ended { at, node: other } if other == node && (*since..=deadline).contains(at))
        });
        if let Some((ended, _)) = ended {
            let sentence = format!("{node} ended by itself when its disk was full");
            findings.add(Rule::C4, [position, ended], sentence);
            continue;
        }
        let next = acks.get(acks.partition_point(|ack| ack <= at));
        if next.is_none_or(|next| *next > deadline) {
            let sentence = format!("{node} took no record within {within} ns after its disk had room again");
            findings.add(Rule::C4, [position], sentence);
        }
    }
}
