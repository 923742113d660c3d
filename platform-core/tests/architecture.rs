//! Who may know whom, read from the sources (see ARCHITECTURE.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const DOMAINS: [&str; 7] = ["gateway", "auth", "users", "transactions", "notifications", "audit", "flags"];

/// Which modules of platform-core a module may name, besides itself.
fn may_know(module: &str) -> Vec<&'static str> {
    let shared = ["kernel", "ports", "backbone"];
    let facades: &[&str] = match module {
        "kernel" => return vec![],
        "ports" => return vec!["kernel"],
        "backbone" => return vec!["kernel", "ports"],
        "gateway" => &["auth", "flags"],
        "auth" | "transactions" | "notifications" => &["users"],
        "users" | "audit" | "flags" => &[],
        // platform.rs wires everything; lib.rs declares everything; testdata serves the tests.
        _ => return [&shared[..], &DOMAINS[..], &["platform", "testdata", "typed_id"]].concat(),
    };
    [&shared[..], facades, &["testdata", "typed_id"]].concat()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("tests.rs") || path.ends_with("tests") {
            // A module of tests in a file of its own, or in a folder with a file per subject.
        } else if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The code of a file: without comments, and without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    without_tests(&text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Everything before a module of tests; one that stands in a file of its own ends nothing.
fn without_tests(text: &str) -> &str {
    let mut modules = text.match_indices("\n#[cfg(test)]\nmod ");
    let inline = modules.find(|(at, marker)| {
        text[at + marker.len()..].lines().next().is_some_and(|line| line.trim_end().ends_with('{'))
    });
    inline.map_or(text, |(at, _)| &text[..at])
}

/// The first path segments behind `crate::`, also within `use crate::{a, b::c}`.
fn crate_modules(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, marker) in code.match_indices("crate::") {
        if code[..at].ends_with('$') {
            continue;
        }
        let rest = &code[at + marker.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut segment = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.extend([first_segment(&std::mem::take(&mut segment))]),
                    _ if depth == 0 => segment.push(letter),
                    _ => {}
                }
            }
            found.extend([first_segment(&segment)]);
        } else {
            found.extend([first_segment(rest)]);
        }
    }
    found.remove("");
    found
}

