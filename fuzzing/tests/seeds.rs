//! Every target over its seeds, and over some thousand changes of them: the same every time.
//! `FUZZ_CHANGES` sets how many changes a target sees.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod mutator;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzzing::TARGETS;
use mutator::Mutator;

/// Bytes of an input: longer ones find nothing that these do not.
const INPUT_BYTES: usize = 4_096;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn seeds_of(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz_folder().join("seeds").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The first of some inputs in which a target finds something. It is then to be kept as a seed.
fn finding(name: &str, inputs: impl Iterator<Item = (String, Vec<u8>)>) -> Option<String> {
    for (origin, input) in inputs {
        if catch_unwind(|| fuzzing::run(name, &input)).is_err() {
            return Some(format!("{name}, {origin}: b\"{}\"", input.escape_ascii()));
        }
    }
    None
}

#[test]
fn every_target_holds_over_its_seeds() {
    let named = |(path, seed): (PathBuf, Vec<u8>)| (path.display().to_string(), seed);
    let found = TARGETS.iter().filter_map(|(name, _)| finding(name, seeds_of(name).into_iter().map(named)));
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "what is said above is found in:\n{}", found.join("\n"));
}

#[test]
fn every_target_holds_over_changes_of_its_seeds() {
    let changes: u64 = std::env::var("FUZZ_CHANGES").map_or(2_000, |text| text.parse().expect("a number"));
    let mut found = Vec::new();
    for (name, _) in TARGETS {
        let seeds: Vec<Vec<u8>> = seeds_of(name).into_iter().map(|(_, seed)| seed).collect();
        let mut mutator = Mutator::new(name);
        let changed = (0..changes).map(|number| {
            let mut input = mutator.change(&seeds);
            input.truncate(INPUT_BYTES);
            (format!("change {number}"), input)
        });
        found.extend(finding(name, changed));
    }
    assert!(found.is_empty(), "what is said above is found in:\n{}", found.join("\n"));
}

#[test]
fn cargo_fuzz_knows_every_target_and_no_other() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "a name is there twice");
    let files = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz_folder().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(files("fuzz_targets"), names);
    assert_eq!(files("seeds"), names);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no binary");
        let body = fs::read_to_string(fuzz_folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(body.contains(&format!("\"{name}\"")), "{name} runs another target");
    }
}
