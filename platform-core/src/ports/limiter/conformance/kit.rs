//! What the cases share.

use std::sync::Arc;
use std::time::Duration;

use super::Place;
use crate::ports::limiter::{Limiter, Quota, Verdict};

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
        self.limiter.take(key, cost, self.quota, Duration::from_millis(START + millis))
    }

    /// How many of so many requests at one moment are allowed.
    pub(super) fn allowed(&self, requests: u32, millis: u64) -> u32 {
        (0..requests).map(|_| u32::from(self.at(millis).allowed)).sum()
    }
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
