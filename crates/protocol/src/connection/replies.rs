//! Replies in the order of their requests, whenever each is ready.
//!
//! Owns: tickets, what waits behind an unfinished request. Does not own: requests, bytes on the wire.
//!
//! Invariants
//! - I1 replies leave in the order in which their tickets were given;
//! - I2 every ticket is completed at most once;
//! - I3 `bytes` is the sum over all slots.
//!
//! Source: requirements WIRE-04, PRD-19, TRAP-01, TRAP-08.

use std::collections::VecDeque;

/// The place of a request in its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Completion<R> {
    /// This goes out when everything before it has.
    Reply(R),
    /// The client expects nothing: Produce with acks 0 (TRAP-08).
    NoReply,
    /// Nothing can be said, so the connection ends here: a failed Produce with acks 0 (PRD-19).
    Close,
}

/// What leaves the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released<R> {
    Reply(R),
    Close,
}

#[derive(Debug)]
struct Slot<R> {
    /// Bytes of the request.
    bytes: usize,
    completion: Option<Completion<R>>,
}

#[derive(Debug)]
pub(super) struct Replies<R> {
    /// Ticket of the first slot.
    first: u64,
    /// Tickets below this one were given up: whoever still completes one is late, not wrong.
    given_up: u64,
    slots: VecDeque<Slot<R>>,
    bytes: u64,
}

impl<R> Replies<R> {
    pub(super) fn new() -> Replies<R> {
        Replies { first: 0, given_up: 0, slots: VecDeque::new(), bytes: 0 }
    }

    /// Gives the next place to a request of so many bytes.
    pub(super) fn admit(&mut self, bytes: usize) -> Ticket {
        let ticket = Ticket(self.first + u64::try_from(self.slots.len()).unwrap_or(u64::MAX));
        self.slots.push_back(Slot { bytes, completion: None });
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.assert_invariants();
        ticket
    }

    pub(super) fn complete(&mut self, ticket: Ticket, completion: Completion<R>) {
        if ticket.0 < self.given_up {
            return;
        }
        let place = ticket.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let slot = place.and_then(|place| self.slots.get_mut(place));
        let Some(slot) = slot.filter(|slot| slot.completion.is_none()) else {
            panic!("request {} was completed before or never came", ticket.0);
        };
        slot.completion = Some(completion);
    }

    /// What may leave now.
    pub(super) fn release(&mut self) -> Option<Released<R>> {
        loop {
            let slot = self.slots.pop_front_if(|slot| slot.completion.is_some())?;
            self.first += 1;
            self.bytes = self.bytes.saturating_sub(u64::try_from(slot.bytes).unwrap_or(u64::MAX));
            self.assert_invariants();
            match slot.completion {
                Some(Completion::Reply(reply)) => return Some(Released::Reply(reply)),
                Some(Completion::Close) => return Some(Released::Close),
                Some(Completion::NoReply) | None => {}
            }
        }
    }

    /// Requests that have not left.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of the requests that have not left.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives up all that has not left.
    pub(super) fn clear(&mut self) {
        self.first += u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        self.given_up = self.first;
        self.slots.clear();
        self.bytes = 0;
    }

    fn assert_invariants(&self) {
        debug_assert_eq!(
            self.bytes,
            self.slots.iter().map(|slot| u64::try_from(slot.bytes).unwrap_or(0)).sum::<u64>()
        );
    }
}
