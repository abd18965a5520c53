//! Mutants: deliberate bugs of the product, each of which some test must find.
//!
//! Owns: the arguments, the order of a run, what it means.
//! Does not own: the bugs (`crates/mutant` and where they stand), which layers there are (`layers`), the table (`table`).
//!
//! All test binaries are built once, with every mutant in them, into a target directory of their own. They must pass
//! with no mutant chosen. Then for each mutant the layers are run in order until a test fails. That test is run again
//! without the mutant: one that fails then too proves nothing.
//!
//! `--layers chaos,attack` runs a node with the mutant under the faults and attacks that the table names, each of which must
//! show it, whatever tests find it before.
//!
//! Source: reliability design 4.5; `docs/decisions/0004-mutants.md`.

mod build;
mod layers;
mod live;
mod report;
pub mod table;
mod trial;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use build::{Binaries, Binary};
use layers::Layer;
use report::{Fate, LiveRow, Row};
use table::{Mutant, Tool};
use trial::{Bounds, End, Run};

/// Runs the table, or the mutants behind `--only`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::of(arguments)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let all = table::read(table::TEXT)?;
    let chosen = options.choose(&all)?;
    let rows = judge_by_tests(&root, &options, &chosen)?;
    let live = judge_by_tools(&root, &options, &chosen)?;
    if let Some(path) = &options.report {
        let mut text = String::new();
        if !rows.is_empty() {
            text += &report::page(&rows);
        }
        if !live.is_empty() {
            text += &report::live_page(&live);
        }
        std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))?;
    }
    report::verdict(&rows, &live)
}

fn judge_by_tests(root: &Path, options: &Options, chosen: &[&Mutant]) -> Result<Vec<Row>, String> {
    let layers: Vec<&str> =
        options.layers().into_iter().filter(|name| layers::NAMES.contains(name)).collect();
    if layers.is_empty() {
        return Ok(Vec::new());
    }
    let binaries = build::build(root)?;
    let mut laboratory = Laboratory { binaries, bounds: Bounds::default(), passed: BTreeSet::new() };
    let judge = |mutant: &&Mutant| {
        let row = laboratory.judge(mutant, &layers)?;
        println!("{}", report::line(&row));
        Ok(row)
    };
    chosen.iter().map(judge).collect()
}

/// Runs every case that the table names, also where one before has shown the mutant.
fn judge_by_tools(root: &Path, options: &Options, chosen: &[&Mutant]) -> Result<Vec<LiveRow>, String> {
    let layers = options.layers();
    let tools: Vec<Tool> = Tool::ALL.into_iter().filter(|tool| layers.contains(&tool.name())).collect();
    if tools.is_empty() {
        return Ok(Vec::new());
    }
    let mut bench = live::Bench::new(build::build_live(root)?);
    let mut rows = Vec::new();
    for mutant in chosen {
        for case in tools.iter().flat_map(|tool| mutant.cases(*tool)) {
            let row = LiveRow { mutant: (*mutant).clone(), tried: bench.attempt(mutant, case)? };
            println!("{}", report::live_line(&row));
            rows.push(row);
        }
    }
    Ok(rows)
}

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    only: Vec<String>,
    /// Empty for the tests.
    layers: Vec<String>,
    report: Option<String>,
}

impl Options {
    fn of(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("'{argument}' has no value behind it"))?;
            match argument.as_str() {
                "--only" => options.only.extend(value.split(',').map(str::to_owned)),
                "--layers" => options.layers.extend(value.split(',').map(str::to_owned)),
                "--report" => options.report = Some(value.clone()),
                other => {
                    return Err(format!(
                        "unknown argument '{other}'; known are --only, --layers and --report"
                    ));
                }
            }
        }
        let known: Vec<&str> = layers::NAMES.into_iter().chain(Tool::ALL.map(Tool::name)).collect();
        match options.layers.iter().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(format!("there is no layer '{unknown}'; there are {}", known.join(", "))),
            None => Ok(options),
        }
    }

    /// The layers that are run.
    fn layers(&self) -> Vec<&str> {
        match self.layers.is_empty() {
            true => layers::NAMES.to_vec(),
            false => self.layers.iter().map(String::as_str).collect(),
        }
    }

    fn choose<'a>(&self, all: &'a [Mutant]) -> Result<Vec<&'a Mutant>, String> {
        if let Some(unknown) = self.only.iter().find(|name| all.iter().all(|mutant| mutant.name != **name)) {
            return Err(format!("there is no mutant '{unknown}'"));
        }
        let chosen = |mutant: &&Mutant| self.only.is_empty() || self.only.contains(&mutant.name);
        Ok(all.iter().filter(chosen).collect())
    }
}

