//! Names of files are made durable: the system's calls are looked at, for no file system at hand loses a name that power cuts
//! could cost on another.
//!
//! Owns: what is asked of the calls. Does not own: how they are seen (`tracer`).
//!
//! - A segment that is new is flushed a second time only once its directory was: a flush counts when both have come.
//! - A file that replaced another one by a rename has its directory flushed soon after.
//!
//! Source: reliability design 2.1, rule (d).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ottla_env::time;

use crate::Fallible;
use crate::stage::Stage;
use crate::tracer::Tracer;

/// Calls that make names, and that make them durable.
const CALLS: &str = "openat,rename,renameat,renameat2,fsync,fdatasync";
/// A watch has two halves: what is renamed in the first one is durable by the end of the second.
const HALF: Duration = Duration::from_secs(4);

/// Watches the node at its work.
pub(super) async fn names(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        stage.acks(50).await?;
        stage.fault("watched");
        let known = files_below(stage.node.log_dirs())?;
        let tracer = Tracer::watch(stage.node.id(), &stage.home, CALLS).await?;
        time::sleep(HALF).await;
        let half = tracer.said()?.len();
        time::sleep(HALF).await;
        let said = tracer.said()?;
        tracer.detach().await?;
        stage.healed();
        let mut watch = Watch { known, ..Watch::default() };
        let mut calls = Calls::default();
        for (at, line) in lines(&said) {
            if let Some(call) = calls.line(line) {
                watch.on_call(&call, at < half);
            }
        }
        if watch.new.is_empty() || watch.renamed_in_all == 0 {
            let (new, renamed) = (watch.new.len(), watch.renamed_in_all);
            stage.findings.push(format!("nothing was to be seen: {new} new segments, {renamed} renames"));
        }
        let wrong = watch.end();
        stage.findings.extend(wrong);
    }
    Ok(())
}

fn files_below(directories: &[PathBuf]) -> Fallible<BTreeSet<PathBuf>> {
    let (mut files, mut left) = (BTreeSet::new(), directories.to_vec());
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)?.filter_map(Result::ok) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
            files.insert(entry.path());
        }
    }
    Ok(files)
}

/// Lines with the place at which each begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = next;
        next += line.len();
        (at, line.trim_end())
    })
}

/// A call that has come to its end, or one that has only begun.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    /// A file was opened that may be new.
    Made(PathBuf),
    Renamed(PathBuf),
    FlushBegins(PathBuf),
    /// A flush of a file or directory has succeeded.
    Flushed(PathBuf),
}

/// Reads what `strace -f -y` prints. A call during which another thread had its turn stands in two lines.
#[derive(Debug, Default)]
struct Calls {
    unfinished: BTreeMap<String, String>,
}

impl Calls {
    fn line(&mut self, line: &str) -> Option<Call> {
        let (thread, rest) = line.trim_start().split_once(' ')?;
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            self.unfinished.insert(thread.to_owned(), begun.trim_end().to_owned());
            let path = begun.strip_prefix("fdatasync(").and_then(path_of_descriptor);
            return path.map(Call::FlushBegins);
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let begun = self.unfinished.remove(thread)?;
            let end = resumed.split_once("resumed>")?.1;
            return call_of(&format!("{begun}{end}"));
        }
        call_of(rest)
    }
}

fn call_of(text: &str) -> Option<Call> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = call.split_once('(')?;
    if result.starts_with('-') {
        return None;
    }
    match name {
        "openat" if arguments.contains("O_CREAT") => path_of_descriptor(result).map(Call::Made),
        "rename" | "renameat" | "renameat2" => Some(Call::Renamed(PathBuf::from(last_text(arguments)?))),
        "fsync" | "fdatasync" => path_of_descriptor(arguments).map(Call::Flushed),
        _ => None,
    }
}

/// Reads `7</a/b>`.
fn path_of_descriptor(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text.split_once('<')?.1.split_once('>')?.0))
}

/// The last of the texts in quotes.
fn last_text(arguments: &str) -> Option<&str> {
    arguments.rsplit('"').nth(1)
}

/// What is known of names.
#[derive(Debug, Default)]
struct Watch {
    /// Files that were there before.
    known: BTreeSet<PathBuf>,
    /// New segments: flushes so far, and whether the directory was flushed since.
    new: BTreeMap<PathBuf, (u64, bool)>,
    /// Replaced in the first half, the directory not flushed since.
    renamed: BTreeSet<PathBuf>,
    renamed_in_all: u64,
    wrong: Vec<String>,
}

