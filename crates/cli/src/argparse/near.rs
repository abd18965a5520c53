//! Known flags and commands that are near to what was typed, as argparse4j finds them.
//!
//! Owns: how far apart two names are, and how near is near enough.
//! Does not own: which names are known; names that people type to Ottla's own commands (`own::similar`).

use super::UsageError;

impl UsageError {
    /// Adds the known names that are nearest to what was typed, if any is near enough.
    pub(super) fn with_candidates(mut self, typed: &str, known: &[&str]) -> UsageError {
        self.candidates = nearest(typed, known).into_iter().map(str::to_owned).collect();
        self
    }
}

fn nearest<'a>(typed: &str, known: &[&'a str]) -> Vec<&'a str> {
    let plain = |text: &str| text.trim_start_matches('-').to_owned();
    let typed = plain(typed);
    if typed.chars().count() < 2 {
        return Vec::new();
    }
    let far =
        |known: &str| if plain(known).starts_with(&typed) { 0 } else { distance(&typed, &plain(known)) };
    let mut near: Vec<(u32, &str)> = known.iter().map(|known| (far(known), *known)).collect();
    near.sort_unstable();
    let Some((least, _)) = near.first().copied().filter(|(least, _)| *least < FAR) else { return Vec::new() };
    near.into_iter().filter(|(far, _)| *far == least).map(|(_, name)| name).collect()
}

/// From this distance on two names have nothing to do with each other.
const FAR: u32 = 7;

/// How far apart two names are: the cheapest way from one to the other, where a swap of neighbours is free, an added
/// letter costs 1, another letter 2 and a left-out one 3 (the prices of git's "did you mean").
fn distance(from: &str, to: &str) -> u32 {
    const SWAP: u32 = 0;
    const ADD: u32 = 1;
    const REPLACE: u32 = 2;
    const DROP: u32 = 3;
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Row i holds the prices from the first i letters of `from` to every beginning of `to`.
    let mut rows: Vec<Vec<u32>> = vec![(0..).take(to.len() + 1).collect()];
    for (i, typed) in from.iter().enumerate() {
        let above = &rows[i];
        let mut row = vec![above[0] + 1];
        for (j, known) in to.iter().enumerate() {
            let replaced = above[j] + if typed == known { 0 } else { REPLACE };
            let mut least = replaced.min(above[j + 1] + DROP).min(row[j] + ADD);
            if i > 0 && j > 0 && typed != known && from[i - 1] == *known && *typed == to[j - 1] {
                least = least.min(rows[i - 1][j - 1] + SWAP);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_their_prices() {
        for (from, to, far) in
            [("id", "id", 0), ("id", "idx", 1), ("idx", "id", 3), ("id", "ix", 2), ("id", "di", 0)]
        {
            assert_eq!(distance(from, to), far, "{from} {to}");
        }
    }
}