/// The binaries, and what is known of them without a mutant.
struct Laboratory {
    binaries: Binaries,
    bounds: Bounds,
    /// What passes without a mutant.
    passed: BTreeSet<String>,
}

impl Laboratory {
    fn judge(&mut self, mutant: &Mutant, names: &[&str]) -> Result<Row, String> {
        let begin = Instant::now();
        let mut fate = Fate::Survived;
        for layer in layers::of(mutant).into_iter().filter(|layer| names.contains(&layer.name)) {
            for binary in self.binaries.of(&layer)? {
                match self.attempt(mutant, (&layer, &binary)) {
                    Ok(None) => continue,
                    Ok(Some(found)) => fate = found,
                    Err(why) => fate = Fate::Unproven { why },
                }
                break;
            }
            if fate != Fate::Survived {
                break;
            }
        }
        Ok(Row { mutant: mutant.clone(), fate, seconds: begin.elapsed().as_secs_f64() })
    }

    /// One binary against one mutant.
    fn attempt(
        &mut self,
        mutant: &Mutant,
        (layer, binary): (&Layer, &Binary),
    ) -> Result<Option<Fate>, String> {
        self.pass_without(layer, binary)?;
        let run = Run { binary, filter: layer.filter, exact: false, mutant: Some(&mutant.name) };
        let (how, test) = match trial::run(&run, self.bounds.of(&run))? {
            End::Passed => return Ok(None),
            End::Failed { test } => ("", Some(test)),
            End::Hung { test } => ("hang", test),
            End::Died { how, test } => ("died", test.or(Some(how))),
        };
        let test = test.unwrap_or_default();
        if how.is_empty() {
            let again = Run { binary, filter: &test, exact: true, mutant: None };
            if let other @ (End::Failed { .. } | End::Hung { .. } | End::Died { .. }) =
                trial::run(&again, self.bounds.of(&run))?
            {
                return Err(format!("{}: {test} fails without a mutant too: {other:?}", layer.name));
            }
        }
        Ok(Some(Fate::Killed { layer: layer.name.to_owned(), test, how: how.to_owned() }))
    }

    /// Everything passes without a mutant, or the run is worth nothing. Done once for each binary.
    fn pass_without(&mut self, layer: &Layer, binary: &Binary) -> Result<(), String> {
        let run = Run { binary, filter: layer.filter, exact: false, mutant: None };
        if self.passed.contains(&run.label()) {
            return Ok(());
        }
        let begin = Instant::now();
        match trial::run(&run, self.bounds.of(&run))? {
            End::Passed => {}
            end @ (End::Failed { .. } | End::Hung { .. } | End::Died { .. }) => {
                return Err(format!("{} does not pass without a mutant: {end:?}", run.label()));
            }
        }
        self.bounds.learn(&run, begin.elapsed());
        self.passed.insert(run.label());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Result<Options, String> {
        Options::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn some_mutants_can_be_chosen_by_name() {
        let all = table::read(table::TEXT).unwrap();
        assert_eq!(Options::default().choose(&all).unwrap().len(), all.len());
        let two = typed(&["--only", "skip_flush,keep_torn_end"]).unwrap();
        let names: Vec<&str> = two.choose(&all).unwrap().iter().map(|mutant| &*mutant.name).collect();
        assert_eq!(names, ["skip_flush", "keep_torn_end"]);
        assert!(typed(&["--only", "no_such"]).unwrap().choose(&all).is_err());
        assert!(typed(&["--only"]).is_err() && typed(&["--all", "x"]).is_err());
    }

    #[test]
    fn tests_are_run_unless_other_layers_are_named() {
        assert_eq!(typed(&[]).unwrap().layers(), layers::NAMES);
        assert_eq!(typed(&["--layers", "unit,chaos"]).unwrap().layers(), ["unit", "chaos"]);
        let wrong = typed(&["--layers", "luck"]).unwrap_err();
        assert!(wrong.starts_with("there is no layer 'luck'; there are unit, crate,"), "{wrong}");
    }
}
