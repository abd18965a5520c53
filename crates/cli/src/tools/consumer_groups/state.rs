//! States and types of groups, by the names Kafka shows.
//!
//! Owns: these names, and reading them whatever the case of their letters.
//! Does not own: what a group in a state does.

/// What a group is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Unknown,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
    Empty,
    Assigning,
    Reconciling,
}

impl State {
    /// The states that groups of consumers can have.
    pub(super) const OF_CONSUMERS: [State; 7] = [
        State::Empty,
        State::Stable,
        State::PreparingRebalance,
        State::Dead,
        State::CompletingRebalance,
        State::Reconciling,
        State::Assigning,
    ];

    pub(super) fn parse(name: &str) -> State {
        let is_it = |state: &State| state.name().eq_ignore_ascii_case(name);
        State::OF_CONSUMERS.into_iter().find(is_it).unwrap_or(State::Unknown)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            State::Unknown => "Unknown",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
            State::Empty => "Empty",
            State::Assigning => "Assigning",
            State::Reconciling => "Reconciling",
        }
    }
}

/// Which protocol the members of a group speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Unknown,
    Consumer,
    Classic,
}

impl Type {
    /// The types that groups of consumers can have.
    pub(super) const OF_CONSUMERS: [Type; 2] = [Type::Consumer, Type::Classic];

    pub(super) fn parse(name: &str) -> Type {
        let is_it = |kind: &Type| kind.name().eq_ignore_ascii_case(name);
        Type::OF_CONSUMERS.into_iter().find(is_it).unwrap_or(Type::Unknown)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Unknown => "Unknown",
            Type::Consumer => "Consumer",
            Type::Classic => "Classic",
        }
    }
}
