//! Putting it back: everything is checked before anything is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use platform_core::kernel::{Error, Result, Timestamp};
use rusqlite::{Connection, OpenFlags};

use super::copy::{beside, make, parent_of, stores_of, sync_tree};
use super::manifest::Manifest;
use super::{DATA_FOLDER, KEYS, KEYS_FOLDER, failed};
use crate::folder::{Folder, sync_folder};

/// What a restore did.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What was put back.
    pub manifest: Manifest,
    /// Where the folder is that was there before.
    pub kept: Option<PathBuf>,
    /// Whether the keys of the folder that was there were kept, with all that was erased since.
    pub kept_keys: bool,
}

/// Checks a backup: every file by its hash, every database by its own structure.
///
/// # Errors
/// `backup.invalid`, `backup.damaged`.
pub fn check_backup(from: &Path) -> Result<Manifest> {
    let manifest = Manifest::read(from)?;
    manifest.check(from)?;
    for path in manifest.files.keys().filter(|path| path.ends_with(".db")) {
        check_database(&from.join(path))?;
    }
    Ok(manifest)
}

/// Checks every database of a data folder, also while a server holds it: its name, and what is wrong with it.
///
/// # Errors
/// `backup.no_data` when the folder holds nothing; `backup.failed` when it cannot be read.
pub fn check_stores(data: &Path) -> Result<Vec<(String, Result<()>)>> {
    let names = stores_of(data)?;
    Ok(names.into_iter().map(|name| (name.clone(), check_database(&data.join(name)))).collect())
}

fn check_database(path: &Path) -> Result<()> {
    let damaged = |why: String| {
        Error::data_loss("backup.damaged", "a database is damaged")
            .with("path", path.display())
            .with("why", why)
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| damaged(error.to_string()))?;
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) }
}

/// Replaces the data folder `data` by the backup `from`. What was there is kept beside it, under
/// `DATA.before-TIME`. The folder must not be in use.
///
/// # Errors
/// `store.locked` when a process has `data` open; as [`check_backup`]; `backup.failed`. Whatever fails,
/// `data` is what it was.
pub fn restore(from: &Path, data: &Path, now: Timestamp) -> Result<Restored> {
    let manifest = check_backup(from)?;
    // Held to the end, so that no server can start in between.
    let lock = if data.exists() { Some(Folder::hold(data)?) } else { None };
    let present_keys = data.join(KEYS);
    let kept_keys = present_keys.exists();
    let fresh = beside(data, "restoring");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)
            .map_err(|error| failed("an unfinished restore is in the way", &fresh, error))?;
    }
    make(&fresh)?;
    for folder in manifest.folders.iter().filter_map(|path| target(path, true)) {
        make(&fresh.join(folder))?;
    }
    for path in manifest.files.keys() {
        let Some(to) = target(path, kept_keys) else { continue };
        copy_checked(&from.join(path), &fresh.join(to), &manifest, path)?;
    }
    if kept_keys {
        keep_keys(&present_keys, &fresh.join(KEYS))?;
    }
    sync_tree(&fresh)?;
    let kept = replace(data, &fresh, now)?;
    drop(lock);
    Ok(Restored { manifest, kept, kept_keys })
}

/// Where a file of a backup belongs in a data folder.
fn target(path: &str, kept_keys: bool) -> Option<PathBuf> {
    let (folder, rest) = path.split_once('/')?;
    match folder {
        DATA_FOLDER => Some(PathBuf::from(rest)),
        KEYS_FOLDER if !kept_keys => Some(PathBuf::from(rest)),
        _ => None,
    }
}

/// Copies a file and proves by its hash that the copy is the file that was backed up.
fn copy_checked(from: &Path, to: &Path, manifest: &Manifest, path: &str) -> Result<()> {
    make(parent_of(to))?;
    fs::copy(from, to).map_err(|error| failed("a file cannot be copied", to, error))?;
    let found = super::manifest::measure(to)?;
    match manifest.files.get(path) {
        Some(expected) if *expected == found => Ok(()),
        _ => Err(Error::data_loss("backup.damaged", "a file changed while it was copied").with("file", path)),
    }
}

/// The keys that are in use: with what was made and what was destroyed since the backup.
fn keep_keys(present: &Path, to: &Path) -> Result<()> {
    let cannot = |error: rusqlite::Error| failed("the keys cannot be kept", present, error);
    let source = Connection::open(present).map_err(cannot)?;
    let mut target = Connection::open(to).map_err(cannot)?;
    let copying = rusqlite::backup::Backup::new(&source, &mut target).map_err(cannot)?;
    while copying.step(-1).map_err(cannot)? != rusqlite::backup::StepResult::Done {}
    Ok(())
}

fn replace(data: &Path, fresh: &Path, now: Timestamp) -> Result<Option<PathBuf>> {
    let cannot = |error| failed("the folders cannot be exchanged", data, error);
    let kept = data.exists().then(|| beside(data, &format!("before-{}", now.as_secs())));
    if let Some(kept) = &kept {
        fs::rename(data, kept).map_err(cannot)?;
    }
    if let Err(error) = fs::rename(fresh, data) {
        if let Some(kept) = &kept {
            fs::rename(kept, data).map_err(cannot)?;
        }
        return Err(cannot(error));
    }
    sync_folder(parent_of(data)).map_err(cannot)?;
    Ok(kept)
}
