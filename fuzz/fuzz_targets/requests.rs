//! Fuzzes `targets::requests` of crate `protocol`.
#![no_main]

#[allow(dead_code, reason = "every fuzzer runs one of the targets")]
#[path = "../../crates/protocol/tests/it/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::requests(bytes));
