//! How long one connection may keep its thread.
//!
//! Owns: what counts, when a turn is over, telling whether somebody waited. Does not own: giving way (`connection`).
//!
//! The runtime lets a task go on that always has something to do, and looks at the sockets seldom meanwhile: with large
//! requests others would wait tens of milliseconds.

use std::future::{Future, poll_fn};
use std::pin::pin;

/// What a connection did since it last waited or gave way to the others of its thread.
#[derive(Default)]
pub struct Turn {
    pub reads: u32,
    pub requests: u32,
}

impl Turn {
    /// Enough that giving way costs little, and little enough that the others are not kept waiting: a connection that
    /// always has something to do would else have its thread as long as the runtime lets it, tens of milliseconds.
    pub fn is_over(&self) -> bool {
        self.reads >= 16 || self.requests >= 64
    }
}

/// The output of a future, and whether it was not there at once: others had their turn meanwhile.
pub async fn waited<F: Future>(future: F) -> (F::Output, bool) {
    let (mut future, mut polls) = (pin!(future), 0);
    let output = poll_fn(|context| {
        polls += 1;
        future.as_mut().poll(context)
    });
    let output = output.await;
    (output, polls > 1)
}

#[cfg(test)]
mod tests {
    use ottla_env::task;

    use super::*;

    #[test]
    fn a_turn_is_over_after_many_reads_or_very_many_requests() {
        let turn = |reads, requests| Turn { reads, requests };
        assert!(!turn(15, 63).is_over());
        assert!(turn(16, 0).is_over() && turn(0, 64).is_over());
    }

    #[test]
    fn who_gave_way_has_waited_and_who_had_it_at_once_has_not() {
        let outcomes = async { (waited(async { 1 }).await, waited(task::yield_now()).await) };
        assert_eq!(task::block_on(outcomes).unwrap(), ((1, false), ((), true)));
    }
}
