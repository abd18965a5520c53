//! The directory tree of the simulated disk: what programs see, and what the device has.
//!
//! Owns: names, their changes since the last directory sync, and what a crash makes of them.
//! Does not own: the bytes of files, faults.
//!
//! A change is one unit: a rename happened or did not, never half of it. Changes of one name stay in order:
//! if a later one survives, the earlier ones did too. Otherwise each unsynced change survives independently.
//!
//! Invariants
//! - I1 applying the whole journal to the durable tree gives the live tree;
//! - I2 each directory that was ever made has an entry in both trees, reachable or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::FileNode;
use crate::random::SeededRandom;

/// A directory, by the order in which they were made. The root is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirId(u64);

const ROOT: DirId = DirId(0);

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Dir(DirId),
    File(Arc<FileNode>),
}

type Names = BTreeMap<String, Entry>;

/// One name in one directory.
type Place = (DirId, String);

#[derive(Debug)]
enum Change {
    Put { to: Place, entry: Entry },
    Remove { from: Place },
    Move { from: Place, to: Place, entry: Entry },
}

impl Change {
    fn places(&self) -> impl Iterator<Item = &Place> {
        let (first, second) = match self {
            Change::Put { to, .. } => (to, None),
            Change::Remove { from } => (from, None),
            Change::Move { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }

    fn apply(&self, tree: &mut BTreeMap<DirId, Names>) {
        match self {
            Change::Put { to, entry } => put(tree, to, entry),
            Change::Remove { from } => remove(tree, from),
            Change::Move { from, to, entry } => {
                remove(tree, from);
                put(tree, to, entry);
            }
        }
    }
}

fn put(tree: &mut BTreeMap<DirId, Names>, place: &Place, entry: &Entry) {
    tree.entry(place.0).or_default().insert(place.1.clone(), entry.clone());
}

fn remove(tree: &mut BTreeMap<DirId, Names>, place: &Place) {
    tree.entry(place.0).or_default().remove(&place.1);
}

/// The tree in both views.
#[derive(Debug)]
pub(super) struct Tree {
    live: BTreeMap<DirId, Names>,
    durable: BTreeMap<DirId, Names>,
    /// Changes since the last sync of the directories they touch, in order.
    journal: Vec<Change>,
    dirs_made: u64,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let root = BTreeMap::from([(ROOT, Names::new())]);
        Tree { live: root.clone(), durable: root, journal: Vec::new(), dirs_made: 0 }
    }

    /// What lies at a path, in the live view.
    pub(super) fn find(&self, path: &Path) -> io::Result<Entry> {
        let mut found = Entry::Dir(ROOT);
        for name in parts(path)? {
            let Entry::Dir(dir) = found else { return Err(ErrorKind::NotADirectory.into()) };
            found = self.names(dir).get(&name).cloned().ok_or(ErrorKind::NotFound)?;
        }
        Ok(found)
    }

    pub(super) fn find_dir(&self, path: &Path) -> io::Result<DirId> {
        match self.find(path)? {
            Entry::Dir(dir) => Ok(dir),
            Entry::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<Arc<FileNode>> {
        match self.find(path)? {
            Entry::Dir(_) => Err(ErrorKind::IsADirectory.into()),
            Entry::File(node) => Ok(node),
        }
    }

    /// The names in a directory.
    pub(super) fn names(&self, dir: DirId) -> &Names {
        self.live.get(&dir).expect("a directory that was found has been made")
    }

    /// Every file that a program can reach.
    pub(super) fn files(&self) -> Vec<Arc<FileNode>> {
        reachable_files(&self.live)
    }

    pub(super) fn put_file(&mut self, path: &Path, node: Arc<FileNode>) -> io::Result<()> {
        let to = self.place(path)?;
        self.change(Change::Put { to, entry: Entry::File(node) });
        Ok(())
    }

    pub(super) fn make_dirs(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        let mut parts = parts(path)?.into_iter().peekable();
        while let Some(name) = parts.next() {
            at = match self.names(at).get(&name) {
                Some(Entry::Dir(dir)) => *dir,
                Some(Entry::File(_)) if parts.peek().is_some() => return Err(ErrorKind::NotADirectory.into()),
                Some(Entry::File(_)) => return Err(ErrorKind::AlreadyExists.into()),
                None => {
                    self.dirs_made += 1;
                    let dir = DirId(self.dirs_made);
                    self.live.insert(dir, Names::new());
                    self.durable.insert(dir, Names::new());
                    self.change(Change::Put { to: (at, name), entry: Entry::Dir(dir) });
                    dir
                }
            };
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_place, to_place) = (self.place(from)?, self.place(to)?);
        let entry = self.find(from)?;
        let (from_parts, to_parts) = (parts(from)?, parts(to)?);
        if from_parts == to_parts {
            return Ok(());
        }
        if to_parts.starts_with(&from_parts) {
            // A directory cannot move into itself.
            return Err(ErrorKind::InvalidInput.into());
        }
        if from_parts.starts_with(&to_parts) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        match (&entry, self.find(to)) {
            (Entry::File(_), Ok(Entry::Dir(_))) => return Err(ErrorKind::IsADirectory.into()),
            (Entry::Dir(_), Ok(Entry::File(_))) => return Err(ErrorKind::NotADirectory.into()),
            (Entry::Dir(_), Ok(Entry::Dir(dir))) if !self.names(dir).is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            (_, Ok(_)) => {}
            (_, Err(error)) if error.kind() == ErrorKind::NotFound => {}
            (_, Err(error)) => return Err(error),
        }
        self.change(Change::Move { from: from_place, to: to_place, entry });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.find_file(path)?;
        let from = self.place(path)?;
        self.change(Change::Remove { from });
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.find_dir(path)?;
        let names: Vec<(String, Entry)> =
            self.names(dir).iter().map(|(name, entry)| (name.clone(), entry.clone())).collect();
        for (name, entry) in names {
            match entry {
                Entry::Dir(_) => self.remove_dir_all(&path.join(name))?,
                Entry::File(_) => self.change(Change::Remove { from: (dir, name) }),
            }
        }
        let from = self.place(path)?;
        self.change(Change::Remove { from });
        Ok(())
    }

    /// Makes every name in a directory durable, and with them the earlier changes of the same names elsewhere.
    pub(super) fn sync(&mut self, dir: DirId) {
        let wanted = self.journal.iter().map(|change| change.places().any(|place| place.0 == dir)).collect();
        self.commit(wanted);
    }

    /// Makes every name durable.
    pub(super) fn sync_all(&mut self) {
        self.journal.clear();
        self.durable = self.live.clone();
    }

    /// The power was cut: some of the unsynced changes survive. Returns the files that are still reachable.
    pub(super) fn crash(&mut self, random: &SeededRandom) -> Vec<Arc<FileNode>> {
        let wanted = self.journal.iter().map(|_| random.chance(50)).collect();
        self.commit(wanted);
        self.journal.clear();
        self.live = self.durable.clone();
        self.files()
    }

    /// Applies the wanted changes, and the earlier ones they build on, to the durable tree.
    fn commit(&mut self, mut wanted: Vec<bool>) {
        let mut needed: BTreeSet<Place> = BTreeSet::new();
        for (change, wanted) in self.journal.iter().zip(&mut wanted).rev() {
            *wanted |= change.places().any(|place| needed.contains(place));
            if *wanted {
                needed.extend(change.places().cloned());
            }
        }
        let mut wanted = wanted.into_iter();
        let durable = &mut self.durable;
        self.journal.retain(|change| {
            let apply = wanted.next().unwrap_or(false);
            if apply {
                change.apply(durable);
            }
            !apply
        });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.journal.push(change);
    }

    fn place(&self, path: &Path) -> io::Result<Place> {
        let mut parts = parts(path)?;
        let name = parts.pop().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.find_dir(&parts.iter().collect::<PathBuf>())?, name))
    }
}

fn reachable_files(tree: &BTreeMap<DirId, Names>) -> Vec<Arc<FileNode>> {
    let mut files = Vec::new();
    let mut dirs = vec![ROOT];
    while let Some(dir) = dirs.pop() {
        for entry in tree.get(&dir).into_iter().flat_map(BTreeMap::values) {
            match entry {
                Entry::Dir(inner) => dirs.push(*inner),
                Entry::File(node) => files.push(Arc::clone(node)),
            }
        }
    }
    files
}

/// The components of a path, relative to the root, with `.` and `..` worked out.
pub(super) fn parts(path: &Path) -> io::Result<Vec<String>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                let name = name.to_str().ok_or(ErrorKind::InvalidInput)?;
                // The limit of every file system Ottla runs on.
                if name.len() > 255 {
                    return Err(ErrorKind::InvalidFilename.into());
                }
                parts.push(name.to_owned());
            }
            Component::ParentDir => {
                parts.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(parts)
}
