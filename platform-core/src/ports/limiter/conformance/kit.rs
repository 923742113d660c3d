//! What the cases share.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::Place;
use crate::ports::limiter::{Limiter, Quota, Taken, Verdict};

/// Ten a second, three at once: one every 100 ms.
pub(super) const QUOTA: Quota = Quota { rate: 10, per: Duration::from_secs(1), burst: 3 };

/// When the cases begin, in milliseconds.
pub(super) const START: u64 = 1_000_000;

/// A limiter, and the quota of a case.
pub(super) struct Limited {
    pub(super) limiter: Arc<dyn Limiter>,
    pub(super) quota: Quota,
}

pub(super) async fn limited(place: &dyn Place, quota: Quota) -> Limited {
    Limited { limiter: place.limiter().await.unwrap(), quota }
}

impl Limited {
    /// Asks so many milliseconds after the start.
    pub(super) fn at(&self, millis: u64) -> Verdict {
        self.costs(1, millis)
    }

    pub(super) fn costs(&self, cost: u32, millis: u64) -> Verdict {
        self.key("key", cost, millis)
    }

    pub(super) fn key(&self, key: &str, cost: u32, millis: u64) -> Verdict {
        told(self.limiter.take(key, cost, self.quota, Duration::from_millis(START + millis)))
    }

    /// How many of so many requests at one moment are allowed.
    pub(super) fn allowed(&self, requests: u32, millis: u64) -> u32 {
        (0..requests).map(|_| u32::from(self.at(millis).allowed)).sum()
    }
}

/// The verdict; this thread waits for it.
pub(super) fn told(taken: Taken) -> Verdict {
    // Nobody else has a turn on this thread meanwhile, so it must not be asked to give way.
    let mut verdict = pin!(tokio::task::unconstrained(taken.verdict()));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match verdict.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(verdict) => return verdict,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
