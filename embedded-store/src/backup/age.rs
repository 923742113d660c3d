//! When the folder was backed up last: a line of text in the folder itself.

use std::fs;
use std::path::{Path, PathBuf};

use platform_core::kernel::Timestamp;

/// When the last backup of a data folder was completed that is known in the folder.
pub fn last_backup(data: &Path) -> Option<Timestamp> {
    fs::read_to_string(path_of(data)).ok()?.trim().parse().ok()
}

/// Notes it. A backup is good without the note, so that a failure is only told.
pub(super) fn note(data: &Path, at: Timestamp) {
    let beside = data.join("last-backup.new");
    let noted = fs::write(&beside, format!("{at}\n")).and_then(|()| fs::rename(&beside, path_of(data)));
    if let Err(error) = noted {
        tracing::warn!(%error, path = %data.display(), "the time of the backup was not noted");
    }
}

fn path_of(data: &Path) -> PathBuf {
    data.join("last-backup")
}
