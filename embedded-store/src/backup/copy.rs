//! Taking the copy.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_core::kernel::{Error, Result, Timestamp};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::manifest::{Manifest, Tree};
use super::{DATA_FOLDER, KEYS, KEYS_FOLDER, failed};
use crate::EmbeddedStores;
use crate::acknowledged;
use crate::fjall::{self, Living, Moment};
use crate::folder::{Folder, sync_folder};
use crate::sqlite::vfs;

/// How long to wait for the writers of a busy server: a group of theirs takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Pages copied between two looks at whether the disk keeps up.
const PAGES: i32 = 4096;
/// How often a folder that tidies up meanwhile is copied anew.
const ATTEMPTS: u32 = 20;

/// Copies the data folder `data` into the new folder `into`. A server may hold `data` meanwhile, when all
/// its stores are on SQLite; whoever holds a folder with stores on fjall copies it by
/// [`EmbeddedStores::backup`]; one with stores on sled is copied while nobody holds it.
///
/// # Errors
/// `backup.exists` when `into` is there already; `backup.no_data` when `data` holds nothing;
/// `backup.in_use` when a server holds `data` and a store of it is on fjall or sled;
/// `backup.failed`, with what could not be read or written.
pub fn backup(data: &Path, into: &Path, now: Timestamp) -> Result<Manifest> {
    let _held = hold_still(data)?;
    take(data, into, now, &[])
}

impl EmbeddedStores {
    /// Copies the folder into the new folder `into`, while its stores are in use: whatever they stand on.
    /// It blocks, and writers wait for some milliseconds of it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
    /// use embedded_store::EmbeddedStores;
    /// let platform = embedded_store::open(&data).await?;
    /// let now = platform.backends().runtime.now();
    /// let manifest = EmbeddedStores::of(&platform).map(|stores| stores.backup(&copy, now)).transpose()?;
    /// assert_eq!(manifest.map(|manifest| manifest.taken_at), Some(now));
    /// # platform.stop().await;
    /// # Ok::<(), platform_core::kernel::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `backup.exists` when `into` is there already; `backup.no_data`; `backup.failed`; `backup.in_use` when
    /// a store is on sled.
    pub fn backup(&self, into: &Path, now: Timestamp) -> Result<Manifest> {
        if has(self.path(), &["sled"])? {
            return Err(in_use(self.path(), ON_SLED));
        }
        take(self.path(), into, now, &self.living())
    }

    /// Copies one store, while it is in use, into the new folder `into`.
    ///
    /// # Errors
    /// `backup.exists` when `into` is there already; `backup.no_data` when there is no such store;
    /// `backup.in_use` when it is on sled; `backup.failed`.
    pub fn copy_store(&self, store: &str, into: &Path) -> Result<()> {
        refuse_existing(into)?;
        let living = self.living().into_iter().find(|(name, _)| *name == store);
        let name = format!("{store}.db");
        if self.path().join(format!("{store}.sled")).exists() {
            return Err(in_use(self.path(), ON_SLED).with("store", store));
        }
        if living.is_none() && !stores_of(self.path())?.contains(&name) {
            return Err(no_data(self.path()).with("store", store));
        }
        make(into)?;
        match living {
            Some((_, living)) => living.moment().write(&fjall::folder_of(into, store)),
            None => {
                let reader = begin_reading(&self.path().join(&name))?;
                copy_store(&Pinned { name: name.clone(), reader }, &into.join(name))
            }
        }
    }
}

fn take(data: &Path, into: &Path, now: Timestamp, living: &[(&str, Arc<Living>)]) -> Result<Manifest> {
    refuse_existing(into)?;
    let stores = stores_of(data)?;
    let partial = beside(into, "partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)
            .map_err(|error| failed("an unfinished backup is in the way", &partial, error))?;
    }
    make(&partial)?;
    make(&partial.join(DATA_FOLDER))?;
    make(&partial.join(KEYS_FOLDER))?;
    let (pinned, moments) = pin(data, &stores, living, &partial)?;
    for store in pinned {
        let folder = if store.name == KEYS { KEYS_FOLDER } else { DATA_FOLDER };
        copy_store(&store, &partial.join(folder).join(&store.name))?;
    }
    for (store, moment) in moments {
        moment.write(&fjall::folder_of(&partial.join(DATA_FOLDER), store))?;
    }
    let manifest = Manifest::of(&partial, now)?;
    manifest.write(&partial)?;
    sync_tree(&partial)?;
    fs::rename(&partial, into).map_err(|error| failed("the backup cannot be named", into, error))?;
    sync_folder(parent_of(into)).map_err(|error| failed("the backup cannot be synced", into, error))?;
    super::age::note(data, now);
    Ok(manifest)
}

