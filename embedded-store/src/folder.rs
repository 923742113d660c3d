//! The data folder: one process at a time, one handle per store.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::{Error, Result};

/// A folder that this process holds: released when the last store of it is closed.
pub(crate) struct Folder {
    path: PathBuf,
    /// `None` when it is only read.
    lock: Option<File>,
    open: Mutex<BTreeSet<&'static str>>,
}

/// The right to have one store open.
pub(crate) struct StoreLock {
    folder: Arc<Folder>,
    store: &'static str,
}

impl Folder {
    /// Makes the folder if it is not there, and takes its lock (`flock` on the file `lock`).
    ///
    /// # Errors
    /// `store.locked` when another process (or another part of this one) holds it;
    /// `store.unavailable` when it cannot be made or written.
    pub(crate) fn hold(path: &Path) -> Result<Arc<Folder>> {
        let unavailable = |error| {
            Error::unavailable("store.unavailable", "the data folder cannot be written")
                .with("path", path.display())
                .because(error)
        };
        let is_new = !path.exists();
        make_private(path).map_err(unavailable)?;
        if is_new {
            sync_folder(path.parent().filter(|parent| parent.is_dir()).unwrap_or(".".as_ref()))
                .map_err(unavailable)?;
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join("lock"))
            .map_err(unavailable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::unavailable("store.locked", "another process has the data folder open")
                    .retry(platform_core::kernel::Retry::No)
                    .with("path", path.display()));
            }
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
        Ok(Folder::new(path, Some(lock)))
    }

    /// The folder without its lock, only to be read.
    pub(crate) fn look(path: &Path) -> Arc<Folder> {
        Folder::new(path, None)
    }

    fn new(path: &Path, lock: Option<File>) -> Arc<Folder> {
        Arc::new(Folder { path: path.to_owned(), lock, open: Mutex::default() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is only read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    /// # Errors
    /// `store.locked` when the store is open already.
    pub(crate) fn lock_store(self: &Arc<Folder>, store: &'static str) -> Result<StoreLock> {
        if !self.open.lock().insert(store) {
            return Err(Error::unavailable("store.locked", "the store is open already").with("store", store));
        }
        Ok(StoreLock { folder: Arc::clone(self), store })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Said, not left to the closing of the file: a child that was forked meanwhile has it open, too.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        self.folder.open.lock().remove(self.store);
    }
}

/// Makes a folder that only its owner may enter.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
