//! Rate limits: GCRA, the generic cell rate algorithm (ITU-T I.371), one number per key.

#[cfg(feature = "conformance")]
pub mod conformance;

mod local;

use std::time::Duration;

pub use local::LocalLimiter;

use crate::kernel::BoxFuture;

/// How much is allowed: `rate` in every `per`, and up to `burst` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Requests per period, at least 1.
    pub rate: u32,
    /// The period.
    pub per: Duration,
    /// Requests at once, at least 1.
    pub burst: u32,
}

/// What a limiter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on.
    pub allowed: bool,
    /// How many more of cost 1 may follow at once.
    pub remaining: u32,
    /// When the quota is whole again.
    pub reset_after: Duration,
    /// When a request of the same cost is allowed; zero for one that was. [`Duration::MAX`]: never.
    pub retry_after: Duration,
}

/// What a limiter says, or will say soon.
pub enum Taken {
    /// It is known here.
    Now(Verdict),
    /// It has to be asked for where all nodes take from. That has a deadline of milliseconds.
    Soon(BoxFuture<'static, Verdict>),
}

impl Taken {
    /// The verdict, waited for if it has to be.
    pub async fn verdict(self) -> Verdict {
        match self {
            Taken::Now(verdict) => verdict,
            Taken::Soon(verdict) => verdict.await,
        }
    }
}

/// Rate limits over keys. Where several nodes share them, each has small leases of what is left, so that most requests
/// are decided where they are.
///
/// # Behavior
/// - Never more than `burst + rate × t / per` are allowed within any time `t`, by however many callers
///   at once.
/// - What was not used comes back evenly, up to `burst`.
/// - A request costs what it says. A cost above `burst` is never allowed; one of 0 always is, and takes
///   nothing.
/// - A refused request takes nothing; after its `retry_after`, and not before, it is allowed if nobody
///   else asks meanwhile.
/// - Keys know nothing of each other, whatever bytes they have.
/// - Keys that are whole again are forgotten: memory is bounded by the keys in use.
/// - `now` is monotonic; a `now` before an earlier one counts as that one.
/// - Every quota, cost and `now` gives a verdict.
pub trait Limiter: Send + Sync {
    /// Takes a cost from the quota of `key`. It never blocks; whoever gives up waiting may have taken all the same.
    fn take(&self, key: &str, cost: u32, quota: Quota, now: Duration) -> Taken;

    /// How many keys are remembered: at most about twice as many as are in use, and some.
    fn remembered(&self) -> usize;
}

impl Quota {
    /// The time that a cost of 1 takes to come back, in nanoseconds; rounded up, so that never more is
    /// allowed.
    pub fn interval(self) -> u128 {
        self.per.as_nanos().div_ceil(u128::from(self.rate.max(1))).max(1)
    }

    /// How far ahead of now an arrival may be: the time in which a whole burst comes back, in nanoseconds.
    pub fn tolerance(self) -> u128 {
        self.interval() * u128::from(self.burst.max(1))
    }

    /// The decision: from the theoretical arrival time of the next request to the verdict and the new
    /// one. All in nanoseconds, below 2^127.
    ///
    /// This is the whole algorithm; an adapter only keeps the number.
    pub fn decide(self, cost: u32, arrival: u128, now: u128) -> (Verdict, u128) {
        let (interval, tolerance) = (self.interval(), self.tolerance());
        let due = arrival.max(now);
        let next = due + interval * u128::from(cost);
        let allowed = cost == 0 || next - now <= tolerance;
        let kept = if allowed { next } else { due };
        let retry_after = match allowed {
            true => Duration::ZERO,
            false if cost > self.burst.max(1) => Duration::MAX,
            false => duration((next - now).saturating_sub(tolerance)),
        };
        let remaining = tolerance.saturating_sub(kept - now) / interval;
        let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
        (Verdict { allowed, remaining, reset_after: duration(kept - now), retry_after }, kept)
    }
}

/// Of nanoseconds, at most [`Duration::MAX`].
fn duration(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}
