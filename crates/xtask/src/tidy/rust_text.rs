//! Enough of Rust's lexical rules to tell code from comments and literals.
//!
//! Owns: blanking, matching of braces, functions in a text. Does not own: rules.
//!
//! Invariants
//! - every output has the lines of its input, so that a line number is good for both.
//!
//! Source: The Rust Reference, "Comments" and "Tokens".

/// The text with comments and the content of string and character literals replaced by spaces.
pub fn code_of(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { characters: &characters, at: 0, output: String::with_capacity(text.len()) };
    while scanner.at < characters.len() {
        scanner.step();
    }
    scanner.output
}

struct Scanner<'a> {
    characters: &'a [char],
    at: usize,
    output: String,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn copy(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(character) = self.peek(0) {
                self.output.push(character);
                self.at += 1;
            }
        }
    }

    /// Replaces by spaces, but keeps the ends of lines.
    fn blank(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(character) = self.peek(0) {
                self.output.push(if character == '\n' { '\n' } else { ' ' });
                self.at += 1;
            }
        }
    }

    fn step(&mut self) {
        let starts_word = !self.output.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => self.blank_while(|scanner| scanner.peek(0) != Some('\n')),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(),
            (Some('r' | 'b' | 'c'), _) if starts_word && self.raw_string_hashes().is_some() => {
                self.raw_string()
            }
            (Some('\''), _) => self.quote(),
            _ => self.copy(1),
        }
    }

    fn blank_while(&mut self, goes_on: impl Fn(&Self) -> bool) {
        while self.at < self.characters.len() && goes_on(self) {
            self.blank(1);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.blank(1);
                    continue;
                }
            }
            self.blank(2);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.copy(1);
        while let Some(character) = self.peek(0) {
            match character {
                '\\' => self.blank(2),
                '"' => return self.copy(1),
                _ => self.blank(1),
            }
        }
    }

    /// The number of `#` of a raw string that begins here, `None` where none does.
    fn raw_string_hashes(&self) -> Option<(usize, usize)> {
        let prefix = match (self.peek(0), self.peek(1)) {
            (Some('r'), _) => 1,
            (Some('b' | 'c'), Some('r')) => 2,
            _ => return None,
        };
        let hashes = (prefix..).take_while(|ahead| self.peek(*ahead) == Some('#')).count();
        (self.peek(prefix + hashes) == Some('"')).then_some((prefix, hashes))
    }

    fn raw_string(&mut self) {
        let Some((prefix, hashes)) = self.raw_string_hashes() else { return };
        self.copy(prefix + hashes + 1);
        let ends = |scanner: &Self| {
            scanner.peek(0) == Some('"') && (1..=hashes).all(|ahead| scanner.peek(ahead) == Some('#'))
        };
        self.blank_while(|scanner| !ends(scanner));
        self.copy(1 + hashes);
    }

    /// A character literal, or the beginning of a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.copy(1);
            self.blank(2);
            self.blank_while(|scanner| scanner.peek(0) != Some('\''));
            self.copy(1);
        } else if self.peek(2) == Some('\'') {
            self.copy(1);
            self.blank(1);
            self.copy(1);
        } else {
            self.copy(1);
        }
    }
}

/// The offset behind the brace that closes the one at `open`, or the end of the text.
pub fn end_of_block(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The line, from 1, of an offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The code with every `#[cfg(test)] mod … { … }` blanked.
pub fn without_test_modules(code: &str) -> String {
    let mut product = code.to_owned();
    let mut from = 0;
    while let Some(found) = product[from..].find("#[cfg(test)]") {
        let start = from + found;
        let behind = start + "#[cfg(test)]".len();
        let Some(open) = product[behind..].find(['{', ';']).map(|at| behind + at) else { break };
        let end = if product[open..].starts_with('{') { end_of_block(&product, open) } else { open + 1 };
        let blank: String =
            product[start..end].chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect();
        product.replace_range(start..end, &blank);
        from = start + blank.len();
    }
    product
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Offset of the word `fn`.
    pub start: usize,
    /// Offsets of the body with its braces.
    pub body: std::ops::Range<usize>,
}

/// The functions of a code text, nested ones too, in the order in which they begin.
pub fn functions_of(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for start in words_of(code, "fn") {
        let behind = code[start + 2..].trim_start();
        let name: String = behind.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
        if name.is_empty() {
            continue;
        }
        if let Some(open) = body_of(code, start) {
            functions.push(Function { name, start, body: open..end_of_block(code, open) });
        }
    }
    functions
}

/// The brace that opens the body of the function at `start`; `None` for one without a body.
fn body_of(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Offsets at which `word` stands by itself.
pub fn words_of<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !is_word(before) && !is_word(bytes.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a /* b /* c */ d */ e // f\n\"g\\\"h\" 'i' '\\'' b\"j\" r#\"k\"l\"# 'm: n";
        let code = code_of(text);
        for gone in ["b /*", "c", "d", "f", "g", "h", "'i'", "j", "k"] {
            assert!(!code.contains(gone), "{gone} in {code}");
        }
        for kept in ["a ", " e ", "'m: n"] {
            assert!(code.contains(kept), "{kept} in {code}");
        }
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn a_name_that_ends_in_r_begins_no_raw_string() {
        assert_eq!(code_of("error(\"x\") for"), "error(\" \") for");
    }

    #[test]
    fn test_modules_are_left_out_of_the_product() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { if x {} }\n}\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}\n";
        let product = without_test_modules(code);
        assert!(!product.contains("fn b") && !product.contains("mod d"));
        assert!(product.contains("fn a") && product.contains("fn c") && product.contains("fn e"));
        assert_eq!(product.lines().count(), code.lines().count());
    }

    #[test]
    fn functions_are_found_with_their_bodies() {
        let code = "trait T { fn no(&self, x: [u8; 4]); }\nfn one<F: Fn()>(f: F) -> [u8; 2] {\n  f();\n}\nlet fn_like = 1;";
        let functions = functions_of(code);
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0].name, "one");
        assert_eq!(&code[functions[0].body.clone()], "{\n  f();\n}");
        assert_eq!(line_of(code, functions[0].start), 2);
    }
}
