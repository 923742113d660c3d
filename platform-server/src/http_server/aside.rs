//! A future beside another one in the same task: it is looked at when it was woken, not whenever the other was.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Something seldom: deadlines and orders of a connection that has requests to serve.
pub(super) struct Aside<F> {
    future: F,
    bell: Arc<Bell>,
    /// Of `bell`.
    waker: Waker,
}

struct Bell {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, SeqCst);
        self.task.wake();
    }
}

impl<F: Future + Unpin> Aside<F> {
    pub(super) fn new(future: F) -> Aside<F> {
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Aside { future, waker: Waker::from(Arc::clone(&bell)), bell }
    }

    /// Polls the future if it was woken, and the first time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        // First the task, then the bell: what rings in between tells the task.
        self.bell.task.register(cx.waker());
        if !self.bell.has_rung.swap(false, SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&self.waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_its_end_is_told() {
        let (notify, polls) = (Notify::new(), AtomicUsize::new(0));
        let mut notified = Box::pin(notify.notified());
        let counted = poll_fn(|cx| {
            polls.fetch_add(1, SeqCst);
            notified.as_mut().poll(cx)
        });
        let mut aside = Aside::new(counted);
        let mut other = Context::from_waker(Waker::noop());
        for _ in 0..5 {
            assert!(aside.poll(&mut other).is_pending());
        }
        assert_eq!(polls.load(SeqCst), 1);
        let ringing = async {
            tokio::task::yield_now().await;
            notify.notify_one();
        };
        // The task is woken, although it did not wait for the future itself.
        tokio::join!(poll_fn(|cx| aside.poll(cx)), ringing);
        assert_eq!(polls.load(SeqCst), 2);
    }
}