fn refuse_existing(into: &Path) -> Result<()> {
    if into.exists() {
        return Err(Error::already_exists("backup.exists", "the backup would overwrite something")
            .with("path", into.display()));
    }
    Ok(())
}

fn no_data(data: &Path) -> Error {
    Error::not_found("backup.no_data", "the folder holds no data").with("path", data.display())
}

const ON_FJALL: &str = "stores on fjall are copied by the server that has the folder open, or while none has";
const ON_SLED: &str = "stores on sled are copied while no server has the folder open";

fn in_use(data: &Path, why: &'static str) -> Error {
    Error::precondition("backup.in_use", why).with("path", data.display())
}

/// A store on fjall or sled cannot be held still beside its server, and a copy of it from another moment
/// than that of the log would lose events: with such a store the whole folder is held instead.
fn hold_still(data: &Path) -> Result<Option<Arc<Folder>>> {
    let why = if has(data, &["sled"])? { ON_SLED } else { ON_FJALL };
    if !has(data, APART)? {
        return Ok(None);
    }
    Folder::hold(data).map(Some).map_err(|error| match error.code() {
        "store.locked" => in_use(data, why),
        _ => error,
    })
}

/// The endings of the folders of stores that are not on SQLite.
const APART: &[&str] = &["fjall", "sled"];

/// Whether something in the folder has one of these endings.
fn has(data: &Path, endings: &[&str]) -> Result<bool> {
    let entries =
        fs::read_dir(data).map_err(|error| failed("the data folder cannot be read", data, error))?;
    let is_one =
        |path: &Path| path.extension().is_some_and(|kind| endings.iter().any(|ending| kind == *ending));
    Ok(entries.flatten().any(|entry| is_one(&entry.path())))
}

/// A database of which this moment is kept.
struct Pinned {
    name: String,
    reader: Connection,
}

/// The moments of the stores: of those on SQLite, and of those on fjall.
type Cut<'a> = (Vec<Pinned>, Vec<(&'a str, Moment)>);

/// The cut: while no store can be written, begins to read each, and copies what is no database.
fn pin<'a>(
    data: &Path,
    stores: &[String],
    living: &'a [(&'a str, Arc<Living>)],
    partial: &Path,
) -> Result<Cut<'a>> {
    let begin = Instant::now();
    let mut held = Vec::new();
    for name in stores {
        held.push(hold(&data.join(name))?);
    }
    let gates: Vec<_> = living.iter().map(|(_, living)| living.hold()).collect();
    let mut pinned = Vec::new();
    for name in stores {
        pinned.push(Pinned { name: name.clone(), reader: begin_reading(&data.join(name))? });
    }
    let moments = living.iter().map(|(name, living)| (*name, living.moment())).collect();
    copy_others(data, living, &partial.join(DATA_FOLDER))?;
    drop((held, gates));
    tracing::info!(held_us = begin.elapsed().as_micros() as u64, stores = stores.len(), "the cut was made");
    Ok((pinned, moments))
}

