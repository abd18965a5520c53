//! The tools that start a node of their own: the names of what they do, and their builds.
//!
//! Owns: refusing a name before anything is built. Does not own: what the tools do (`crates/attack`, `crates/chaos`).

use std::path::PathBuf;

use crate::compat::build_release;

/// A tool, and the flag behind which names of it stand.
pub struct Tool {
    pub package: &'static str,
    pub flag: &'static str,
    /// A name a line, as the tool itself has them.
    pub names: &'static str,
}

pub const CHAOS: Tool =
    Tool { package: "ottla-chaos", flag: "--cases", names: include_str!("../../chaos/cases.txt") };
pub const ATTACK: Tool =
    Tool { package: "ottla-attack", flag: "--rows", names: include_str!("../../attack/rows.txt") };

impl Tool {
    /// Builds the tool and, unless the arguments name one, the node, both as they are released. The directory of the results,
    /// and the node if it was built.
    pub fn build(&self, arguments: &[String]) -> Result<(PathBuf, Option<PathBuf>), String> {
        self.refuse_unknown(arguments)?;
        let names_node = arguments.iter().any(|word| word == "--node");
        let node: &[&str] = if names_node { &[] } else { &["--package", "ottla-cli"] };
        let built = build_release(&[&["--package", self.package], node].concat())?;
        let node = (!names_node).then(|| built.join("ottla"));
        Ok((built, node))
    }

    fn refuse_unknown(&self, arguments: &[String]) -> Result<(), String> {
        let behind = arguments.iter().skip_while(|word| *word != self.flag).nth(1);
        let known = |name: &&str| self.names.lines().any(|known| known == *name);
        match behind.and_then(|names| names.split(',').find(|name| !known(name))) {
            Some(unknown) => {
                let all = self.names.lines().collect::<Vec<_>>().join(", ");
                Err(format!("{} does not know '{unknown}'; there are {all}", self.flag))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_before_anything_is_built() {
        let refused = |tool: Tool, words: [&str; 2]| tool.refuse_unknown(&words.map(str::to_owned));
        let told = refused(CHAOS, ["--cases", "kill,flood"]).unwrap_err();
        assert!(told.starts_with("--cases does not know 'flood'; there are kill, term, "), "{told}");
        assert!(refused(ATTACK, ["--rows", "wrong"]).is_err());
        assert_eq!(refused(CHAOS, ["--cases", "kill,power"]), Ok(()));
        assert_eq!(refused(ATTACK, ["--seed", "7"]), Ok(()));
    }
}
