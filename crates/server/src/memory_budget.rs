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

/// Bytes of one unit of the budget.
const UNIT_BYTES: u64 = 1024;

/// The budget of a node.
#[derive(Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    total: u32,
}

/// Bytes that are accounted for until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    _permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// A budget of so many bytes, at least one unit.
    pub fn new(bytes: u64) -> MemoryBudget {
        let most = u64::try_from(Semaphore::MAX_PERMITS).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let total = u32::try_from((bytes / UNIT_BYTES).clamp(1, most)).unwrap_or(u32::MAX);
        MemoryBudget { units: Arc::new(Semaphore::new(usize::try_from(total).unwrap_or(1))), total }
    }

    /// Waits until so many bytes are free. A request larger than the whole budget waits for all of it.
    pub async fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.total);
        let permit = Arc::clone(&self.units).acquire_many_owned(units).await.ok()?;
        Some(Reserved { _permit: permit })
    }

    /// Bytes that are free now.
    pub fn free_bytes(&self) -> u64 {
        u64::try_from(self.units.available_permits()).unwrap_or(0) * UNIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_comes_back_when_it_is_dropped() {
        let budget = MemoryBudget::new(10 * 1024);
        let reserved = ottla_env::task::block_on(budget.reserve(1500)).unwrap();
        assert_eq!(budget.free_bytes(), 8 * 1024);
        drop(reserved);
        assert_eq!(budget.free_bytes(), 10 * 1024);
    }

    #[test]
    fn a_request_larger_than_the_budget_waits_for_all_of_it() {
        let budget = MemoryBudget::new(4 * 1024);
        let reserved = ottla_env::task::block_on(budget.reserve(1024 * 1024)).unwrap();
        assert_eq!(budget.free_bytes(), 0);
        drop(reserved);
    }
}
