//! The raw driver: real frames over sockets, nothing of a client library.
//!
//! Owns: questions and topics (`client`), the phases of a run (`board`), closed loops that send as fast as they are
//! answered (`closed`), open loops that keep a pace (`paced`), the way of single records (`end_to_end`).
//! Does not own: frames, what is measured with which load (`rows`).

pub mod board;
pub mod client;

pub mod closed;
pub mod end_to_end;
pub mod paced;
