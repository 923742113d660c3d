//! Folders for the time of a test, in memory where that is possible.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Once;

use rustix::mount::{UnmountFlags, unmount};

const PREFIX: &str = "disk-faults-";
/// Locked as long as the process lives that made the folder; holds its number.
const LOCK: &str = "in-use";
/// Where a file system may be mounted.
pub(crate) const MOUNTED: &str = "mounted";

/// A folder that is removed when it is dropped.
pub(crate) struct Temporary {
    folder: tempfile::TempDir,
    _lock: File,
}

impl Temporary {
    pub(crate) fn new() -> Temporary {
        let shared = Path::new("/dev/shm");
        let parent = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        static ONCE: Once = Once::new();
        ONCE.call_once(|| clear(&parent));
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).unwrap();
        // Under its name only when it is locked.
        let early = folder.path().join("early");
        let mut lock = File::create(&early).unwrap();
        lock.lock().unwrap();
        write!(lock, "{}", std::process::id()).unwrap();
        std::fs::rename(early, folder.path().join(LOCK)).unwrap();
        Temporary { folder, _lock: lock }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what processes have left that were killed.
fn clear(parent: &Path) {
    for entry in std::fs::read_dir(parent).unwrap().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let lock = entry.path().join(LOCK);
        let is_free = || File::open(&lock).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_ours && (is_free() || is_dead(&lock)) {
            let mounted = entry.path().join(MOUNTED);
            let _ = unmount(&mounted, UnmountFlags::FORCE);
            let _ = unmount(&mounted, UnmountFlags::DETACH);
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether the process was killed, and one of its threads waits for ever for its own file system.
fn is_dead(lock: &Path) -> bool {
    let number = std::fs::read_to_string(lock).unwrap_or_default();
    let state = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|state| state.starts_with(" Z"))
}
