//! A sequence of steps that both brokers are put through.
//!
//! Owns: `Script`, `Step`, how a step is written for people. Does not own: running it (`play`).
//!
//! In the JSON of a request a text `~a` is the name `a` of this sequence (every sequence has names of its own), and a
//! text `$a` is the value that was kept as `a` from an earlier answer of the same broker.

use serde_json::Value;

/// A request of one API in one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub key: i16,
    pub version: i16,
    pub body: Value,
    pub spoil: Option<Spoil>,
}

/// How the bytes of a body are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// The last so many bytes are missing.
    Cut(usize),
    /// So many bytes follow.
    Extend(usize),
    /// The byte at this place (modulo the length) is another.
    Flip { at: usize, with: u8 },
}

/// A value to be kept: under this name, from this place in the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    pub name: String,
    pub pointer: String,
}

/// Ask again until this place of the answer holds this value.
#[derive(Clone, Debug, PartialEq)]
pub struct Until {
    pub pointer: String,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send on a connection and await the answer.
    Ask { on: u8, request: Request, keep: Vec<Keep>, until: Option<Until> },
    /// Send on a connection; the answer is awaited later, or there is none.
    Send { on: u8, request: Request },
    /// Await the answer to the oldest request of a connection that has none yet.
    Receive { on: u8, keep: Vec<Keep> },
    /// The client goes away.
    Close { on: u8 },
    /// These bytes, whatever they are; then what comes back, if anything.
    Raw { on: u8, bytes: Vec<u8> },
}

/// A sequence of steps.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub flow: &'static str,
    pub steps: Vec<Step>,
}

impl Step {
    /// The request of a step that has one.
    pub fn request_mut(&mut self) -> Option<&mut Request> {
        match self {
            Step::Ask { request, .. } | Step::Send { request, .. } => Some(request),
            Step::Receive { .. } | Step::Close { .. } | Step::Raw { .. } => None,
        }
    }
}

/// Longest text of a request that is printed whole.
const SHOWN_CHARACTERS_MAX: usize = 1500;

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Ask { on, request, until, keep } => {
                write!(f, "{on}: ask {request}")?;
                if let Some(until) = until {
                    write!(f, " until {} is {}", until.pointer, until.value)?;
                }
                show_kept(f, keep)
            }
            Step::Send { on, request } => write!(f, "{on}: send {request}"),
            Step::Receive { on, keep } => {
                write!(f, "{on}: receive")?;
                show_kept(f, keep)
            }
            Step::Close { on } => write!(f, "{on}: close"),
            Step::Raw { on, bytes } => write!(f, "{on}: bytes {}", crate::encode::hex(bytes)),
        }
    }
}

fn show_kept(f: &mut std::fmt::Formatter<'_>, keep: &[Keep]) -> std::fmt::Result {
    keep.iter().try_for_each(|keep| write!(f, " keep {} as ${}", keep.pointer, keep.name))
}

/// A body for people: its beginning, where it is long.
pub fn shown(body: &Value) -> String {
    let mut text = body.to_string();
    if text.len() > SHOWN_CHARACTERS_MAX {
        let end = (0..=SHOWN_CHARACTERS_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = ottla_protocol::ApiKey::from_number(self.key).map_or("Unknown", |key| key.name());
        write!(f, "{name}({}) v{} {}", self.key, self.version, shown(&self.body))?;
        self.spoil.map_or(Ok(()), |spoil| write!(f, " spoilt: {spoil:?}"))
    }
}
