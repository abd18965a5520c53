//! Regular expressions in the syntax of RE2J, which Kafka uses, said in that of the crate that runs them.
//!
//! Owns: what is accepted and in which words it is refused, what it means. Does not own: what is matched.
//!
//! The two differ at the edges: RE2J knows `\Q…\E`, octal escapes and `{` as itself, and knows nothing of set operations
//! in classes, verbose mode or look-around. Its `\d`, `\s`, `\w` and `\b` are those of ASCII. Nothing is captured, so
//! every group becomes one that does not capture.
//!
//! Source: the syntax page of RE2, Perl mode; messages as RE2J has them.

mod classes;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use classes::{POSIX_CLASSES, perl_class};

/// Largest count of a repetition.
const REPEAT_MAX: u32 = 1000;

/// Why a text is no expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
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

/// Most bytes of a compiled expression whose names are short: larger ones only cost.
pub const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An expression that matches whole texts, in `bytes_max` bytes at most.
pub fn compile(pattern: &str, bytes_max: usize) -> Result<Regex, ExpressionError> {
    let whole = format!(r"\A(?:{})\z", translate(pattern)?);
    RegexBuilder::new(&whole).size_limit(bytes_max).build().map_err(|_| ExpressionError::TooLarge)
}

/// Whether a text is an expression.
pub fn check(pattern: &str) -> Result<(), ExpressionError> {
    compile(pattern, COMPILED_BYTES_MAX).map(drop)
}

/// The same expression in the other syntax.
fn translate(pattern: &str) -> Result<String, ExpressionError> {
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
    if translation.depth > 0 { Err(ExpressionError::MissingParenthesis) } else { Ok(translation.out) }
}

