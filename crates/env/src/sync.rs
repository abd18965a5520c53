//! Ways for tasks to talk to each other.
//!
//! Owns: which of tokio's channels may be used.
//! Does not own: the channels, which depend on no runtime and behave alike in a simulation.
//!
//! The unbounded channel is left out on purpose: every queue has a limit.

/// A bounded queue with many senders and one receiver.
pub mod mpsc {
    pub use tokio::sync::mpsc::error::{SendError, TryRecvError, TrySendError};
    pub use tokio::sync::mpsc::{OwnedPermit, Permit, Receiver, Sender, WeakSender, channel};
}

/// One value, once.
pub mod oneshot {
    pub use tokio::sync::oneshot::error::{RecvError, TryRecvError};
    pub use tokio::sync::oneshot::{Receiver, Sender, channel};
}

/// The latest value of something, and the news that it changed.
pub mod watch {
    pub use tokio::sync::watch::error::{RecvError, SendError};
    pub use tokio::sync::watch::{Receiver, Ref, Sender, channel};
}

pub use tokio::sync::{
    AcquireError, Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError,
};
