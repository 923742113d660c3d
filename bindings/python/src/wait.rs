//! Blocking calls: the caller's own thread drives the call, without the interpreter's lock.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use platform_core::kernel::Result;
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::error::{panicked, raise};

/// How long a call waits before it looks for signals again: what Ctrl-C takes at most.
const SLICE: Duration = Duration::from_millis(50);

/// A call of the core, made into an owned future.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Wakes a waiting thread.
struct Parked {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Waits for a call. A signal whose handler raises (Ctrl-C) ends the waiting, not the call: it is driven to its
/// end by the runtime, so what it does is done or not done as without the signal.
///
/// # Errors
/// What the call returns; `platform.panicked`; what a signal's handler raises.
pub(crate) fn wait<T: Send + 'static>(py: Python<'_>, handle: &Handle, work: Work<T>) -> PyResult<T> {
    let (outcome, work) = waited(py, Some(handle), work);
    if let Some(work) = work {
        handle.spawn(async move {
            // Whoever wanted the answer is gone.
            let _ = work.await;
        });
    }
    outcome
}

/// Waits for what needs no runtime. A signal whose handler raises ends it.
///
/// # Errors
/// As [`wait`].
pub(crate) fn wait_anywhere<T: Send + 'static>(py: Python<'_>, work: Work<T>) -> PyResult<T> {
    waited(py, None, work).0
}

/// The outcome; and the call, when a signal came first.
fn waited<T: Send>(
    py: Python<'_>,
    handle: Option<&Handle>,
    mut work: Work<T>,
) -> (PyResult<T>, Option<Work<T>>) {
    let parked = Arc::new(Parked { thread: std::thread::current(), is_woken: AtomicBool::new(true) });
    let waker = Waker::from(Arc::clone(&parked));
    loop {
        match py.detach(|| drive(&mut work, handle, &parked, &waker)) {
            Some(outcome) => return (outcome.map_err(|error| raise(py, &error)), None),
            None => {
                if let Err(interrupt) = py.check_signals() {
                    return (Err(interrupt), Some(work));
                }
            }
        }
    }
}

/// Polls a call once where it is: `None` when it has to wait.
pub(crate) fn poll_once<T>(work: &mut Work<T>, handle: &Handle) -> Option<Result<T>> {
    poll(work, Some(handle), Waker::noop())
}

fn drive<T>(
    work: &mut Work<T>,
    handle: Option<&Handle>,
    parked: &Parked,
    waker: &Waker,
) -> Option<Result<T>> {
    let until = Instant::now() + SLICE;
    loop {
        if parked.is_woken.swap(false, Ordering::Acquire)
            && let Some(outcome) = poll(work, handle, waker)
        {
            return Some(outcome);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

fn poll<T>(work: &mut Work<T>, handle: Option<&Handle>, waker: &Waker) -> Option<Result<T>> {
    let _entered = handle.map(Handle::enter);
    let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(waker))));
    match polled {
        Ok(Poll::Ready(outcome)) => Some(outcome),
        Ok(Poll::Pending) => None,
        Err(payload) => Some(Err(panicked(&*payload))),
    }
}