fn literal(out: &mut String, character: char) {
    out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

impl Translation<'_> {
    fn step(&mut self, next: char) -> Result<(), ExpressionError> {
        match next {
            '(' => self.open(),
            ')' => {
                self.depth = self.depth.checked_sub(1).ok_or(ExpressionError::StrayParenthesis)?;
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

    fn open(&mut self) -> Result<(), ExpressionError> {
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

    fn named(&mut self) -> Result<(), ExpressionError> {
        if !self.eat('<') {
            return Err(ExpressionError::PerlSyntax);
        }
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('>') if !name.is_empty() => break,
                Some(character) if character.is_ascii_alphanumeric() || character == '_' => {
                    name.push(character)
                }
                Some(_) | None => return Err(ExpressionError::NamedCapture),
            }
        }
        if !self.names.insert(name) {
            return Err(ExpressionError::DuplicateName);
        }
        self.out.push_str("(?:");
        Ok(())
    }

    /// `(?flags)` or `(?flags:`.
    fn flags(&mut self, before: Before) -> Result<(), ExpressionError> {
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
                Some(_) | None => return Err(ExpressionError::PerlSyntax),
            }
        }
    }

    fn repetition(&mut self, operator: &str) -> Result<(), ExpressionError> {
        match self.before {
            Before::Nothing => return Err(ExpressionError::NothingToRepeat),
            Before::Repetition => return Err(ExpressionError::NestedRepetition),
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
    fn counted(&mut self) -> Result<(), ExpressionError> {
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
            (_, _) => return Err(ExpressionError::RepeatCount),
        };
        self.repetition(&operator)
    }

    fn escape(&mut self) -> Result<(), ExpressionError> {
        let name = self.rest.next().ok_or(ExpressionError::TrailingBackslash)?;
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
    fn escaped(&mut self, name: char) -> Result<char, ExpressionError> {
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
            _ => Err(ExpressionError::Escape),
        }
    }

    fn octal(&mut self, first: u32) -> Result<char, ExpressionError> {
        let mut code = first;
        for _ in 0..2 {
            let Some(digit) = self.rest.peek().and_then(|next| next.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.rest.next();
        }
        char::from_u32(code).ok_or(ExpressionError::Escape)
    }

    fn hexadecimal(&mut self) -> Result<char, ExpressionError> {
        let braced = self.eat('{');
        let (mut code, mut digits) = (0_u32, 0);
        loop {
            if braced && digits > 0 && self.eat('}') {
                break;
            }
            let digit = self.rest.next().and_then(|next| next.to_digit(16)).ok_or(ExpressionError::Escape)?;
            code = code
                .checked_mul(16)
                .and_then(|code| code.checked_add(digit))
                .ok_or(ExpressionError::Escape)?;
            digits += 1;
            if !braced && digits == 2 {
                break;
            }
        }
        char::from_u32(code).ok_or(ExpressionError::Escape)
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`: general categories and scripts.
    fn unicode_class(&mut self, sign: char) -> Result<String, ExpressionError> {
        let mut name = String::new();
        match self.rest.next() {
            Some('{') => loop {
                match self.rest.next() {
                    Some('}') => break,
                    Some(character) => name.push(character),
                    None => return Err(ExpressionError::ClassRange),
                }
            },
            Some(character) => name.push(character),
            None => return Err(ExpressionError::ClassRange),
        }
        let (inner, name) = name.strip_prefix('^').map_or((false, &*name), |name| (true, name));
        classes::unicode(name, inner != (sign == 'P')).ok_or(ExpressionError::ClassRange)
    }

    fn class(&mut self) -> Result<(), ExpressionError> {
        self.out.push('[');
        if self.eat('^') {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            match self.rest.next().ok_or(ExpressionError::MissingBracket)? {
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
    fn posix_class(&mut self) -> Result<bool, ExpressionError> {
        let ahead: String = self.rest.clone().skip(1).collect();
        let Some((name, _)) = ahead.split_once(":]") else { return Ok(false) };
        if !POSIX_CLASSES.contains(&name.trim_start_matches('^')) || name.starts_with("^^") {
            return Err(ExpressionError::ClassRange);
        }
        self.out.push_str("[:");
        self.out.push_str(name);
        self.out.push_str(":]");
        self.rest.nth(name.chars().count() + 2);
        Ok(true)
    }

    fn range(&mut self, first: char) -> Result<(), ExpressionError> {
        let low = self.class_character(first)?;
        let mut high = low;
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
            self.rest.next();
            let next = self.rest.next().ok_or(ExpressionError::MissingBracket)?;
            high = self.class_character(next)?;
            if high < low {
                return Err(ExpressionError::ClassRange);
            }
        }
        self.out.push_str(&format!(r"\x{{{:x}}}-\x{{{:x}}}", u32::from(low), u32::from(high)));
        Ok(())
    }

    fn class_character(&mut self, first: char) -> Result<char, ExpressionError> {
        if first != '\\' {
            return Ok(first);
        }
        let name = self.rest.next().ok_or(ExpressionError::TrailingBackslash)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(pattern: &str) -> Result<Regex, ExpressionError> {
        super::compile(pattern, COMPILED_BYTES_MAX)
    }

    fn matches(pattern: &str, name: &str) -> bool {
        compile(pattern).unwrap().is_match(name)
    }

    /// CGP-10
    #[test]
    fn an_expression_stands_for_whole_names() {
        assert!(matches("foo", "foo") && !matches("foo", "foobar") && !matches("oo", "foo"));
        assert!(matches("foo|bar", "bar") && !matches("foo|bar", "foobar"));
        assert!(matches("foo.*", "foo-1") && matches("^foo.+$", "foo-1") && matches("(?i)FOO", "foo"));
        assert!(matches(r"\Qa.b\E.", "a.bc") && !matches(r"\Qa.b\E.", "axbc"));
        assert!(matches("[[:alpha:]]{2,3}", "abc") && !matches("[^a-c]+", "xay"));
        assert!(matches(r"\x61\141\x{61}", "aaa") && matches("a{,2}", "a{,2}") && matches("a{x", "a{x"));
        assert!(matches("a(?i)(?m)+", "aa") && matches(r"\p{^Greek}\PN", "ab") && !matches("[[a]", "b"));
        assert!(matches("(?P<n>a)(b)", "ab") && matches(r"\d\w\S", "1_-") && matches("[a&&b]", "&"));
    }

    /// CGP-10
    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        let refused = |pattern: &str| compile(pattern).unwrap_err().to_string();
        assert_eq!(refused("["), "missing closing ]");
        assert_eq!(refused("("), "missing closing )");
        assert_eq!(refused(")"), "regexp/syntax: internal error");
        assert_eq!(refused("(?P<n>a)(?P<n>b)"), "duplicate capture group name");
        assert_eq!(refused("*a"), "missing argument to repetition operator");
        assert_eq!(refused("a**"), "invalid nested repetition operator");
        assert_eq!(refused("a{2,1}"), "invalid repeat count");
        assert_eq!(refused("a{1001}"), "invalid repeat count");
        assert_eq!(refused("[b-a]"), "invalid character class range");
        assert_eq!(refused(r"\1"), "invalid escape sequence");
        assert_eq!(refused(r"\q"), "invalid escape sequence");
        assert_eq!(refused("a\\"), "trailing backslash at end of expression");
        assert_eq!(refused("(?=a)"), "invalid or unsupported Perl syntax");
        assert_eq!(refused("(?x)a"), "invalid or unsupported Perl syntax");
        assert_eq!(refused("(?P<a"), "invalid named capture");
        // Names of scripts that other readers know.
        assert_eq!(refused(r"\p{Grek}"), "invalid character class range");
        assert_eq!(refused(r"\p{^^Greek}"), "invalid character class range");
        assert_eq!(refused("((a{1000}){1000}){1000}"), "expression too large");
    }
}
