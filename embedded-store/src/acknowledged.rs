//! How far this store had acknowledged, in a small file beside it.
//!
//! The end of an engine's log may be torn by a crash. Whether it had been acknowledged cannot be told from
//! the log alone: fjall, sled and SQLite drop what does not read at its end, acknowledged or not; and a file that
//! was emptied is a new one to SQLite. So the position is noted here after each commit, without an fsync of its own:
//! after a crash it may be older than what was acknowledged (of a process by one group, of the machine by more),
//! never newer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use platform_core::kernel::{Error, Position, Result};

/// The file of the note.
pub(crate) struct Acknowledged(File);

/// The name of the note, in a store's or the log's folder.
pub(crate) const NAME: &str = "acknowledged";

/// Where the note of a store is: in its folder, or beside its file.
pub(crate) fn path_of(store: &Path) -> PathBuf {
    if store.extension().is_some_and(|kind| kind == "db") {
        store.with_extension(NAME)
    } else {
        store.join(NAME)
    }
}

/// What was acknowledged must be there.
///
/// # Errors
/// `store.damaged` when the note speaks of commits that are missing; `store.not_writable`.
pub(crate) fn check(store: &Path, position: Position) -> Result<Acknowledged> {
    let (note, acknowledged) = Acknowledged::open(store).map_err(|error| {
        Error::unavailable("store.not_writable", "the note of what was acknowledged cannot be opened")
            .with("path", store.display())
            .because(error)
    })?;
    if acknowledged <= position {
        return Ok(note);
    }
    Err(Error::data_loss(
        "store.damaged",
        "the end of the journal is damaged, and commits that were acknowledged are lost: restore this store from a backup; or, to go on without these commits, delete the file named here",
    )
    .with("lost_from", position + 1)
    .with("lost_to", acknowledged)
    .with("delete", path_of(store).display()))
}

/// What the note says; 0 when it is not there or does not read.
pub(crate) fn look(store: &Path) -> Position {
    std::fs::read_to_string(path_of(store)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

impl Acknowledged {
    /// Opens or makes the note, and reads it: 0 when it is empty or does not read.
    pub(crate) fn open(store: &Path) -> io::Result<(Acknowledged, Position)> {
        let mut options = File::options();
        let mut file = options.create(true).truncate(false).read(true).write(true).open(path_of(store))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let position = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        let position = position.unwrap_or_default();
        Ok((Acknowledged(file), position))
    }

    /// Notes a position: always 20 digits, so that the old one is wholly overwritten.
    pub(crate) fn note(&mut self, position: Position) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(format!("{position:020}\n").as_bytes())
    }
}
