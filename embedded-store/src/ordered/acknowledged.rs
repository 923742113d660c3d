//! How far this store had acknowledged, in a small file beside it.
//!
//! The journal's last batch may be torn by a crash. Whether it had been acknowledged cannot be told from
//! the journal alone: fjall and sled drop what does not read at its end, acknowledged or not. So the position is
//! noted here after each fsync, without one of its own: after the crash of a process it is exact, after
//! one of the machine it may be older, never newer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use platform_core::kernel::Position;

/// The file of the note.
pub(crate) struct Acknowledged(File);

pub(crate) fn path_of(store: &Path) -> PathBuf {
    store.join("acknowledged")
}

impl Acknowledged {
    /// Opens or makes the note, and reads it: 0 when it is empty or does not read.
    pub(crate) fn open(store: &Path) -> io::Result<(Acknowledged, Position)> {
        let mut options = File::options();
        let mut file = options.create(true).truncate(false).read(true).write(true).open(path_of(store))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let position = text.trim().parse().unwrap_or_default();
        Ok((Acknowledged(file), position))
    }

    /// Notes a position: always 20 digits, so that the old one is wholly overwritten.
    pub(crate) fn note(&mut self, position: Position) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(format!("{position:020}\n").as_bytes())
    }
}
