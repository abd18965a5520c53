//! Deliberate bugs of the product, for the tests that must find them.
//!
//! Owns: their names, and whether one of them is built in and chosen.
//! Does not own: the bugs, each of which stands where it belongs; what they are and which tests are tried
//! (`crates/xtask/src/mutants/table.tsv`).
//!
//! `--cfg mutant_NAME` builds a binary with that bug. `--cfg mutant_any` builds one with all of them, and the
//! environment variable `OTTLA_MUTANT` chooses one or none. Without either, [`mutant!`] is the constant `false`, and
//! nothing of a bug is in the binary.
//!
//! Source: reliability design 4.5; `docs/decisions/0004-mutants.md`.

/// Names the mutant that runs, in a binary with all of them.
#[cfg(mutant_any)]
pub const VARIABLE: &str = "OTTLA_MUTANT";

/// Makes [`mutant!`] and the list of names. A macro cannot put two words together, so both forms are written down.
macro_rules! mutants {
    ($($name:ident: $cfg:ident,)*) => {
        /// Whether this mutant runs.
        #[macro_export]
        macro_rules! mutant {
            $(($name) => { cfg!($cfg) || $crate::is_chosen(stringify!($name)) };)*
        }

        /// All names.
        pub const NAMES: &[&str] = &[$(stringify!($name),)*];

        // Evaluated by the compiler: in an ordinary build every one is the constant `false`.
        #[cfg(not(mutant_any))]
        const _: () = { $(assert!(!is_chosen(stringify!($name)));)* };
    };
}

mutants! {
    skip_flush: mutant_skip_flush,
    retry_failed_flush: mutant_retry_failed_flush,
    skip_sync_of_created_names: mutant_skip_sync_of_created_names,
    skip_sync_of_renames: mutant_skip_sync_of_renames,
    ack_before_flush: mutant_ack_before_flush,
    answer_groups_before_commit: mutant_answer_groups_before_commit,
    serve_beyond_high_watermark: mutant_serve_beyond_high_watermark,
    read_undecided_transactions: mutant_read_undecided_transactions,
    forget_producers_at_restart: mutant_forget_producers_at_restart,
    accept_old_producer_epoch: mutant_accept_old_producer_epoch,
    accept_sequence_gap: mutant_accept_sequence_gap,
    append_repeated_batches: mutant_append_repeated_batches,
    append_without_crc: mutant_append_without_crc,
    recover_without_crc: mutant_recover_without_crc,
    keep_torn_end: mutant_keep_torn_end,
    cut_below_recovery_point: mutant_cut_below_recovery_point,
    recovery_point_ahead_of_flush: mutant_recovery_point_ahead_of_flush,
    keep_clean_mark: mutant_keep_clean_mark,
    retention_by_file_time: mutant_retention_by_file_time,
    retention_by_broker_time: mutant_retention_by_broker_time,
    retention_above_high_watermark: mutant_retention_above_high_watermark,
    retention_takes_active_segment: mutant_retention_takes_active_segment,
    move_log_start_backward: mutant_move_log_start_backward,
    wrong_range_at_segment_border: mutant_wrong_range_at_segment_border,
    full_disk_is_success: mutant_full_disk_is_success,
    skip_snapshot_crc: mutant_skip_snapshot_crc,
    skip_checkpoint_count: mutant_skip_checkpoint_count,
    skip_metadata_snapshot_footer: mutant_skip_metadata_snapshot_footer,
    skip_metadata_batch_crc: mutant_skip_metadata_batch_crc,
    commit_of_old_generation: mutant_commit_of_old_generation,
    commit_of_unknown_member: mutant_commit_of_unknown_member,
    heartbeat_of_old_generation: mutant_heartbeat_of_old_generation,
    expire_offsets_of_live_group: mutant_expire_offsets_of_live_group,
    range_assigns_twice: mutant_range_assigns_twice,
    sticky_assigns_twice: mutant_sticky_assigns_twice,
    reuse_topic_id: mutant_reuse_topic_id,
    fetch_old_topic_id: mutant_fetch_old_topic_id,
    produce_old_topic_id: mutant_produce_old_topic_id,
    unbounded_count: mutant_unbounded_count,
    unbounded_unpacking: mutant_unbounded_unpacking,
    oversized_frame: mutant_oversized_frame,
    reuse_read_buffer: mutant_reuse_read_buffer,
    ignore_denial: mutant_ignore_denial,
}

/// Whether a mutant is the one the environment names.
#[cfg(mutant_any)]
pub fn is_chosen(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let chosen = std::env::var(VARIABLE).ok().filter(|chosen| !chosen.is_empty());
        if let Some(unknown) = chosen.as_deref().filter(|chosen| !NAMES.contains(chosen)) {
            panic!("{VARIABLE}: there is no mutant '{unknown}'");
        }
        chosen
    });
    chosen.as_deref() == Some(name)
}

/// No: this is no build with all mutants.
#[cfg(not(mutant_any))]
#[inline(always)]
pub const fn is_chosen(_name: &str) -> bool {
    false
}
