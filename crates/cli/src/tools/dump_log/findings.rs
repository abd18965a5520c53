//! What is wrong with the files, told at the end.
//!
//! Owns: findings by file, their words and order.
//! Does not own: finding them.
//!
//! Source: behaviour of `kafka-dump-log` of Kafka 4.3.1.

use std::collections::BTreeMap;

use crate::terminal::Terminal;

/// Pairs of numbers by file, in the order in which they were found.
type Pairs = BTreeMap<String, Vec<(i64, i64)>>;

/// Pairs of numbers by file and by their first number; of several the last one stays.
type SortedPairs = BTreeMap<String, BTreeMap<i64, i64>>;

/// All findings of one run.
#[derive(Debug, Default)]
pub struct Findings {
    /// Entries of an offset index whose batch ends at another offset: of the entry, of the batch. Told from behind.
    mismatches: SortedPairs,
    /// Entries of a time index whose batch has another time: of the entry, of the batch.
    wrong_times: Pairs,
    /// Entries of a time index that are not later than the one before: of the entry, of the one before.
    disordered_times: Pairs,
    /// Entries of a time index whose offset no batch ends with: of the entry, of the batch found.
    lost_offsets: Pairs,
    /// Records that do not follow the one before: offset of that one, their offset.
    gaps: SortedPairs,
}

impl Findings {
    pub fn mismatch(&mut self, file: String, index: i64, log: i64) {
        self.mismatches.entry(file).or_default().insert(index, log);
    }

    pub fn wrong_time(&mut self, file: String, index: i64, log: i64) {
        self.wrong_times.entry(file).or_default().push((index, log));
    }

    pub fn disordered_time(&mut self, file: String, index: i64, before: i64) {
        self.disordered_times.entry(file).or_default().push((index, before));
    }

    pub fn lost_offset(&mut self, file: String, index: i64, log: i64) {
        self.lost_offsets.entry(file).or_default().push((index, log));
    }

    pub fn gap(&mut self, file: String, before: i64, offset: i64) {
        self.gaps.entry(file).or_default().insert(before, offset);
    }

    /// Prints everything that was found.
    pub fn tell(&self, terminal: &mut Terminal<'_>) {
        for (file, pairs) in &self.mismatches {
            terminal.err_line(format_args!("Mismatches in :{file}"));
            for (index, log) in pairs.iter().rev() {
                terminal.err_line(format_args!("  Index offset: {index}, log offset: {log}"));
            }
        }
        for (file, pairs) in &self.wrong_times {
            terminal.err_line(format_args!("Found timestamp mismatch in :{file}"));
            for (index, log) in pairs {
                terminal.err_line(format_args!("  Index timestamp: {index}, log timestamp: {log}"));
            }
        }
        for (file, pairs) in &self.disordered_times {
            terminal.err_line(format_args!("Found out of order timestamp in :{file}"));
            for (index, before) in pairs {
                terminal.err_line(format_args!(
                    "  Index timestamp: {index}, Previously indexed timestamp: {before}"
                ));
            }
        }
        for (file, pairs) in &self.lost_offsets {
            terminal.err_line(format_args!("The following indexed offsets are not found in :{file}"));
            for (index, log) in pairs {
                terminal.err_line(format_args!("Indexed offset: {index}, found log offset: {log}"));
            }
        }
        for (file, pairs) in &self.gaps {
            terminal.err_line(format_args!("Non-consecutive offsets in {file}"));
            for (before, offset) in pairs {
                terminal.err_line(format_args!("  {before} is followed by {offset}"));
            }
        }
    }
}
