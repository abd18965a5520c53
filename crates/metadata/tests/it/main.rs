//! What a cluster's metadata does, told in small stories.

/// The result inside the answer to a command.
macro_rules! answered {
    ($answer:expr, $kind:ident) => {{
        let ottla_metadata::controller::Answer::$kind(result) = $answer else {
            panic!("another answer is due")
        };
        result
    }};
}

#[cfg(test)]
mod script;
#[cfg(test)]
mod world;

#[cfg(test)]
mod brokers;
#[cfg(test)]
mod configs;
#[cfg(test)]
mod features;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod quorum;
#[cfg(test)]
mod reassigning;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod topics;
