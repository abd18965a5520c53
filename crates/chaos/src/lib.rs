//! Chaos: a node with clients is killed, stopped, cut off its disk and its clock, and judged by what the clients saw.
//!
//! Owns: clients that write down what they see, the node's life under faults, the cases, the report.
//! Does not own: the judgement (`ottla_testkit::history`), the node's insides: it is a process like any other.
//!
//! The clients are a library, because the tests of the binary use them too.

pub mod arguments;
pub mod cases;
pub mod clients;
pub mod faults;
pub mod figures;
pub mod native;
pub mod node;
pub mod notes;
pub mod payload;
pub mod report;
pub mod stage;
pub mod tracer;
pub mod volume;

/// What cannot go on says why. A broken promise of the node is no error of this kind: it is a finding of the report.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
