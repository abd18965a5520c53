//! How many bytes of requests may be in memory at once.
//!
//! Owns: the budget of all connections together (`queued.max.request.bytes`).
//! Does not own: the limit of one connection (`protocol::connection`).
//!
//! A connection that gets no permit does not read its socket: the sender is slowed down by TCP.
//!
//! Source: performance design 4.2; architecture, "Memory".

use std::sync::Arc;

use ottla_env::sync::{OwnedSemaphorePermit, Semaphore};
use ottla_env::task;

/// Bytes of one unit of the budget.
const UNIT_BYTES: u64 = 1024;

/// The budget of a node.
#[derive(Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    /// Held by the one request that goes on although nothing is free.
    beyond: Arc<Semaphore>,
    total: u32,
}

/// Bytes that are accounted for until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    permit: OwnedSemaphorePermit,
    beyond: Option<OwnedSemaphorePermit>,
}

impl Reserved {
    /// Whether so many bytes are accounted for.
    pub fn covers(&self, bytes: usize) -> bool {
        self.beyond.is_some() || units_of(bytes) <= self.permit.num_permits()
    }
}

fn units_of(bytes: usize) -> usize {
    bytes.div_ceil(usize::try_from(UNIT_BYTES).unwrap_or(1))
}

impl MemoryBudget {
    /// A budget of so many bytes, at least one unit.
    pub fn new(bytes: u64) -> MemoryBudget {
        let most = u64::try_from(Semaphore::MAX_PERMITS).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let total = u32::try_from((bytes / UNIT_BYTES).clamp(1, most)).unwrap_or(u32::MAX);
        let units = Arc::new(Semaphore::new(usize::try_from(total).unwrap_or(1)));
        MemoryBudget { units, beyond: Arc::new(Semaphore::new(1)), total }
    }

    /// Accounts for so many bytes in all, with those that are held. Where nothing is free, one request at a time goes on
    /// nevertheless: requests that have each come in part would wait for each other for ever.
    pub async fn reserve(&self, held: Option<Reserved>, bytes: usize) -> Option<Reserved> {
        let have = held.as_ref().map_or(0, |held| held.permit.num_permits());
        let more = u32::try_from(units_of(bytes).saturating_sub(have)).unwrap_or(u32::MAX).min(self.total);
        let (units, beyond) = (Arc::clone(&self.units), Arc::clone(&self.beyond));
        let (permit, beyond) = task::select! {
            biased;
            permit = units.acquire_many_owned(more) => (permit.ok()?, None),
            beyond = beyond.acquire_owned() => {
                (Arc::clone(&self.units).try_acquire_many_owned(0).ok()?, Some(beyond.ok()?))
            }
        };
        match held {
            Some(mut held) => {
                held.permit.merge(permit);
                held.beyond = held.beyond.or(beyond);
                Some(held)
            }
            None => Some(Reserved { permit, beyond }),
        }
    }

    /// Bytes there are in all.
    pub fn total_bytes(&self) -> u64 {
        u64::from(self.total) * UNIT_BYTES
    }

    /// Bytes that are free now.
    pub fn free_bytes(&self) -> u64 {
        u64::try_from(self.units.available_permits()).unwrap_or(0) * UNIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(budget: &MemoryBudget, held: Option<Reserved>, bytes: usize) -> Reserved {
        ottla_env::task::block_on(budget.reserve(held, bytes)).unwrap().unwrap()
    }

    #[test]
    fn what_is_reserved_grows_and_comes_back_when_it_is_dropped() {
        let budget = MemoryBudget::new(10 * 1024);
        let reserved = reserve(&budget, None, 1500);
        assert_eq!(budget.free_bytes(), 8 * 1024);
        assert!(reserved.covers(2048) && !reserved.covers(2049));
        let reserved = reserve(&budget, Some(reserved), 4 * 1024);
        assert_eq!(budget.free_bytes(), 6 * 1024);
        drop(reserved);
        assert_eq!(budget.free_bytes(), 10 * 1024);
    }

    #[test]
    fn where_nothing_is_free_one_request_goes_on() {
        let budget = MemoryBudget::new(4 * 1024);
        let (one, two) = (reserve(&budget, None, 2048), reserve(&budget, None, 2048));
        let one = reserve(&budget, Some(one), 1024 * 1024);
        assert!(one.covers(usize::MAX));
        let waiting = budget.reserve(Some(two), 3 * 1024);
        let is_waiting = ottla_env::task::block_on(async {
            task::select! {
                biased;
                _ = waiting => false,
                () = task::yield_now() => true,
            }
        });
        assert!(is_waiting.unwrap());
        drop(one);
        assert_eq!(budget.free_bytes(), 4 * 1024);
    }
}
