//! Numbers of record fields and what they mean.
//!
//! Owns: sentinels and enum codes of metadata records, both ways.
//! Does not own: the records (`crate::records`), the states they describe (`image`).
//!
//! Source: KIP-631, KIP-704; the schemas of `PartitionRecord` and `BrokerRegistrationChangeRecord`.

use ottla_model::BrokerId;

use crate::image::LeaderRecovery;

/// `PartitionChangeRecord.Leader` when the leader stays, its epoch included.
pub const LEADER_UNCHANGED: i32 = -2;

/// A leader, or −1 for none.
pub fn of_leader(leader: Option<BrokerId>) -> i32 {
    leader.map_or(-1, BrokerId::value)
}

pub fn of_brokers(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.value()).collect()
}

/// `None` when one of the numbers is no broker id.
pub fn to_brokers(numbers: &[i32]) -> Option<Vec<BrokerId>> {
    numbers.iter().map(|number| BrokerId::new(*number)).collect()
}

pub const fn of_leader_recovery(state: LeaderRecovery) -> i8 {
    match state {
        LeaderRecovery::Recovered => 0,
        LeaderRecovery::Recovering => 1,
    }
}

/// `None` for a number that means no state; −1, which means "unchanged", is one of them.
pub const fn to_leader_recovery(number: i8) -> Option<LeaderRecovery> {
    match number {
        0 => Some(LeaderRecovery::Recovered),
        1 => Some(LeaderRecovery::Recovering),
        _ => None,
    }
}

/// `PartitionChangeRecord.LeaderRecoveryState` when it stays.
pub const LEADER_RECOVERY_UNCHANGED: i8 = -1;
