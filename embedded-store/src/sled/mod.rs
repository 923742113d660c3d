//! Stores on sled 0.34, a tree on a log: a folder for each, `NAME.sled`. Behind the feature `sled`, never
//! the default. What its source promises, and what is made of it here:
//!
//! - **A batch is atomic**, also after a crash: recovery drops a batch whose end did not reach the log. While
//!   one is applied, sled lets no other batch of this process be applied, of whatever store.
//! - **`flush` is no fsync on Linux**: it is `sync_file_range`, which writes neither the file's length nor
//!   the disk's own cache; and large pages, in files of their own below `blobs`, are not synced at all. So
//!   each group ends with a flush and our own `fdatasync` of the log and `fsync` of new large pages
//!   ([`files`]); one that fails poisons the store, for readers too.
//! - **A loss of power may still damage it.** sled writes over the old copy of a page as soon as *its* flush
//!   says that the new copy is safe, which is before ours says so. A crash of the process does no harm.
//! - **Recovery is silent**: the log ends where it does not read, and a large page that is missing is
//!   skipped. A lost end is told, as on fjall ([`crate::ordered::acknowledged`]); a lost large page is
//!   not. Where recovery panics, the store is told to be damaged.
//! - **There are no snapshots**: readers wait while a group is applied and synced, and a group waits for
//!   readers, so that a reading sees one moment and nothing that is not durable.
//! - **It cannot be copied while it is open**: backups are refused until its server has ended.

mod error;
mod files;
mod keyspace;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use platform_core::kernel::{Error, Result};
use platform_core::ports::store::Schema;

use self::error::{is_locked, storage};
use self::files::Files;
pub(crate) use self::keyspace::SledKeyspace;
use crate::folder::Folder;
use crate::ordered::{self, Opening, OrderedReader};
use crate::store::EmbeddedStore;

/// Pages that are kept in memory, by their size on the disk; sled's own default is 1 GiB.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How long a store that this process has just closed may still be locked: its threads end a little later.
const CLOSING: Duration = Duration::from_secs(2);
/// Between two attempts to lock it.
const PAUSE: Duration = Duration::from_millis(5);

/// Opens or makes the database of a schema.
pub(crate) fn open(
    folder: &Arc<Folder>,
    path: &Path,
    schema: &Schema,
) -> Result<EmbeddedStore<OrderedReader<SledKeyspace>>> {
    schema.check()?;
    let lock = folder.lock_store(schema.store)?;
    // The folder's own lock says that no other process writes; whoever only looks does not wait.
    let patience = if folder.is_read_only() { Duration::ZERO } else { CLOSING };
    let opening = Opening { folder, path, schema, engine: "sled", lock };
    // Recovery panics on some of what a damaged file may hold.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = open_database(path, patience)?;
        let files = Files::open(path)?;
        let keyspace = SledKeyspace { database, files, failed: RwLock::new(false) };
        // What a crash left in the memory of the machine is made durable before anybody reads it.
        ordered::Keyspace::sync(&keyspace)?;
        ordered::store_on(Arc::new(keyspace), opening)
    }));
    opened.unwrap_or_else(|_| {
        Err(Error::data_loss("store.damaged", "the store does not open: restore it from a backup"))
    })
}

fn open_database(path: &Path, patience: Duration) -> Result<sled::Db> {
    let begin = Instant::now();
    loop {
        // Every group is flushed: no thread has to do it from time to time.
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        match config.open() {
            Err(error) if is_locked(&error) && begin.elapsed() < patience => std::thread::sleep(PAUSE),
            opened => return opened.map_err(storage),
        }
    }
}
