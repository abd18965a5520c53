//! The simulated disk answers as a real one while nothing fails: the same random calls on both.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use ottla_env::disk::{Disk, OpenMode, RealDisk};
use ottla_testkit::disk::SimDisk;
use ottla_testkit::random::SeededRandom;
use ottla_testkit::seeds;

const NAMES: [&str; 6] = ["a", "b", "d", "d/a", "d/e", "d/e/c"];

const MODES: [OpenMode; 5] =
    [OpenMode::Read, OpenMode::Write, OpenMode::Create, OpenMode::CreateNew, OpenMode::Truncate];

/// One call on a disk: what was asked and what came of it, as text.
fn call(disk: &dyn Disk, root: &Path, random: &SeededRandom) -> String {
    let (name, other) = (random.pick(&NAMES), random.pick(&NAMES));
    let (name, other) = name.zip(other).expect("there are names");
    let (path, to) = (root.join(name), root.join(other));
    let (asked, outcome) = match random.index(9) {
        0 => ("create_dir_all", said(disk.create_dir_all(&path))),
        1 => ("rename", said(disk.rename(&path, &to))),
        2 => ("remove_file", said(disk.remove_file(&path))),
        3 if random.chance(20) => ("remove_dir_all", said(disk.remove_dir_all(&path))),
        4 => ("is_dir", said(disk.exists(&path).and_then(|found| Ok((found, disk.is_dir(&path)?))))),
        5 => ("sync_dir", said(disk.sync_dir(&path))),
        // The length of a directory is the file system's affair.
        6 if !disk.is_dir(&path).unwrap_or(true) => {
            ("metadata", said(disk.metadata(&path).map(|meta| meta.len)))
        }
        _ => ("file", said(on_a_file(disk, &path, random))),
    };
    format!("{asked} {name} {other}: {outcome}")
}

fn on_a_file(disk: &dyn Disk, path: &Path, random: &SeededRandom) -> io::Result<(u64, Vec<u8>)> {
    let mode = *random.pick(&MODES).expect("there are modes");
    let position = random.between(0, 9_000);
    let bytes = vec![u8::try_from(random.between(1, 255)).unwrap_or(1); random.index(6_000)];
    let len = random.between(0, 12_000);
    let shape = random.index(3);
    let file = disk.open(path, mode)?;
    let written = match shape {
        0 => file.write_all_at(&bytes, position),
        1 => file.write_all_vectored_at(&[IoSlice::new(&bytes), IoSlice::new(b"tail")], position),
        _ => file.set_len(len),
    };
    if let Err(error) = &written {
        // The kinds of a handle that may not write differ from system to system; that it fails is enough.
        assert_eq!(mode, OpenMode::Read, "{error}");
    }
    file.sync_data()?;
    let mut content = vec![9; 20_000];
    let got = file.read_at(&mut content, 100)?;
    content.truncate(got);
    Ok((file.len()?, content))
}

fn said<T: Debug>(outcome: io::Result<T>) -> String {
    match outcome {
        Ok(value) => format!("Ok({value:?})"),
        Err(error) => format!("Err({:?})", error.kind()),
    }
}

fn listing(disk: &dyn Disk, dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    for entry in disk.read_dir(dir).expect("the directory exists") {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            all.extend(listing(disk, &path));
        }
        let len = if entry.is_dir { 0 } else { disk.metadata(&path).expect("it was listed").len };
        all.push((path, len));
    }
    all
}

#[test]
fn while_nothing_fails_the_simulated_disk_answers_as_a_real_one() {
    let root = std::env::temp_dir().join(format!("ottla-alike-{}", std::process::id()));
    seeds::run(30, |seed| {
        let simulated = SimDisk::new(seed);
        simulated.prepare_dir(&root).unwrap();
        RealDisk.create_dir_all(&root).unwrap();
        let (one, two) = (SeededRandom::new(seed), SeededRandom::new(seed));
        for step in 0..100 {
            let real = call(&RealDisk, &root, &one);
            assert_eq!(call(&simulated, &root, &two), real, "step {step}");
        }
        assert_eq!(listing(&simulated, &root), listing(&RealDisk, &root));
        RealDisk.remove_dir_all(&root).unwrap();
    });
}
