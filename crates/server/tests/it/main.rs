//! A whole node on a real directory, spoken to in frames.

mod groups;
mod hostile;
mod node;
mod records;
