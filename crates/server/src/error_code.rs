//! The one place where errors become the codes of the wire.
//!
//! Owns: the mapping of each operation's error enum, exhaustively; one file per crate the errors come from.
//! Does not own: the errors; the codes (`protocol`).

mod groups;
mod metadata;
mod partitions;
mod transactions;

pub use groups::{
    of_commit, of_commit_partition, of_consumer_heartbeat, of_delete_group, of_delete_offsets,
    of_describe_group, of_heartbeat, of_join, of_leave, of_leave_member, of_list_groups, of_offset_fetch,
    of_sync, of_transactional_commit, of_unavailable,
};
pub use metadata::{
    of_alter_config, of_create_partitions, of_create_topic, of_delete_topic, of_elect, of_producer_ids,
    of_reassign, of_too_much, of_update_features,
};
pub use partitions::{believed_epoch, of_ack, of_look, of_produce, of_standing};
pub use transactions::{
    of_describe_transaction, of_end_transaction, of_enlist, of_initialize, of_list_transactions, told_as,
};