fn first_segment(path: &str) -> String {
    path.trim().chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

#[test]
fn modules_know_only_whom_they_may() {
    let root = workspace().join("platform-core/src");
    let mut wrong = Vec::new();
    for path in sources(&root) {
        let inner = path.strip_prefix(&root).expect("inside");
        let module =
            inner.components().next().expect("a name").as_os_str().to_string_lossy().replace(".rs", "");
        if module == "lib" {
            continue;
        }
        let allowed = may_know(&module);
        for named in crate_modules(&code(&path)) {
            // Exported macros stand at the root of the crate whatever module declares them; planted faults
            // are in no release.
            if named != module
                && named != "planted"
                && !named.starts_with("__")
                && !allowed.contains(&named.as_str())
            {
                wrong.push(format!("{} names crate::{named}", inner.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_domain_is_seen_from_outside_through_its_facade_only() {
    let root = workspace().join("platform-core/src");
    let mut wrong = Vec::new();
    for path in sources(&root) {
        let inner = path.strip_prefix(&root).expect("inside").display().to_string();
        let code = code(&path);
        for domain in DOMAINS.iter().filter(|domain| !inner.starts_with(*domain)) {
            for (at, marker) in code.match_indices(&format!("crate::{domain}::")) {
                let rest = &code[at + marker.len()..];
                let group = rest.strip_prefix('{').and_then(|group| group.split('}').next());
                for next in group.map_or_else(|| vec![rest], |group| group.split(',').collect()) {
                    let next = first_segment(next.trim());
                    let room = root.join(domain).join(format!("{next}.rs"));
                    let folder = root.join(domain).join(&next);
                    // `events` is the vocabulary that domains share.
                    if !["events", ""].contains(&next.as_str()) && (room.exists() || folder.is_dir()) {
                        wrong.push(format!("{inner} reaches into {domain}::{next}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The rooms of a domain. Whoever has read one domain can find everything in the other six.
const ROOMS: [&str; 8] = ["mod", "model", "commands", "queries", "events", "tables", "error", "worker"];

/// Rooms that would be empty, and why.
const EMPTY_ROOMS: [(&str, &str, &str); 1] =
    [("audit", "events", "it hears every event and publishes none: an entry about an entry would never end")];

#[test]
fn every_domain_has_the_same_rooms() {
    let root = workspace().join("platform-core/src");
    let mut wrong = Vec::new();
    for (domain, room) in DOMAINS.iter().flat_map(|domain| ROOMS.map(|room| (*domain, room))) {
        let (file, folder) = (root.join(domain).join(format!("{room}.rs")), root.join(domain).join(room));
        let files = if file.exists() { vec![file] } else { sources(&folder) };
        let has_code = files.iter().any(|path| !code(path).trim().is_empty());
        let excepted = EMPTY_ROOMS.iter().any(|(of, empty, _)| (*of, *empty) == (domain, room));
        match (has_code, excepted) {
            (false, false) => wrong.push(format!("{domain} has no {room}")),
            (true, true) => wrong.push(format!("{domain} has {room} and is listed as not having it")),
            _ => {}
        }
        // A room is entered through the domain's mod.rs, so that the compiler knows it.
        let entrance = code(&root.join(domain).join("mod.rs"));
        if has_code && room != "mod" && !entrance.contains(&format!("mod {room};")) {
            wrong.push(format!("{domain}/{room} is no part of the domain"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_core_has_no_clock_no_thread_and_no_unbiased_select() {
    let root = workspace().join("platform-core/src");
    let banned = [
        "SystemTime",
        "Instant::now",
        "thread::spawn",
        "thread::sleep",
        "tokio::spawn",
        "spawn_blocking",
        "tokio::time",
    ];
    let mut wrong = Vec::new();
    for path in sources(&root) {
        let code = code(&path);
        for word in banned.iter().filter(|word| code.contains(**word)) {
            wrong.push(format!("{} uses {word}", path.display()));
        }
        for (at, marker) in code.match_indices("select!") {
            if !code[at + marker.len()..].trim_start_matches([' ', '{', '\n']).starts_with("biased;") {
                wrong.push(format!("{} has an unbiased select!", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn keys_of_strangers_are_hashed_with_a_seed() {
    // Keys there are an administrator's.
    let exception = Path::new("flags/snapshot.rs");
    let unseeded = [
        "BuildHasherDefault",
        "FxHash",
        "fxhash",
        "FnvHash",
        "ahash",
        "nohash",
        "hashbrown",
        // foldhash's other state, without a seed.
        "FixedState",
        "DefaultHasher",
    ];
    let mut wrong = Vec::new();
    for folder in ["platform-core/src", "platform-server/src", "embedded-store/src", "cluster-store/src"] {
        for path in sources(&workspace().join(folder)).iter().filter(|path| !path.ends_with(exception)) {
            let code = code(path);
            for word in unseeded.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{} uses {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The names of the dependencies in the sections of a manifest that are part of the build.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && let Some(name) = line.split(['.', '=', ' ']).next() {
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn only_the_right_crates_see_databases_http_and_bindings() {
    let only: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("rusqlite", &["embedded-store", "disk-faults", "benches"][..]),
        ("fjall", &["embedded-store", "benches"][..]),
        ("sled", &["embedded-store", "benches"][..]),
        ("tokio-postgres", &["cluster-store", "benches"][..]),
        ("deadpool-postgres", &["cluster-store"][..]),
        ("redis", &["cluster-store"][..]),
        ("rdkafka", &["cluster-store"][..]),
        ("axum", &["platform-server"][..]),
        ("hyper", &["platform-server"][..]),
        ("pyo3", &["bindings"][..]),
        ("uniffi", &["bindings"][..]),
    ]);
    let mut wrong = Vec::new();
    for entry in fs::read_dir(workspace()).expect("the workspace").flatten() {
        let Ok(manifest) = fs::read_to_string(entry.path().join("Cargo.toml")) else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        for dependency in dependencies(&manifest) {
            if only.get(dependency.as_str()).is_some_and(|crates| !crates.contains(&name.as_str())) {
                wrong.push(format!("{name} depends on {dependency}"));
            }
        }
        if name == "platform-core" {
            let adapters = ["embedded-store", "cluster-store", "machine"];
            let known = dependencies(&manifest);
            assert!(!adapters.iter().any(|adapter| known.contains(*adapter)), "the core knows no adapter");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_sources_sees_what_is_there() {
    let code =
        "use crate::{auth, users::{Users, kernel}};\nfn f() { crate::ports::store::x() }\n$crate::hidden";
    assert_eq!(crate_modules(code), ["auth", "ports", "users"].map(str::to_owned).into());
    let file = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod tests {\n    c\n}\n";
    assert_eq!(without_tests(file), "a\n#[cfg(test)]\nmod tests;\nb");
}
