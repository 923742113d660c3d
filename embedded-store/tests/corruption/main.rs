//! Damage of every kind in every file of a data folder: it is detected and named, or changes nothing. Never
//! is a wrong answer served, never is damage taken for emptiness, never does anything panic.
//! `CORRUPTION_FLIPS` sets how many bytes of a file are flipped, each in a copy of the folder of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod folder;
mod reading;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use embedded_store::{Engine, Engines, backup, check_backup};
use platform_core::kernel::{Error, ErrorKind, Timestamp};

use folder::{Content, content_of, write_content};

/// Bytes of a page of SQLite, and of a block of most file systems.
const PAGE: usize = 4_096;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Folders in memory, where there are some: nothing here is about power.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// These bits of a byte are turned.
    Flip(usize, u8),
    /// It ends here.
    Cut(usize),
    /// This page is zeros.
    Zeros(usize),
}

impl Damage {
    fn to(self, bytes: &mut Vec<u8>) {
        match self {
            Damage::Flip(at, bits) => bytes[at] ^= bits,
            Damage::Cut(at) => bytes.truncate(at),
            Damage::Zeros(at) => {
                let end = (at + PAGE).min(bytes.len());
                bytes[at..end].fill(0);
            }
        }
    }
}

/// Spread over the whole file.
fn damages(length: usize, flips: usize) -> Vec<Damage> {
    let mut all = Vec::new();
    let mut state = length as u64;
    for number in 0..flips.min(length) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = length / flips.min(length);
        let at = number * part + (state >> 33) as usize % part;
        all.push(Damage::Flip(at, 1 << (state >> 61)));
    }
    let pages = length.div_ceil(PAGE);
    if pages > 0 {
        all.extend([Damage::Cut(0), Damage::Cut(length / 2), Damage::Zeros(0)]);
    }
    if pages > 1 {
        all.extend([
            Damage::Cut(length - 1),
            Damage::Zeros(pages / 2 * PAGE),
            Damage::Zeros((pages - 1) * PAGE),
        ]);
    }
    all
}

/// What has no part in what is stored: the lock, the shared memory of SQLite's log.
fn is_no_content(path: &Path) -> bool {
    path.ends_with("lock") || path.to_string_lossy().ends_with("-shm")
}

/// An error that may be the answer to damage: its code says so, and its context says of what.
fn tells(error: &Error) -> bool {
    let is_damage = error.kind() == ErrorKind::DataLoss
        || error.code().starts_with("keys.")
        || matches!(error.code(), "store.older_format");
    is_damage && (error.context().next().is_some() || error.code().starts_with("keys."))
}

fn flips(default: usize) -> usize {
    std::env::var("CORRUPTION_FLIPS").map_or(default, |text| text.parse().expect("a number"))
}

/// Damages each file of a folder in turn, and says what was wrong.
fn sweep(
    content: &Content,
    engines: &Engines,
    flips: usize,
    only: impl Fn(&Path) -> bool,
) -> (usize, usize, Vec<String>) {
    let sound = folder();
    let place = sound.path().join("data");
    write_content(sound.path(), content);
    let expected = block_on(reading::everything(&place, engines)).expect("the folder is sound");
    let mut cases: Vec<(&PathBuf, Damage)> = Vec::new();
    for (path, bytes) in content.iter().filter(|(path, _)| !is_no_content(path) && only(path)) {
        cases.extend(damages(bytes.len(), flips).into_iter().map(|damage| (path, damage)));
    }
    let (next, detected, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let copy = folder();
                while let Some((path, damage)) = cases.get(next.fetch_add(1, Relaxed)) {
                    let mut damaged = content.clone();
                    damage.to(damaged.get_mut(*path).expect("it is there"));
                    write_content(copy.path(), &damaged);
                    let place = copy.path().join("data");
                    let read =
                        catch_unwind(AssertUnwindSafe(|| block_on(reading::everything(&place, engines))));
                    let verdict = match read {
                        Err(_) => Some("a panic".to_owned()),
                        Ok(Ok(found)) => expected.differs(&found),
                        Ok(Err(error)) if tells(&error) => {
                            detected.fetch_add(1, Relaxed);
                            None
                        }
                        Ok(Err(error)) => Some(format!("{error:?}")),
                    };
                    if let Some(why) = verdict {
                        wrong.lock().unwrap().push(format!("{} {damage:?}: {why}", path.display()));
                    }
                }
            });
        }
    });
    (cases.len(), detected.into_inner(), wrong.into_inner().unwrap())
}

fn hold(what: &str, (cases, detected, wrong): (usize, usize, Vec<String>)) {
    println!("{what}: {cases} damages, {detected} told, {} harmless", cases - detected - wrong.len());
    assert!(wrong.is_empty(), "{what}: {} of {cases} are not told:\n{}", wrong.len(), wrong.join("\n"));
    assert!(detected * 2 > cases, "{what}: most damages are told: {detected} of {cases}");
}

fn on_fjall() -> Engines {
    ["users", "transactions", "audit", "flags"]
        .into_iter()
        .fold(Engines::default(), |engines, store| engines.with(store, Engine::Fjall))
}

#[test]
fn damage_of_a_folder_on_sqlite_is_told() {
    let content = folder::filled(&Engines::default(), false);
    hold("SQLite", sweep(&content, &Engines::default(), flips(10), |_| true));
}

#[test]
fn damage_of_a_folder_on_fjall_is_told() {
    let content = folder::filled(&on_fjall(), false);
    hold("fjall", sweep(&content, &on_fjall(), flips(3), |path| !path.to_string_lossy().ends_with(".db")));
}

#[test]
fn damage_of_what_a_killed_process_left_is_told() {
    let content = folder::filled(&Engines::default(), true);
    assert!(content.keys().any(|path| path.to_string_lossy().ends_with("-wal")));
    hold(
        "killed",
        sweep(&content, &Engines::default(), flips(10), |path| path.to_string_lossy().ends_with("-wal")),
    );
}

#[test]
fn damage_of_a_backup_is_told() {
    let content = folder::filled(&Engines::default(), false);
    let all = folder();
    write_content(all.path(), &content);
    let copy = all.path().join("copy");
    backup(&all.path().join("data"), &copy, Timestamp::from_secs(1_800_000_000)).unwrap();
    check_backup(&copy).unwrap();
    for (path, bytes) in &content_of(&copy) {
        for damage in damages(bytes.len(), 6) {
            let mut damaged = bytes.clone();
            damage.to(&mut damaged);
            if damaged == *bytes {
                continue;
            }
            std::fs::write(copy.join(path), &damaged).unwrap();
            match check_backup(&copy) {
                // White space between the words of the manifest says nothing.
                Ok(manifest) => {
                    assert!(path.ends_with("manifest.json"), "{} {damage:?} {manifest:?}", path.display())
                }
                Err(error) => {
                    assert!(["backup.damaged", "backup.invalid"].contains(&error.code()), "{error:?}")
                }
            }
            std::fs::write(copy.join(path), bytes).unwrap();
        }
    }
}
