//! Moving the log of a database into its file: by a thread beside the writer, so that no commit waits for it.
//!
//! SQLite begins the log anew only when all of it has been moved, and a busy writer appends while the
//! thread moves. So the writer itself moves the little that came meanwhile, when the log is long enough.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connection;
use super::error::is_failed_sync;

/// Pages (of 4 KiB) that are moved at once by the thread.
const STEP: u32 = 1_000;
/// Pages of the log from which on the writer moves the rest, so that the log begins anew: when the rest
/// is little beside the log.
const ENOUGH: u32 = 4_000;
/// How little: this part of the log.
const REST: u32 = 8;
/// Pages of the log at which the writer waits for the thread: the log does not grow without bound.
const TOO_MANY: u32 = 32_000;

/// The log of a database, as its writer sees it.
pub(super) struct Checkpoints {
    path: PathBuf,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicU32>,
    /// How many of them have been moved.
    moved: u32,
    mover: Option<Mover>,
    /// Whether the last checkpoint failed: that is told once, not after every commit.
    failing: bool,
}

/// What a checkpoint came to: the pages that are moved now.
type Moved = rusqlite::Result<u32>;

/// The thread, from the first long log until the store has nothing to do.
struct Mover {
    /// `None` when it is to end.
    ask: Option<flume::Sender<()>>,
    done: flume::Receiver<Moved>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Of this writer: from now on SQLite moves nothing by itself.
    pub(super) fn of(path: &Path, writer: &mut Connection) -> rusqlite::Result<Checkpoints> {
        let pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&pages);
        writer.wal_hook(Some(move |_: &mut _, pages: i32| {
            seen.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Checkpoints { path: path.to_owned(), pages, moved: 0, mover: None, failing: false })
    }

    /// After a commit. Only a failed fsync is an error: what was to be moved may be lost behind it.
    pub(super) fn after_commit(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.moved {
            self.moved = 0;
        }
        self.hear(pages >= TOO_MANY)?;
        let busy = self.mover.as_ref().is_some_and(|mover| mover.busy);
        let left = pages - self.moved.min(pages);
        if busy || left < STEP && pages < ENOUGH {
            return Ok(());
        }
        if pages >= ENOUGH && left <= pages / REST {
            return self.take(checkpoint(writer));
        }
        self.ask(writer)
    }

    /// Moves everything and empties the log; the thread ends.
    pub(super) fn finish(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        self.hear(true)?;
        self.mover = None;
        self.moved = 0;
        self.take(writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(0)))
    }

    /// Takes what the thread has done.
    fn hear(&mut self, wait: bool) -> rusqlite::Result<()> {
        let Some(mover) = self.mover.as_mut().filter(|mover| mover.busy) else { return Ok(()) };
        let done = if wait {
            mover.done.recv().map_err(|_| flume::TryRecvError::Disconnected)
        } else {
            mover.done.try_recv()
        };
        match done {
            Ok(done) => {
                mover.busy = false;
                self.take(done)
            }
            Err(flume::TryRecvError::Empty) => Ok(()),
            // It has panicked, and says so when it is dropped; the next one is asked instead.
            Err(flume::TryRecvError::Disconnected) => {
                self.mover = None;
                Ok(())
            }
        }
    }

    /// Has the thread move what is there; without a thread the writer does it.
    fn ask(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        if self.mover.is_none() {
            self.mover = Mover::start(&self.path);
        }
        let is_asked = self.mover.as_mut().is_some_and(|mover| {
            mover.busy = mover.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok());
            mover.busy
        });
        if is_asked { Ok(()) } else { self.take(checkpoint(writer)) }
    }

    /// Goes on from what a checkpoint came to. What the next one mends is no error: a lock, a full disk; the log
    /// keeps everything meanwhile.
    fn take(&mut self, moved: Moved) -> rusqlite::Result<()> {
        match moved {
            Ok(moved) => {
                self.moved = moved;
                self.failing = false;
            }
            Err(error) if is_failed_sync(&error) => return Err(error),
            Err(error) if self.failing => tracing::debug!(%error, "a log was not moved into its file again"),
            Err(error) => {
                self.failing = true;
                tracing::warn!(%error, "the log of a database was not moved into its file; it is tried again");
            }
        }
        Ok(())
    }
}

impl Mover {
    fn start(path: &Path) -> Option<Mover> {
        let path = path.to_owned();
        let mut opened = None;
        Mover::with(move || {
            let connection = opened.take().map_or_else(|| connection::open_mover(&path), Ok);
            connection.and_then(|connection| checkpoint(opened.insert(connection)))
        })
    }

    fn with(mut checkpoint: impl FnMut() -> Moved + Send + 'static) -> Option<Mover> {
        let (ask, asked) = flume::bounded::<()>(1);
        let (answer, done) = flume::bounded(1);
        let work = move || {
            for () in asked {
                if answer.send(checkpoint()).is_err() {
                    return;
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("checkpoint".to_owned()).stack_size(256 * 1024).spawn(work);
        Some(Mover { ask: Some(ask), done, busy: false, thread: Some(thread.ok()?) })
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the checkpoints had panicked");
        }
    }
}

/// Moves what no reader needs in the log any more; how many pages of the log are moved now.
fn checkpoint(connection: &Connection) -> Moved {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row([], |row| row.get::<_, i64>(2))
        .map(|moved| u32::try_from(moved).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panicked_is_not_waited_for_and_the_next_one_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("things.db");
        let mut writer = connection::open_writer(&path, true).unwrap();
        writer.execute_batch("CREATE TABLE t (x)").unwrap();
        let mut checkpoints = Checkpoints::of(&path, &mut writer).unwrap();
        checkpoints.mover = Mover::with(|| panic!("on purpose"));
        checkpoints.ask(&writer).unwrap();
        checkpoints.hear(true).unwrap();
        assert!(checkpoints.mover.is_none());
        checkpoints.ask(&writer).unwrap();
        checkpoints.hear(true).unwrap();
        assert!(checkpoints.moved > 0);
    }

    #[test]
    fn a_disk_that_stays_full_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("things.db");
        let mut writer = connection::open_writer(&path, true).unwrap();
        let mut checkpoints = Checkpoints::of(&path, &mut writer).unwrap();
        let full = || Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(13), None));
        checkpoints.take(full()).unwrap();
        assert!(checkpoints.failing);
        checkpoints.take(full()).unwrap();
        checkpoints.take(Ok(3)).unwrap();
        assert_eq!((checkpoints.failing, checkpoints.moved), (false, 3));
    }
}
