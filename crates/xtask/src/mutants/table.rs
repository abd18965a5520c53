//! The table of mutants.
//!
//! Owns: reading it. Does not own: its content (`table.tsv`), whether it agrees with the code (`tidy`).

/// Name, crate and bug of each, one a line; lines that begin with `#` are for readers.
pub const TEXT: &str = include_str!("table.tsv");

/// One deliberate bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    pub name: String,
    /// The crate it stands in.
    pub home: String,
    /// What is wrong, in words.
    pub bug: String,
}

pub fn read(text: &str) -> Result<Vec<Mutant>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let row = |(number, line): (usize, &str)| match line.split('\t').collect::<Vec<_>>().as_slice() {
        [name, home, bug] => {
            Ok(Mutant { name: (*name).to_owned(), home: (*home).to_owned(), bug: (*bug).to_owned() })
        }
        cells => Err(format!("line {number} of the table of mutants has {} cells, not 3", cells.len())),
    };
    lines.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_name_a_crate_and_a_bug() {
        let rows = read("# x\n\na\tstorage\tdoes b\n").unwrap();
        assert_eq!((rows.len(), &*rows[0].bug), (1, "does b"));
        assert_eq!(read("a\tstorage\n").unwrap_err(), "line 1 of the table of mutants has 2 cells, not 3");
        assert!(read(TEXT).unwrap().len() >= 40);
    }
}
