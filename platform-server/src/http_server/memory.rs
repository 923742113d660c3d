//! How much memory the bodies of requests may take together, while they are read and worked on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use platform_core::kernel::{Error, Result, limits};

/// What bounds the bodies that are read here; those that pass through are never collected.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// The time for a whole body.
    pub whole: Duration,
    /// Bytes that are left.
    left: Arc<AtomicUsize>,
}

impl BodyLimits {
    /// With so much time for each body, and so many bytes of memory for all large ones together.
    pub fn new(whole: Duration, bytes: usize) -> BodyLimits {
        BodyLimits { whole, left: Arc::new(AtomicUsize::new(bytes)) }
    }

    /// The share of a body of which nothing has come yet.
    pub(crate) fn share(&self) -> Share {
        Share { left: Arc::clone(&self.left), length: 0, taken: 0 }
    }
}

impl Default for BodyLimits {
    fn default() -> BodyLimits {
        BodyLimits::new(limits::BODY_TIME, limits::BODY_MEMORY_BYTES)
    }
}

/// What one body takes; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    left: Arc<AtomicUsize>,
    length: usize,
    taken: usize,
}

impl Share {
    /// So many bytes more have come. Small bodies take nothing: the number of requests bounds them, and who
    /// sends little is served also when others hold all there is.
    ///
    /// # Errors
    /// `server.overloaded`.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        self.length += bytes;
        if self.length <= limits::OPEN_BODY_BYTES {
            return Ok(());
        }
        let more = self.length - self.taken;
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(more)).map_err(|_| {
            Error::unavailable("server.overloaded", "too many large bodies at once: try again shortly")
        })?;
        self.taken = self.length;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.left.fetch_add(self.taken, Relaxed);
    }
}
