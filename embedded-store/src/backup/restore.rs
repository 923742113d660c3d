//! Putting it back: everything is checked before anything is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use platform_core::audit::{AuditConfig, VerifierKey};
use platform_core::kernel::{Error, Result, Timestamp};
use rusqlite::OpenFlags;

use super::copy::{beside, make, parent_of, stores_of, sync_tree};
use super::manifest::Manifest;
use super::{DATA_FOLDER, KEYS, KEYS_FOLDER, failed};
use crate::audit::reorigin_prepared;
use crate::folder::{Folder, sync_folder};
use crate::sqlite::vfs;

/// What a restore did.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What was put back.
    pub manifest: Manifest,
    /// Where the folder is that was there before.
    pub kept: Option<PathBuf>,
    /// Whether the keys of the folder that was there were kept, with all that was erased since.
    pub kept_keys: bool,
    /// The key of the new origin of the audit log; `None` when there is no log.
    pub audit_key: Option<VerifierKey>,
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
    let connection = vfs::open(path, flags).map_err(|error| damaged(error.to_string()))?;
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) }
}

/// Replaces the data folder `data` by the backup `from`, and opens a new origin of the audit log: what the
/// old one signed after the backup is not there, and nobody shall take the two for one log. What was there
/// is kept beside it, under `DATA.before-TIME`. The folder must not be in use.
///
/// Everything is prepared beside `data`, the new origin too; then the two folders are exchanged in one
/// step. So a crash leaves what was there or all of what is restored, and the next restore clears away
/// what an unfinished one has left. (A file system that cannot exchange two folders renames one after the
/// other: after a crash in between `DATA.restoring` is to be renamed to `DATA` by hand.)
///
/// # Errors
/// `store.locked` when a process has `data` open; as [`check_backup`] and [`load_key`](crate::load_key);
/// `backup.failed`. Whatever fails, `data` is what it was, or all of what is restored.
pub async fn restore(from: &Path, data: &Path, audit: AuditConfig, now: Timestamp) -> Result<Restored> {
    restore_in_steps(from, data, audit, now, &mut |_| Ok(())).await
}

/// Says in the folder that is prepared that it is not the one that was there before.
const PREPARED: &str = "restoring";

/// After each step `step` is asked whether to go on: tests stop there, as a crash would.
pub(super) async fn restore_in_steps(
    from: &Path,
    data: &Path,
    audit: AuditConfig,
    now: Timestamp,
    step: &mut (dyn FnMut(&'static str) -> Result<()> + Send),
) -> Result<Restored> {
    let manifest = check_backup(from)?;
    // Held to the end, so that no server can start in between.
    let lock = if data.exists() { Some(Folder::hold(data)?) } else { None };
    let present_keys = data.join(KEYS);
    let kept_keys = present_keys.exists();
    let fresh = beside(data, "restoring");
    clear(data, &fresh, now)?;
    step("cleared")?;
    make(&fresh)?;
    fs::write(fresh.join(PREPARED), "").map_err(|error| failed("a file cannot be written", &fresh, error))?;
    step("begun")?;
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
    step("copied")?;
    let audit_key = reorigin_prepared(&fresh, data, audit).await?;
    super::age::note(&fresh, manifest.taken_at);
    step("opened")?;
    sync_tree(&fresh)?;
    step("synced")?;
    exchange(data, &fresh)?;
    step("exchanged")?;
    unmark(data)?;
    step("unmarked")?;
    let kept = keep(data, &fresh, now)?;
    drop(lock);
    Ok(Restored { manifest, kept, kept_keys, audit_key })
}

/// Clears away what an unfinished restore has left.
fn clear(data: &Path, fresh: &Path, now: Timestamp) -> Result<()> {
    if data.exists() {
        // It stopped just behind the exchange.
        unmark(data)?;
    }
    if fresh.join(PREPARED).exists() {
        return fs::remove_dir_all(fresh)
            .map_err(|error| failed("an unfinished restore is in the way", fresh, error));
    }
    // Without the mark it is what was there before the exchange.
    keep(data, fresh, now).map(|_| ())
}

/// `data` is no longer what is prepared, but what is there.
fn unmark(data: &Path) -> Result<()> {
    let mark = data.join(PREPARED);
    if mark.exists() {
        let removed = fs::remove_file(&mark).and_then(|()| sync_folder(data));
        removed.map_err(|error| failed("a file cannot be removed", &mark, error))?;
    }
    Ok(())
}

/// Gives the folder that was there before its name.
fn keep(data: &Path, fresh: &Path, now: Timestamp) -> Result<Option<PathBuf>> {
    if !fresh.exists() {
        return Ok(None);
    }
    let names = (0..).map(|number| match number {
        0 => format!("before-{}", now.as_secs()),
        number => format!("before-{}-{number}", now.as_secs()),
    });
    let free = names.map(|name| beside(data, &name)).find(|path| !path.exists());
    let Some(kept) = free else { return Ok(None) };
    fs::rename(fresh, &kept)
        .and_then(|()| sync_folder(parent_of(data)))
        .map_err(|error| failed("the folder that was there cannot be renamed", fresh, error))?;
    Ok(Some(kept))
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
    let source = vfs::open(present, OpenFlags::default()).map_err(cannot)?;
    let mut target = vfs::open(to, OpenFlags::default()).map_err(cannot)?;
    let copying = rusqlite::backup::Backup::new(&source, &mut target).map_err(cannot)?;
    while copying.step(-1).map_err(cannot)? != rusqlite::backup::StepResult::Done {}
    Ok(())
}

/// The one step: afterwards `data` is what was prepared, and `fresh` what was there, if anything was.
fn exchange(data: &Path, fresh: &Path) -> Result<()> {
    let exchanged = if data.exists() { swap(data, fresh) } else { fs::rename(fresh, data) };
    exchanged
        .and_then(|()| sync_folder(parent_of(data)))
        .map_err(|error| failed("the folders cannot be exchanged", data, error))
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn swap(data: &Path, fresh: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, fresh, CWD, data, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => swap_by_renaming(data, fresh),
        done => Ok(done?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn swap(data: &Path, fresh: &Path) -> std::io::Result<()> {
    swap_by_renaming(data, fresh)
}

fn swap_by_renaming(data: &Path, fresh: &Path) -> std::io::Result<()> {
    let aside = beside(data, "exchanging");
    fs::rename(data, &aside)?;
    if let Err(error) = fs::rename(fresh, data) {
        fs::rename(&aside, data)?;
        return Err(error);
    }
    fs::rename(&aside, fresh)
}
