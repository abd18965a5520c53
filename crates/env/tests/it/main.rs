//! What `ottla-env` promises about the machine it runs on.

mod disk;
mod scratch;
