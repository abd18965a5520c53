//! Names that are like one that is not there.
//!
//! Owns: how alike two names are, how alike is alike enough, for every name that people type.
//! Does not own: which names there are, the words of the hint (`refusal`), flags of Kafka's tools (`argparse::near`).

use std::cmp::Ordering;

/// How alike two names must be to be taken for each other, of 1 for equal ones: in `order`, `ordres` and `orderz` the price
/// of one slip from `orders`, and no other word of its length.
const ALIKE: f64 = 0.6;

/// Most names one is reminded of.
const NAMES_MAX: usize = 3;

/// The beginning of a name is enough from this length on, in letters.
const BEGINNING_MIN: usize = 3;

/// The known names that are most like this one, if any is alike enough. Large and small letters are the same.
pub fn similar<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let typed = typed.to_lowercase();
    let rated = known.map(|name| (likeness(&typed, &name.to_lowercase()), name));
    let mut alike: Vec<(f64, &str)> = rated.filter(|(likeness, _)| *likeness >= ALIKE).collect();
    alike.sort_by(|(one, name), (other, another)| other.total_cmp(one).then_with(|| name.cmp(another)));
    let best = alike.first().map(|(likeness, _)| *likeness);
    let is_best = |likeness: f64| best.is_some_and(|best| likeness.total_cmp(&best) == Ordering::Equal);
    let mut names: Vec<&str> =
        alike.into_iter().take_while(|(likeness, _)| is_best(*likeness)).map(|(_, name)| name).collect();
    names.dedup();
    names.truncate(NAMES_MAX);
    names
}

fn likeness(typed: &str, name: &str) -> f64 {
    let likeness = strsim::normalized_damerau_levenshtein(typed, name);
    let is_beginning = typed.chars().count() >= BEGINNING_MIN && name.starts_with(typed);
    if is_beginning { likeness.max(ALIKE) } else { likeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_for_another_only_if_they_are_alike() {
        let known = ["orders", "bills", "orders-archive", "Customer.Events", "t1", "t2"];
        for (typed, expected) in [
            ("ordres", "orders"),
            ("order", "orders"),
            ("ORDERS", "orders"),
            ("ord", "orders,orders-archive"),
            ("customer.event", "Customer.Events"),
            ("bill", "bills"),
            ("xyz", ""),
            ("payments", ""),
            ("t3", ""),
            ("", ""),
        ] {
            assert_eq!(similar(typed, known.into_iter()).join(","), expected, "{typed}");
        }
        assert!(similar("a", std::iter::empty()).is_empty());
    }

    #[test]
    fn not_more_names_are_told_than_can_be_read() {
        let known: Vec<String> = (0..9).map(|number| format!("topic-{number}")).collect();
        assert_eq!(similar("topic-x", known.iter().map(String::as_str)), ["topic-0", "topic-1", "topic-2"]);
    }
}
