//! Whether this process is still the one that opened a platform.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many forks lie between this process and the one that loaded the module.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Platforms that are open, or are being opened or closed.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// Whether a platform was open when this process, or one before it, was forked.
static IS_HEIR: AtomicBool = AtomicBool::new(false);

/// Counts a platform as open until it is dropped.
pub(crate) struct Open(());

impl Open {
    pub(crate) fn count() -> Open {
        OPEN.fetch_add(1, Ordering::SeqCst);
        Open(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether threads of a platform stayed behind at a fork: whatever locks of the process they held (SQLite has some)
/// are held for ever here, so a platform that is opened would hang now and then.
pub(crate) fn is_heir() -> bool {
    IS_HEIR.load(Ordering::SeqCst)
}

/// The number of this process in its line of forks: what was opened under another one has lost its threads.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Has forks be counted from now on.
pub(crate) fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        #[cfg(unix)]
        #[allow(
            unsafe_code,
            reason = "the C library is the one that knows of every fork; the handler adds to an atomic"
        )]
        // Should there be no memory for the handler, forks are not seen: nothing else fails.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    });
}

#[cfg(unix)]
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if OPEN.swap(0, Ordering::SeqCst) > 0 {
        IS_HEIR.store(true, Ordering::SeqCst);
    }
}
