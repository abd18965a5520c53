//! What a run of mutants says.
//!
//! Owns: lines, page, and verdict. Does not own: how it came about.

use super::table::Mutant;

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// `how` is empty where a test failed as tests fail.
    Killed {
        layer: String,
        test: String,
        how: String,
    },
    Survived,
    /// A test failed that fails without the mutant too, or nothing could be run.
    Unproven {
        why: String,
    },
}

/// One mutant with its fate.
#[derive(Clone, Debug)]
pub struct Row {
    pub mutant: Mutant,
    pub fate: Fate,
    pub seconds: f64,
}

impl Row {
    fn by(&self) -> (String, String) {
        match &self.fate {
            Fate::Killed { layer, test, how } if how.is_empty() => (layer.clone(), test.clone()),
            Fate::Killed { layer, test, how } => (layer.clone(), format!("{how} {test}").trim().to_owned()),
            Fate::Survived => ("SURVIVED".to_owned(), String::new()),
            Fate::Unproven { why } => ("UNPROVEN".to_owned(), why.clone()),
        }
    }
}

/// For the terminal, as soon as it is known.
pub fn line(row: &Row) -> String {
    let (layer, test) = row.by();
    format!("{:<34} {:<10} {:>6.1} s  {test}", row.mutant.name, layer, row.seconds)
}

/// The table of the documentation.
pub fn page(rows: &[Row]) -> String {
    let mut text = String::from("| mutant | bug | killed by | test | seconds |\n|---|---|---|---|---|\n");
    for row in rows {
        let (layer, test) = row.by();
        let test = if test.is_empty() { String::new() } else { format!("`{test}`") };
        let (name, bug) = (&row.mutant.name, &row.mutant.bug);
        text.push_str(&format!("| `{name}` | {bug} | {layer} | {test} | {:.1} |\n", row.seconds));
    }
    text
}

/// Survivors are named, and the run has failed.
pub fn verdict(rows: &[Row]) -> Result<(), String> {
    let lives = |row: &&Row| !matches!(row.fate, Fate::Killed { .. });
    let survivors: Vec<&str> = rows.iter().filter(lives).map(|row| row.mutant.name.as_str()).collect();
    println!("{} mutants, {} killed", rows.len(), rows.len() - survivors.len());
    match survivors.is_empty() {
        true => Ok(()),
        false => Err(format!("survived: {}", survivors.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fate: Fate) -> Row {
        let mutant = Mutant { name: "skip_flush".into(), home: "storage".into(), bug: "no flush".into() };
        Row { mutant, fate, seconds: 1.25 }
    }

    fn killed(how: &str) -> Fate {
        Fate::Killed { layer: "unit".into(), test: "a::b".into(), how: how.into() }
    }

    #[test]
    fn a_survivor_is_named_and_fails_the_run() {
        assert_eq!(verdict(&[row(killed("")), row(killed("hang"))]), Ok(()));
        assert!(verdict(&[row(Fate::Unproven { why: "flaky".into() })]).is_err());
        let failed = verdict(&[row(killed("")), row(Fate::Survived)]);
        assert_eq!(failed, Err("survived: skip_flush".to_owned()));
    }

    #[test]
    fn a_row_tells_layer_test_and_time() {
        let text = page(&[row(killed("")), row(killed("hang"))]);
        assert!(text.contains("| `skip_flush` | no flush | unit | `a::b` | 1.2 |\n"), "{text}");
        assert!(text.ends_with("| unit | `hang a::b` | 1.2 |\n"), "{text}");
    }
}
