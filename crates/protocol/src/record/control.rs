//! Control records: what leaders and coordinators write into a log for readers of the log, not for consumers.
//!
//! Owns: the key of every kind, the value of the end of a transaction.
//! Does not own: the values of the quorum's records (generated messages of the same names).
//!
//! Key: i16 version 0, i16 kind. Value of kinds 0 and 1: i16 version 0, i32 coordinator epoch.
//!
//! Source: KIP-98, KIP-595, KIP-630, KIP-853; requirements section 2.1.

use super::layout::{field, put};

/// What a control record says. The numbers are those of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlKind {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KraftVersion,
    KraftVoters,
}

/// Why a record of a control batch is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("the key of a control record has {got} bytes, fewer than 4")]
    Key { got: usize },
    #[error("control record version {got} is negative")]
    Version { got: i16 },
    #[error("unknown control record type {got}")]
    Kind { got: i16 },
    #[error("the value of an end of transaction has {got} bytes, fewer than 6")]
    Value { got: usize },
}

/// Version of the keys and of the end-of-transaction values that are written.
const VERSION: i16 = 0;

impl ControlKind {
    /// The key of a record of this kind.
    pub fn key(self) -> [u8; 4] {
        let mut key = [0; 4];
        put(&mut key, 0, VERSION.to_be_bytes());
        put(&mut key, 2, self.number().to_be_bytes());
        key
    }

    /// Reads the key of a control record. Readers skip kinds they do not know.
    pub fn of_key(key: &[u8]) -> Result<ControlKind, ControlError> {
        let fixed = key.first_chunk::<4>().ok_or(ControlError::Key { got: key.len() })?;
        let version = i16::from_be_bytes(field(fixed, 0));
        if version < 0 {
            return Err(ControlError::Version { got: version });
        }
        match i16::from_be_bytes(field(fixed, 2)) {
            0 => Ok(ControlKind::Abort),
            1 => Ok(ControlKind::Commit),
            2 => Ok(ControlKind::LeaderChange),
            3 => Ok(ControlKind::SnapshotHeader),
            4 => Ok(ControlKind::SnapshotFooter),
            5 => Ok(ControlKind::KraftVersion),
            6 => Ok(ControlKind::KraftVoters),
            got => Err(ControlError::Kind { got }),
        }
    }

    /// The number in the key.
    pub const fn number(self) -> i16 {
        match self {
            ControlKind::Abort => 0,
            ControlKind::Commit => 1,
            ControlKind::LeaderChange => 2,
            ControlKind::SnapshotHeader => 3,
            ControlKind::SnapshotFooter => 4,
            ControlKind::KraftVersion => 5,
            ControlKind::KraftVoters => 6,
        }
    }
}

/// The value behind [`ControlKind::Abort`] and [`ControlKind::Commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// Epoch of the coordinator that ended the transaction; fences older ones.
    pub coordinator_epoch: i32,
}

impl EndTransaction {
    /// The value as it is written.
    pub fn value(self) -> [u8; 6] {
        let mut value = [0; 6];
        put(&mut value, 0, VERSION.to_be_bytes());
        put(&mut value, 2, self.coordinator_epoch.to_be_bytes());
        value
    }

    /// Reads a value of any version: later ones begin with the same fields.
    pub fn of_value(value: &[u8]) -> Result<EndTransaction, ControlError> {
        let fixed = value.first_chunk::<6>().ok_or(ControlError::Value { got: value.len() })?;
        let version = i16::from_be_bytes(field(fixed, 0));
        if version < 0 {
            return Err(ControlError::Version { got: version });
        }
        Ok(EndTransaction { coordinator_epoch: i32::from_be_bytes(field(fixed, 2)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_kafka_s() {
        assert_eq!(ControlKind::Abort.key(), [0, 0, 0, 0]);
        assert_eq!(ControlKind::KraftVoters.key(), [0, 0, 0, 6]);
        for number in 0..=6_u8 {
            assert_eq!(ControlKind::of_key(&[0, 0, 0, number]).unwrap().number(), i16::from(number));
        }
        assert_eq!(ControlKind::of_key(&[0, 0, 0, 7]), Err(ControlError::Kind { got: 7 }));
        assert_eq!(ControlKind::of_key(&[0, 0, 0]), Err(ControlError::Key { got: 3 }));
        assert_eq!(ControlKind::of_key(&[0xff, 0xff, 0, 0]), Err(ControlError::Version { got: -1 }));
    }

    #[test]
    fn the_end_of_a_transaction_names_its_coordinator_s_epoch() {
        let end = EndTransaction { coordinator_epoch: 7 };
        assert_eq!(end.value(), [0, 0, 0, 0, 0, 7]);
        assert_eq!(EndTransaction::of_value(&[0, 1, 0, 0, 0, 7, 9]), Ok(end));
        assert_eq!(EndTransaction::of_value(&[0; 5]), Err(ControlError::Value { got: 5 }));
    }
}
