//! Fuzzes `view_targets::connection` of crate `protocol`.
#![no_main]

#[allow(dead_code, reason = "every fuzzer runs one of the targets")]
#[path = "../../crates/protocol/tests/it/targets.rs"]
mod targets;
#[allow(dead_code, reason = "every fuzzer runs one of the targets")]
#[path = "../../crates/protocol/tests/it/view_targets.rs"]
mod view_targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| view_targets::connection(bytes));
