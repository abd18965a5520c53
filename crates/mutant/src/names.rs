//! The names of the mutants, each with its cfg.
//!
//! Owns: the list, and the macro made of it. Does not own: what the bugs are (`crates/xtask/src/mutants/table.tsv`).

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
        const _: () = { $(assert!(!crate::is_chosen(stringify!($name)));)* };
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
    serve_unchecked_bytes: mutant_serve_unchecked_bytes,
    believe_damaged_index: mutant_believe_damaged_index,
    believe_damaged_time_index: mutant_believe_damaged_time_index,
    read_unsound_segment: mutant_read_unsound_segment,
    forget_metadata_recovery_point: mutant_forget_metadata_recovery_point,
}
