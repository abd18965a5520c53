//! What the simulated world promises to the tests that live in it.

mod disk;
mod disk_alike;
mod history;
mod network;
