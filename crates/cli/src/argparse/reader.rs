//! Reading the flags of a program or of one command.
//!
//! Owns: names and their shortened forms, values, what must and may not be there.
//! Does not own: the layout of what is said of it (`text`), commands.

use super::{Flag, Presence, Takes, UsageError};

/// What a flag turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Flag,
    Help,
}

/// What a name stands for.
enum Resolved {
    Flag(&'static Flag),
    Help,
    Unknown,
}

/// Flags with their values, in the order of the command line.
pub(super) type GivenFlags = Vec<(&'static Flag, Option<String>)>;

/// Arguments while they are read.
pub(super) struct Reader<'a> {
    /// What is refused, but for its message.
    refusal: UsageError,
    flags: &'static [Flag],
    rest: &'a [String],
    given: GivenFlags,
}

/// Whether the argument is a flag; a negative number is a value.
pub(super) fn is_flag(arg: &str) -> bool {
    let Some(body) = arg.strip_prefix('-').filter(|body| !body.is_empty()) else { return false };
    !body.bytes().all(|byte| byte.is_ascii_digit())
}

impl<'a> Reader<'a> {
    pub(super) fn new(refusal: UsageError, flags: &'static [Flag], args: &'a [String]) -> Reader<'a> {
        Reader { refusal, flags, rest: args, given: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [String] {
        self.rest
    }

    /// The refusal of an argument that is no flag, and of what stands behind it.
    pub(super) fn unexpected(&self, arg: &str) -> UsageError {
        let rest: Vec<_> = std::iter::once(arg).chain(self.rest.iter().map(String::as_str)).collect();
        self.refused(format!("unrecognized arguments: '{}'", rest.join(" ")))
    }

    /// The flags of both readers, if everything is there that must be: first in `inner`, then here.
    pub(super) fn finish_after(mut self, inner: Reader<'a>) -> Result<GivenFlags, UsageError> {
        inner.check_needed()?;
        self.check_needed()?;
        self.given.extend(inner.given);
        Ok(self.given)
    }

    fn check_needed(&self) -> Result<(), UsageError> {
        let is_given = |flag: &Flag| self.given.iter().any(|(given, _)| *given == flag);
        let missing = |flag: &&Flag| flag.presence == Presence::Required && !is_given(flag);
        // Of several that are missing, argparse4j names the last.
        if let Some(flag) = self.flags.iter().rfind(missing) {
            return Err(self.refused(format!("argument {} is required", flag.name())));
        }
        let one_of: Vec<_> = self.flags.iter().filter(|flag| flag.presence == Presence::ExactlyOne).collect();
        if one_of.is_empty() || one_of.iter().any(|flag| is_given(flag)) {
            return Ok(());
        }
        let names: Vec<_> = one_of.iter().map(|flag| flag.name()).collect();
        Err(self.refused(format!("one of the arguments {} is required", names.join(" "))))
    }

    /// Reads one flag, with its value.
    pub(super) fn flag(&mut self, term: &str) -> Result<Read, UsageError> {
        let (name, value) = match term.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (term, None),
        };
        match self.resolve(name)? {
            Resolved::Help => Ok(Read::Help),
            Resolved::Flag(flag) => self.take(flag, value).map(|()| Read::Flag),
            Resolved::Unknown => self.joined(term),
        }
    }

    /// The flag with this name, or with a name that begins so.
    fn resolve(&self, name: &str) -> Result<Resolved, UsageError> {
        let matches = |known: &str| known.starts_with(name);
        let mut found: Vec<(String, Resolved)> = Vec::new();
        for flag in self.flags {
            let short = flag.short.map(|short| format!("-{short}"));
            for known in std::iter::once(format!("--{}", flag.long)).chain(short) {
                if known == name {
                    return Ok(Resolved::Flag(flag));
                }
                if matches(&known) {
                    found.push((known, Resolved::Flag(flag)));
                }
            }
        }
        for known in ["-h", "--help"] {
            if known == name {
                return Ok(Resolved::Help);
            }
            if matches(known) {
                found.push((known.to_owned(), Resolved::Help));
            }
        }
        if found.len() > 1 {
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            return Err(self.refused(format!("ambiguous option: {name} could match {}", names.join(", "))));
        }
        Ok(found.pop().map_or(Resolved::Unknown, |(_, resolved)| resolved))
    }

    /// Short flags one behind the other, the last one perhaps with its value: `-gc/etc/server.properties`.
    fn joined(&mut self, term: &str) -> Result<Read, UsageError> {
        let Some(letters) = term.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else {
            return Err(self.unrecognized(term));
        };
        for (at, letter) in letters.char_indices() {
            if letter == 'h' {
                return Ok(Read::Help);
            }
            let Some(flag) = self.flags.iter().find(|flag| flag.short == Some(letter)) else {
                return Err(self.unrecognized(term));
            };
            let behind = letters.get(at + letter.len_utf8()..).filter(|behind| !behind.is_empty());
            if flag.takes.a_value() {
                return self.take(flag, behind).map(|()| Read::Flag);
            }
            self.take(flag, None)?;
        }
        Ok(Read::Flag)
    }

    fn take(&mut self, flag: &'static Flag, value: Option<&str>) -> Result<(), UsageError> {
        let rival = self.given.iter().find(|(given, _)| given.presence.is_exclusive() && *given != flag);
        if let Some((rival, _)) = rival.filter(|_| flag.presence.is_exclusive()) {
            let message = format!("argument {}: not allowed with argument {}", flag.name(), rival.name());
            return Err(self.refused(message));
        }
        let value = match (flag.takes.a_value(), value) {
            (false, None) => None,
            (false, Some(value)) => {
                let message = format!("argument {}: ignore implicit argument '{value}'", flag.name());
                return Err(self.refused(message));
            }
            (true, Some(value)) => Some(value.to_owned()),
            (true, None) => match self.rest.first().filter(|next| !is_flag(next)) {
                Some(_) => self.next().map(str::to_owned),
                None => return Err(self.refused(format!("argument {}: expected one argument", flag.name()))),
            },
        };
        if let (Takes::Number, Some(text)) = (flag.takes, &value)
            && text.parse::<i32>().is_err()
        {
            return Err(self.refused(format!(
                "argument {}: could not convert '{text}' to Integer (For input string: \"{text}\")",
                flag.name()
            )));
        }
        self.given.push((flag, value));
        Ok(())
    }

    fn unrecognized(&self, term: &str) -> UsageError {
        let known: Vec<_> = self.flags.iter().map(|flag| format!("--{}", flag.long)).collect();
        let known: Vec<_> = ["--help"].into_iter().chain(known.iter().map(String::as_str)).collect();
        self.refused(format!("unrecognized arguments: '{term}'")).with_candidates(term, &known)
    }

    fn refused(&self, message: String) -> UsageError {
        UsageError { message, ..self.refusal.clone() }
    }
}
