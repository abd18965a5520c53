//! Calls and words that do not stand in the tree (style rules 10, 14, 18, 21, 23).
//!
//! Owns: the list, and where each may stand after all. Does not own: lints that clippy has.

use super::Finding;
use super::rust_text::line_of;
use super::tree::{RustFile, Tree};

/// Which text of a file is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Code, but not in tests.
    Product,
    /// Code, in tests too.
    Code,
    /// Everything, comments too.
    Text,
}

/// Something that is not to be used.
struct Ban {
    words: &'static [&'static str],
    place: Where,
    /// Crates in which it may be used.
    allowed: &'static [&'static str],
    instead: &'static str,
}

const OUTSIDE_WORLD: &[&str] = &["env", "testkit", "bench", "attack"];
const TOOLS: &[&str] = &["env", "cli", "xtask", "bench", "chaos", "differential", "attack"];

const BANS: &[Ban] = &[
    Ban {
        words: &["tokio::net", "tokio::time", "tokio::fs"],
        place: Where::Code,
        allowed: OUTSIDE_WORLD,
        instead: "use `ottla_env`: only it touches network, time and files",
    },
    Ban {
        words: &["tokio::spawn", "task::spawn_blocking", "thread::spawn"],
        place: Where::Product,
        allowed: OUTSIDE_WORLD,
        instead: "use `ottla_env::task`, so that the simulator runs it",
    },
    Ban {
        words: &["std::fs", "SystemTime::now", "Instant::now"],
        place: Where::Product,
        allowed: TOOLS,
        instead: "use `ottla_env`: only it touches files and clocks",
    },
    Ban {
        words: &["unbounded_channel", "mpsc::channel()", "channel::unbounded", "UnboundedSender"],
        place: Where::Code,
        allowed: &[],
        instead: "every queue has a limit",
    },
    Ban {
        words: &["thread::sleep"],
        place: Where::Code,
        allowed: &["env"],
        instead: "wait for what is to happen, not for time to pass",
    },
    Ban {
        words: &["todo!", "unimplemented!", "dbg!"],
        place: Where::Code,
        allowed: &[],
        instead: "finish it",
    },
    Ban {
        words: &["#[ignore"],
        place: Where::Code,
        allowed: &[],
        instead: "assert today's behaviour and say why",
    },
];

/// Words of unfinished work, also in comments. Spelled in two parts, so that this list is not among its findings.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.rust {
        for ban in BANS {
            find(file, ban, &mut findings);
        }
        let unfinished = Ban {
            words: &UNFINISHED,
            place: Where::Text,
            allowed: &[],
            instead: "finish it, or say it in an issue",
        };
        find(file, &unfinished, &mut findings);
    }
    findings
}

fn find(file: &RustFile, ban: &Ban, findings: &mut Vec<Finding>) {
    let crate_name =
        file.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if ban.allowed.contains(&crate_name) {
        return;
    }
    let text = match ban.place {
        Where::Product => &file.product,
        Where::Code => &file.code,
        Where::Text => &file.text,
    };
    for word in ban.words {
        for (at, _) in text.match_indices(word) {
            let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
            let before = text[..at].chars().next_back();
            let behind = text[at + word.len()..].chars().next();
            let starts_inside = word.starts_with(is_part) && before.is_some_and(is_part);
            let ends_inside = word.ends_with(is_part) && behind.is_some_and(is_part);
            if !starts_inside && !ends_inside {
                let message = format!("`{word}` is not used here: {}", ban.instead);
                findings.push(Finding::new(&file.path, line_of(text, at), message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn only_env_touches_the_outside_world() {
        let text = "//! B.\nuse tokio::net::TcpStream;\nfn b() { std::fs::read(x); Instant::now(); }\n";
        assert_eq!(lines("crates/server/src/b.rs", text), [2, 3, 3]);
        assert!(lines("crates/env/src/b.rs", text).is_empty());
    }

    #[test]
    fn tests_may_read_files_and_the_clock_but_not_sleep() {
        let text = "//! B.\n#[cfg(test)]\nmod tests {\n  fn t() { std::fs::read(x); Instant::now(); }\n  fn s() { thread::sleep(x); }\n}\n";
        assert_eq!(lines("crates/server/src/b.rs", text), [5]);
    }

    #[test]
    fn unfinished_work_is_found_in_comments_too() {
        let text = format!("//! B.\n// {}: later\nfn b() {{ todo!() }}\n", UNFINISHED[0]);
        assert_eq!(lines("crates/a/src/b.rs", &text), [3, 2]);
    }

    #[test]
    fn words_in_comments_and_longer_words_are_no_calls() {
        let text = "//! Not `std::fs`.\nfn b() { my_std::fs_like(); \"tokio::net\"; dbg(); }\n";
        assert!(lines("crates/a/src/b.rs", text).is_empty());
    }

    #[test]
    fn queues_have_limits_and_tests_run() {
        let text = "//! B.\nfn b() { mpsc::unbounded_channel(); }\n#[cfg(test)]\nmod tests {\n  #[ignore]\n  fn t() {}\n}\n";
        assert_eq!(lines("crates/a/src/b.rs", text), [2, 5]);
    }
}
