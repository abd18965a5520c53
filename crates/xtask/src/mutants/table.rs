//! The table of mutants.
//!
//! Owns: reading it. Does not own: its content (`table.tsv`), whether it agrees with the code (`tidy`).

/// Name, crate, bug and live cases of each, one a line; lines that begin with `#` are for readers.
pub const TEXT: &str = include_str!("table.tsv");

/// One deliberate bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    pub name: String,
    /// The crate it stands in.
    pub home: String,
    /// What is wrong, in words.
    pub bug: String,
    pub live: Live,
}

/// What must show a bug on a node that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Live {
    /// Every one of these.
    By(Vec<Case>),
    /// Nothing, for this reason.
    No(String),
}

/// A case of chaos or a row of the attacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    pub tool: Tool,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    Chaos,
    Attack,
}

impl Tool {
    pub const ALL: [Tool; 2] = [Tool::Chaos, Tool::Attack];

    pub fn name(self) -> &'static str {
        match self {
            Tool::Chaos => "chaos",
            Tool::Attack => "attack",
        }
    }
}

impl Mutant {
    /// The cases of a tool that must show it.
    pub fn cases(&self, tool: Tool) -> impl Iterator<Item = &Case> {
        let cases: &[Case] = if let Live::By(cases) = &self.live { cases } else { &[] };
        cases.iter().filter(move |case| case.tool == tool)
    }
}

pub fn read(text: &str) -> Result<Vec<Mutant>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let row = |(number, line): (usize, &str)| match line.split('\t').collect::<Vec<_>>().as_slice() {
        [name, home, bug, live] => Ok(Mutant {
            name: (*name).to_owned(),
            home: (*home).to_owned(),
            bug: (*bug).to_owned(),
            live: live_of(live).map_err(|wrong| format!("line {number} of the table of mutants: {wrong}"))?,
        }),
        cells => Err(format!("line {number} of the table of mutants has {} cells, not 4", cells.len())),
    };
    lines.map(row).collect()
}

/// Reads `chaos:kill attack:sizes`, or `no: why`.
fn live_of(cell: &str) -> Result<Live, String> {
    if let Some(why) = cell.strip_prefix("no: ") {
        return Ok(Live::No(why.to_owned()));
    }
    let case = |word: &str| {
        let (tool, name) = word.split_once(':')?;
        let tool = Tool::ALL.into_iter().find(|known| known.name() == tool)?;
        Some(Case { tool, name: name.to_owned() })
    };
    let cases: Option<Vec<Case>> = cell.split(' ').map(case).collect();
    cases.map(Live::By).ok_or_else(|| format!("'{cell}' is neither cases nor 'no: ' and a reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_name_a_crate_a_bug_and_what_shows_it() {
        let rows =
            read("# x\n\na\tstorage\tdoes b\tchaos:kill attack:sizes\nc\tclient\td\tno: way\n").unwrap();
        assert_eq!((rows.len(), &*rows[0].bug), (2, "does b"));
        let names: Vec<&str> = rows[0].cases(Tool::Attack).map(|case| &*case.name).collect();
        assert_eq!((names, rows[1].cases(Tool::Chaos).count()), (vec!["sizes"], 0));
        assert_eq!(rows[1].live, Live::No("way".to_owned()));
        assert_eq!(read("a\tstorage\n").unwrap_err(), "line 1 of the table of mutants has 2 cells, not 4");
        let wrong = read("a\tstorage\tb\tkill\n").unwrap_err();
        assert_eq!(wrong, "line 1 of the table of mutants: 'kill' is neither cases nor 'no: ' and a reason");
    }

    #[test]
    fn the_table_names_cases_and_rows_that_there_are() {
        let rows = read(TEXT).unwrap();
        assert!(rows.len() >= 40);
        for (tool, known) in [(Tool::Chaos, crate::tools::CHAOS), (Tool::Attack, crate::tools::ATTACK)] {
            for case in rows.iter().flat_map(|row| row.cases(tool)) {
                assert!(known.names.lines().any(|name| name == case.name), "{case:?}");
            }
        }
    }
}
