//! `ottla man`: pages for man, made of the definitions that parse the flags.
//!
//! Owns: the files. Does not own: their text (`clap_mangen` and the commands).

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, Parser};
use clap_mangen::Man;

use super::definitions;
use super::refusal::Refusal;
use crate::terminal::Terminal;

/// Write pages for man, one for each command.
#[derive(Debug, Parser)]
#[command(
    name = "ottla man",
    bin_name = "ottla man",
    after_help = "As man finds them: ottla man ~/.local/share/man/man1, then man ottla-topic"
)]
pub struct Flags {
    /// A directory for the pages; it is made where there is none
    directory: PathBuf,
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let directory = &flags.directory;
    let failed = |error| {
        Refusal::failed(format!("the pages in {} are not complete", directory.display())).detail(error)
    };
    fs::create_dir_all(directory).map_err(failed)?;
    let mut root = definitions::own();
    root.build();
    let count = write(root, directory).map_err(failed)?;
    terminal.out_line(format_args!("{count} pages were written to {}", directory.display()));
    Ok(())
}

/// Writes the page of a command and those of its own commands; answers how many.
fn write(command: Command, directory: &Path) -> std::io::Result<u32> {
    let mut count = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        count += write(inner.clone(), directory)?;
    }
    let source = format!("ottla {}", env!("CARGO_PKG_VERSION"));
    // The day of the build would make the same sources give other pages.
    Man::new(command).date("").source(source).manual("Ottla").generate_to(directory)?;
    Ok(count)
}
