//! What `ottla-env` promises about the machine it runs on.

mod disk;
mod net;
mod scratch;