impl Watch {
    fn on_call(&mut self, call: &Call, in_first_half: bool) {
        match call {
            Call::Made(path) => {
                let is_segment = path.extension().is_some_and(|extension| extension == "log");
                if is_segment && self.known.insert(path.clone()) {
                    self.new.insert(path.clone(), (0, false));
                }
            }
            Call::Renamed(path) => {
                self.renamed_in_all += 1;
                // Files that wait to be removed are renamed, too, and nobody needs that to be durable.
                let goes = path.extension().is_some_and(|extension| extension == "deleted");
                if in_first_half && !goes {
                    self.renamed.insert(path.clone());
                }
            }
            Call::FlushBegins(path) => self.on_flush(path),
            Call::Flushed(path) => {
                self.new
                    .iter_mut()
                    .filter(|(new, _)| new.parent() == Some(path))
                    .for_each(|(_, it)| it.1 = true);
                self.renamed.retain(|renamed| renamed.parent() != Some(path));
                self.on_flushed(path);
            }
        }
    }

    /// The first flush of a segment may come before that of its directory.
    fn on_flush(&mut self, path: &Path) {
        if let Some((flushes, durable)) = self.new.get_mut(path)
            && *flushes >= 1
            && !*durable
        {
            *durable = true;
            self.wrong.push(format!("{} is flushed again, and its name is not durable", path.display()));
        }
    }

    fn on_flushed(&mut self, path: &Path) {
        self.on_flush(path);
        if let Some((flushes, _)) = self.new.get_mut(path) {
            *flushes += 1;
        }
    }

    fn end(mut self) -> Vec<String> {
        let left = self.renamed.iter().map(|path| {
            format!("{} was replaced by a rename that is not durable after {HALF:?}", path.display())
        });
        self.wrong.extend(left);
        self.wrong.truncate(5);
        self.wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(lines: &[&str]) -> Vec<String> {
        let (mut calls, mut watch) = (Calls::default(), Watch::default());
        for line in lines {
            if let Some(call) = calls.line(line) {
                watch.on_call(&call, true);
            }
        }
        watch.end()
    }

    const MADE: &str =
        "7 openat(AT_FDCWD</>, \"/d/t-0/9.log\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 5</d/t-0/9.log>";
    const FLUSHED: &str = "7 fdatasync(5</d/t-0/9.log>) = 0";
    const NAMES: &str = "7 fsync(6</d/t-0>) = 0";

    /// Reliability 2.1 (d)
    #[test]
    fn a_new_segment_is_flushed_a_second_time_when_its_name_is_durable() {
        assert!(wrong(&[MADE, FLUSHED, NAMES, FLUSHED]).is_empty());
        assert!(wrong(&[MADE, NAMES, FLUSHED, FLUSHED]).is_empty());
        let told = wrong(&[MADE, FLUSHED, FLUSHED, NAMES]);
        assert_eq!(told, ["/d/t-0/9.log is flushed again, and its name is not durable"]);
        assert_eq!(wrong(&[MADE, FLUSHED, "7 fsync(6</d/t-0>) = -1 EIO (x) (INJECTED)", FLUSHED]).len(), 1);
    }

    /// Reliability 2.1 (d)
    #[test]
    fn a_rename_is_made_durable() {
        let renamed = "7 rename(\"/d/a.tmp\", \"/d/a\") = 0";
        assert!(wrong(&[renamed, "8 fsync(6</d>) = 0"]).is_empty());
        assert_eq!(wrong(&[renamed, NAMES]), ["/d/a was replaced by a rename that is not durable after 4s"]);
        assert!(wrong(&["7 rename(\"/d/a\", \"/d/a.deleted\") = 0"]).is_empty());
    }

    #[test]
    fn a_call_in_two_lines_is_put_together() {
        let begins = "7 fdatasync(5</d/t-0/9.log> <unfinished ...>";
        let ends = "7 <... fdatasync resumed>) = 0";
        assert!(wrong(&[MADE, begins, "8 fsync(6</d/t-0>) = 0", ends, FLUSHED]).is_empty());
        assert_eq!(wrong(&[MADE, FLUSHED, begins, "8 fsync(6</d/t-0>) = 0", ends]).len(), 1);
    }
}
