//! Regular expressions in the syntax of RE2J, said in that of the crate that runs them.
//!
//! Owns: what is accepted, what it means. Does not own: the matching.
//!
//! The two differ at the edges: RE2J knows `\Q…\E`, octal escapes and `{` as itself, and knows nothing of set operations
//! in classes, verbose mode or look-around. Its `\d`, `\s`, `\w` and `\b` are those of ASCII. Nothing is captured, so
//! every group becomes one that does not capture.
//!
//! Source: the syntax page of RE2, Perl mode; messages as RE2J has them.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// Largest count of a repetition.
const REPEAT_MAX: u32 = 1000;

/// Why a text is no expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("missing closing ]")]
    MissingBracket,
    #[error("missing closing )")]
    MissingParenthesis,
    /// RE2J has no better word for it.
    #[error("regexp/syntax: internal error")]
    StrayParenthesis,
    #[error("missing argument to repetition operator")]
    NothingToRepeat,
    #[error("invalid nested repetition operator")]
    NestedRepetition,
    #[error("invalid repeat count")]
    RepeatCount,
    #[error("invalid character class range")]
    ClassRange,
    #[error("invalid escape sequence")]
    Escape,
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    #[error("invalid or unsupported Perl syntax")]
    PerlSyntax,
    #[error("invalid named capture")]
    NamedCapture,
    #[error("duplicate capture group name")]
    DuplicateName,
    #[error("expression too large")]
    TooLarge,
}

/// What stands before the place that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Atom,
    Repetition,
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Groups that are open.
    depth: usize,
    before: Before,
    /// Where flags begin that stand behind everything else, as in `a(?i)`: a repetition is that of what is before them.
    flags_at: Option<usize>,
    /// The same before the present step.
    flags_before: Option<usize>,
    names: BTreeSet<String>,
}

/// The same expression in the other syntax.
pub(super) fn translate(pattern: &str) -> Result<String, Refused> {
    let mut translation = Translation {
        rest: pattern.chars().peekable(),
        out: String::with_capacity(pattern.len()),
        depth: 0,
        before: Before::Nothing,
        flags_at: None,
        flags_before: None,
        names: BTreeSet::new(),
    };
    while let Some(next) = translation.rest.next() {
        translation.flags_before = translation.flags_at.take();
        translation.step(next)?;
    }
    if translation.depth > 0 { Err(Refused::MissingParenthesis) } else { Ok(translation.out) }
}

fn literal(out: &mut String, character: char) {
    out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

/// The classes behind a backslash, as ranges of a class.
fn perl_class(name: char) -> Option<&'static str> {
    match name {
        'd' => Some("0-9"),
        'D' => Some("[^0-9]"),
        's' => Some(r"\t\n\x0C\r "),
        'S' => Some(r"[^\t\n\x0C\r ]"),
        'w' => Some("0-9A-Za-z_"),
        'W' => Some("[^0-9A-Za-z_]"),
        _ => None,
    }
}

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