/// The names of the databases.
pub(super) fn stores_of(data: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let entries =
        fs::read_dir(data).map_err(|error| failed("the data folder cannot be read", data, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed("the data folder cannot be read", data, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".db") {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() && !has(data, APART)? {
        return Err(no_data(data));
    }
    Ok(names)
}

/// Takes the write lock of a database: its writer waits.
fn hold(path: &Path) -> Result<Connection> {
    let cannot = |error: rusqlite::Error| failed("a database cannot be held", path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = vfs::open(path, flags).map_err(cannot)?;
    connection.busy_timeout(LOCK_WAIT).map_err(cannot)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(cannot)?;
    Ok(connection)
}

/// Begins a reading transaction: from now on this connection sees this moment.
fn begin_reading(path: &Path) -> Result<Connection> {
    let cannot = |error: rusqlite::Error| failed("a database cannot be read", path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = vfs::open(path, flags).map_err(cannot)?;
    connection.busy_timeout(LOCK_WAIT).map_err(cannot)?;
    connection.execute_batch("BEGIN").map_err(cannot)?;
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(cannot)?;
    Ok(connection)
}

fn copy_store(store: &Pinned, path: &Path) -> Result<()> {
    let cannot = |error: rusqlite::Error| failed("a database cannot be copied", path, error);
    let mut target = vfs::open(path, OpenFlags::default()).map_err(cannot)?;
    {
        let copying = Backup::new(&store.reader, &mut target).map_err(cannot)?;
        while copying.step(PAGES).map_err(cannot)? != StepResult::Done {}
    }
    // One file without a log beside it.
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(cannot)?;
    let verdict: String = target.query_row("PRAGMA quick_check", [], |row| row.get(0)).map_err(cannot)?;
    if verdict != "ok" {
        return Err(Error::data_loss("backup.damaged", "a database is damaged")
            .with("store", &store.name)
            .with("verdict", verdict));
    }
    Ok(())
}

/// Copies what is no database: the folder of the log, and of stores on fjall and sled that nobody has open.
/// Its files are written once, except for journals, which only grow, and the small files that name the present
/// state. What a store has committed and its outbox has forgotten is in the log's journal before the cut;
/// journals come first, so that nothing can
/// have left them without being in what is copied afterwards. If the log tidied up meanwhile, all is copied
/// anew.
fn copy_others(data: &Path, living: &[(&str, Arc<Living>)], into: &Path) -> Result<()> {
    for entry in fs::read_dir(data).map_err(|error| failed("the data folder cannot be read", data, error))? {
        let entry = entry.map_err(|error| failed("the data folder cannot be read", data, error))?;
        let (from, to) = (entry.path(), into.join(entry.file_name()));
        let is_open = living.iter().any(|(store, _)| fjall::folder_of(data, store) == from);
        if from.is_dir() && !is_open {
            copy_living(&from, &to)?;
        }
    }
    Ok(())
}

fn copy_living(from: &Path, to: &Path) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let cannot = |error| failed("a folder cannot be copied", from, error);
        if to.exists() {
            fs::remove_dir_all(to).map_err(cannot)?;
        }
        let before = Tree::of(from)?;
        match copy_tree(&before, from, to) {
            Ok(()) => {}
            // A file was merged away in the meantime.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(cannot(error)),
        }
        if Tree::of(from)? == before && names_the_same(&before, from, to).map_err(cannot)? {
            return Ok(());
        }
    }
    Err(failed("a folder changes faster than it can be copied", from, ATTEMPTS))
}

fn copy_tree(tree: &Tree, from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for folder in &tree.folders {
        fs::create_dir_all(to.join(folder))?;
    }
    // What is acknowledged after the cut is not in the copy, so the note of it is not, either.
    let is_note = |path: &&PathBuf| path.file_name().is_some_and(|name| name == acknowledged::NAME);
    let files = tree.files.iter().filter(|path| !is_note(path));
    let is_journal = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "jnl");
    let (journals, others): (Vec<_>, Vec<_>) = files.partition(is_journal);
    for file in journals.into_iter().chain(others) {
        fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}

/// Whether the small files that name the present state say what they said when they were copied.
fn names_the_same(tree: &Tree, from: &Path, to: &Path) -> std::io::Result<bool> {
    for file in tree.files.iter().filter(|file| file.file_name().is_some_and(|name| name == "current")) {
        if fs::read(from.join(file))? != fs::read(to.join(file))? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn make(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed("a folder cannot be made", folder, error))
}

/// Makes every file and name below a folder durable.
pub(super) fn sync_tree(folder: &Path) -> Result<()> {
    for path in Tree::of(folder)?.files {
        let path = folder.join(path);
        let synced = fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_folder(parent_of(&path)));
        synced.map_err(|error| failed("a file cannot be synced", &path, error))?;
    }
    sync_folder(folder).map_err(|error| failed("a folder cannot be synced", folder, error))
}

pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A sibling with another ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}