impl Translation<'_> {
    fn step(&mut self, next: char) -> Result<(), Refused> {
        match next {
            '(' => self.open(),
            ')' => {
                self.depth = self.depth.checked_sub(1).ok_or(Refused::StrayParenthesis)?;
                self.out.push(')');
                self.before = Before::Atom;
                Ok(())
            }
            '|' => {
                self.out.push('|');
                self.before = Before::Nothing;
                Ok(())
            }
            '*' | '+' | '?' => self.repetition(next.encode_utf8(&mut [0; 4])),
            '{' => self.counted(),
            '[' => self.class(),
            '\\' => self.escape(),
            '^' | '$' | '.' => {
                self.out.push(next);
                self.before = Before::Atom;
                Ok(())
            }
            other => {
                self.atom(other);
                Ok(())
            }
        }
    }

    fn atom(&mut self, character: char) {
        literal(&mut self.out, character);
        self.before = Before::Atom;
    }

    fn eat(&mut self, expected: char) -> bool {
        self.rest.next_if_eq(&expected).is_some()
    }

    fn open(&mut self) -> Result<(), Refused> {
        let before = std::mem::replace(&mut self.before, Before::Nothing);
        self.depth += 1;
        if !self.eat('?') {
            self.out.push_str("(?:");
            return Ok(());
        }
        if self.eat('P') || self.rest.peek() == Some(&'<') {
            return self.named();
        }
        self.flags(before)
    }

    fn named(&mut self) -> Result<(), Refused> {
        if !self.eat('<') {
            return Err(Refused::PerlSyntax);
        }
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('>') if !name.is_empty() => break,
                Some(character) if character.is_ascii_alphanumeric() || character == '_' => {
                    name.push(character)
                }
                Some(_) | None => return Err(Refused::NamedCapture),
            }
        }
        if !self.names.insert(name) {
            return Err(Refused::DuplicateName);
        }
        self.out.push_str("(?:");
        Ok(())
    }

    /// `(?flags)` or `(?flags:`.
    fn flags(&mut self, before: Before) -> Result<(), Refused> {
        let at = self.out.len();
        let (mut flags, mut negated, mut since) = (String::new(), false, 0);
        loop {
            match self.rest.next() {
                Some(flag @ ('i' | 'm' | 's' | 'U')) => {
                    // A flag that is said twice means the same.
                    if !flags.contains(flag) {
                        flags.push(flag);
                    }
                    since += 1;
                }
                Some('-') if !negated => {
                    (negated, since) = (true, 0);
                    flags.push('-');
                }
                Some(end @ (':' | ')')) if !negated || since > 0 => {
                    self.out.push_str("(?");
                    self.out.push_str(&flags);
                    self.out.push(if flags.is_empty() && end == ')' { ':' } else { end });
                    if flags.is_empty() && end == ')' {
                        self.out.push(')');
                    }
                    if end == ')' {
                        self.depth -= 1;
                        self.before = before;
                        self.flags_at = self.flags_before.or(Some(at));
                    }
                    return Ok(());
                }
                Some(_) | None => return Err(Refused::PerlSyntax),
            }
        }
    }

    fn repetition(&mut self, operator: &str) -> Result<(), Refused> {
        match self.before {
            Before::Nothing => return Err(Refused::NothingToRepeat),
            Before::Repetition => return Err(Refused::NestedRepetition),
            Before::Atom => {}
        }
        // A hasty repetition matches the same names.
        self.eat('?');
        let at = self.flags_before.unwrap_or(self.out.len());
        self.out.insert_str(at, operator);
        self.before = Before::Repetition;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`; anything else is a brace.
    fn counted(&mut self) -> Result<(), Refused> {
        let mut ahead = self.rest.clone();
        let Some((least, most)) = counts(&mut ahead) else {
            self.atom('{');
            // RE2J takes the brace for a repetition all the same when another one follows.
            self.before = Before::Repetition;
            return Ok(());
        };
        self.rest = ahead;
        let fits = |count: Option<u32>| count.is_some_and(|count| count <= REPEAT_MAX);
        let operator = match (least, most) {
            (least, None) if fits(least) => format!("{{{},}}", least.unwrap_or(0)),
            (least, Some(most)) if fits(least) && fits(most) && least <= most => {
                format!("{{{},{}}}", least.unwrap_or(0), most.unwrap_or(0))
            }
            (_, _) => return Err(Refused::RepeatCount),
        };
        self.repetition(&operator)
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let name = self.rest.next().ok_or(Refused::TrailingBackslash)?;
        match name {
            'A' => self.out.push_str(r"\A"),
            'z' => self.out.push_str(r"\z"),
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(r"(?-u:\B)"),
            'Q' => {
                self.quoted();
                return Ok(());
            }
            'p' | 'P' => {
                let class = self.unicode_class(name)?;
                self.out.push_str(&class);
            }
            other => match perl_class(other) {
                Some(ranges) => {
                    self.out.push('[');
                    self.out.push_str(ranges);
                    self.out.push(']');
                }
                None => {
                    let character = self.escaped(other)?;
                    literal(&mut self.out, character);
                }
            },
        }
        self.before = Before::Atom;
        Ok(())
    }

    fn quoted(&mut self) {
        while let Some(next) = self.rest.next() {
            if next == '\\' && self.eat('E') {
                return;
            }
            self.atom(next);
        }
    }

    /// The character that an escape stands for, in a class or outside.
    fn escaped(&mut self, name: char) -> Result<char, Refused> {
        match name {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            'x' => self.hexadecimal(),
            '0' => self.octal(0),
            // One digit alone would refer back, which nothing of linear time can.
            '1'..='7' if self.rest.peek().is_some_and(|next| next.is_digit(8)) => {
                self.octal(name.to_digit(8).unwrap_or(0))
            }
            other if !other.is_ascii_alphanumeric() => Ok(other),
            _ => Err(Refused::Escape),
        }
    }

    fn octal(&mut self, first: u32) -> Result<char, Refused> {
        let mut code = first;
        for _ in 0..2 {
            let Some(digit) = self.rest.peek().and_then(|next| next.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.rest.next();
        }
        char::from_u32(code).ok_or(Refused::Escape)
    }

    fn hexadecimal(&mut self) -> Result<char, Refused> {
        let braced = self.eat('{');
        let (mut code, mut digits) = (0_u32, 0);
        loop {
            if braced && digits > 0 && self.eat('}') {
                break;
            }
            let digit = self.rest.next().and_then(|next| next.to_digit(16)).ok_or(Refused::Escape)?;
            code = code.checked_mul(16).and_then(|code| code.checked_add(digit)).ok_or(Refused::Escape)?;
            digits += 1;
            if !braced && digits == 2 {
                break;
            }
        }
        char::from_u32(code).ok_or(Refused::Escape)
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`: general categories and scripts.
    fn unicode_class(&mut self, sign: char) -> Result<String, Refused> {
        let mut name = String::new();
        match self.rest.next() {
            Some('{') => loop {
                match self.rest.next() {
                    Some('}') => break,
                    Some(character) => name.push(character),
                    None => return Err(Refused::ClassRange),
                }
            },
            Some(character) => name.push(character),
            None => return Err(Refused::ClassRange),
        }
        let negated = name.starts_with('^') != (sign == 'P');
        let name = name.trim_start_matches('^');
        let is_word = name.chars().all(|one| one.is_ascii_alphabetic() || one == '_');
        if !is_word || !name.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Err(Refused::ClassRange);
        }
        let property = if name.len() <= 2 { "gc=" } else { "sc=" };
        let property = if name == "Any" { "" } else { property };
        let class = format!(r"\{}{{{property}{name}}}", if negated { 'P' } else { 'p' });
        if regex::Regex::new(&class).is_err() {
            return Err(Refused::ClassRange);
        }
        Ok(class)
    }

    fn class(&mut self) -> Result<(), Refused> {
        self.out.push('[');
        if self.eat('^') {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            match self.rest.next().ok_or(Refused::MissingBracket)? {
                ']' if !is_first => break,
                '[' if self.rest.peek() == Some(&':') && self.posix_class()? => {}
                '\\' if self.rest.peek().copied().is_some_and(|name| perl_class(name).is_some()) => {
                    let ranges = self.rest.next().and_then(perl_class).unwrap_or_default();
                    self.out.push_str(ranges);
                }
                '\\' if matches!(self.rest.peek(), Some('p' | 'P')) => {
                    let sign = self.rest.next().unwrap_or('p');
                    let class = self.unicode_class(sign)?;
                    self.out.push_str(&class);
                }
                first => self.range(first)?,
            }
            is_first = false;
        }
        self.out.push(']');
        self.before = Before::Atom;
        Ok(())
    }

    /// `[:name:]` inside a class; `false` if it is something else.
    fn posix_class(&mut self) -> Result<bool, Refused> {
        let ahead: String = self.rest.clone().skip(1).collect();
        let Some((name, _)) = ahead.split_once(":]") else { return Ok(false) };
        if !POSIX_CLASSES.contains(&name.trim_start_matches('^')) || name.starts_with("^^") {
            return Err(Refused::ClassRange);
        }
        self.out.push_str("[:");
        self.out.push_str(name);
        self.out.push_str(":]");
        self.rest.nth(name.chars().count() + 2);
        Ok(true)
    }

    fn range(&mut self, first: char) -> Result<(), Refused> {
        let low = self.class_character(first)?;
        let mut high = low;
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
            self.rest.next();
            let next = self.rest.next().ok_or(Refused::MissingBracket)?;
            high = self.class_character(next)?;
            if high < low {
                return Err(Refused::ClassRange);
            }
        }
        self.out.push_str(&format!(r"\x{{{:x}}}-\x{{{:x}}}", u32::from(low), u32::from(high)));
        Ok(())
    }

    fn class_character(&mut self, first: char) -> Result<char, Refused> {
        if first != '\\' {
            return Ok(first);
        }
        let name = self.rest.next().ok_or(Refused::TrailingBackslash)?;
        self.escaped(name)
    }
}

/// The counts of a repetition, up to and with its closing brace. A count that is too large for a number is none; without
/// a second number there is no upper bound.
fn counts(rest: &mut Peekable<Chars<'_>>) -> Option<(Option<u32>, Option<Option<u32>>)> {
    let least = count(rest)?;
    if rest.next_if_eq(&',').is_none() {
        return rest.next_if_eq(&'}').map(|_| (least, Some(least)));
    }
    if rest.next_if_eq(&'}').is_some() {
        return Some((least, None));
    }
    let most = count(rest)?;
    rest.next_if_eq(&'}').map(|_| (least, Some(most)))
}

/// A number without leading zeros.
fn count(rest: &mut Peekable<Chars<'_>>) -> Option<Option<u32>> {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0');
    if digits.is_empty() || has_leading_zero { None } else { Some(digits.parse().ok()) }
}
