//! When a request is sent again, and how often all in all.

use std::time::Duration;

use crate::kernel::Timestamp;

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection: the endpoint has seen nothing of the request.
    Connect,
    /// The connection broke before the answer began.
    Broken,
    /// The answer did not begin in time.
    Timeout,
    /// An answer with this status.
    Status(u16),
}

/// Attempts of one request, the first included.
const ATTEMPTS: u32 = 3;

/// Whether a request may be sent once more after `failure`; `attempts` have been made, and
/// `body_untouched` says that nothing of a body has been read yet.
///
/// A request that an endpoint may have seen is repeated only if its method is idempotent (RFC 9110,
/// 9.2.2), and a timeout is not repeated: it would double the wait.
pub fn may_retry(method: &str, failure: Failure, attempts: u32, body_untouched: bool) -> bool {
    let idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE");
    let again = match failure {
        Failure::Connect => true,
        Failure::Broken | Failure::Status(502..=504) => idempotent,
        Failure::Timeout | Failure::Status(_) => false,
    };
    again && body_untouched && attempts < ATTEMPTS
}

/// Retries are at most a fifth of the requests, and three a second in any case, so that they cannot
/// turn a service that is slow into one that is down.
#[derive(Debug, Clone, Copy)]
pub struct RetryBudget {
    /// In fifths of a retry.
    fifths: u32,
    refilled: Timestamp,
}

/// The most that is saved up, in fifths: a hundred retries.
const SAVED: u32 = 500;
/// What comes back each second, in fifths: three retries.
const PER_SECOND: u32 = 15;

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget { fifths: PER_SECOND, refilled: Timestamp::EPOCH }
    }
}

impl RetryBudget {
    /// A request is sent for the first time.
    pub fn request(&mut self) {
        self.fifths = self.fifths.saturating_add(1).min(SAVED);
    }

    /// Takes one retry, if there is one.
    pub fn retry(&mut self, now: Timestamp) -> bool {
        let seconds = now.as_secs().saturating_sub(self.refilled.as_secs());
        if seconds > 0 {
            let back = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(PER_SECOND);
            self.fifths = self.fifths.max(self.fifths.saturating_add(back).min(PER_SECOND));
            self.refilled = now;
        }
        match self.fifths.checked_sub(5) {
            Some(rest) => {
                self.fifths = rest;
                true
            }
            None => false,
        }
    }
}

/// How long to wait before the retry: 10 ms, doubled each time, between half and all of it by `random`.
pub(super) fn backoff(attempts: u32, random: u64) -> Duration {
    let whole = 10_000_u64 << attempts.saturating_sub(1).min(6);
    Duration::from_micros(whole / 2 + random % (whole / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_safe_is_repeated() {
        assert!(may_retry("GET", Failure::Broken, 1, true));
        assert!(may_retry("PUT", Failure::Status(503), 2, true));
        assert!(may_retry("POST", Failure::Connect, 1, true));
        for (method, failure, attempts, untouched) in [
            ("POST", Failure::Broken, 1, true),
            ("PATCH", Failure::Status(502), 1, true),
            ("GET", Failure::Timeout, 1, true),
            ("GET", Failure::Status(500), 1, true),
            ("GET", Failure::Connect, 3, true),
            ("POST", Failure::Connect, 1, false),
        ] {
            assert!(!may_retry(method, failure, attempts, untouched), "{method} {failure:?}");
        }
    }

    #[test]
    fn without_traffic_three_retries_a_second_are_left() {
        let mut budget = RetryBudget::default();
        let mut granted = |second| (0..10).filter(|_| budget.retry(Timestamp::from_secs(second))).count();
        assert_eq!((granted(5), granted(5), granted(6), granted(60)), (3, 0, 3, 3));
    }

    #[test]
    fn waiting_grows_and_is_spread() {
        for (attempts, whole) in [(1, 10), (2, 20), (3, 40)] {
            for random in [0, 1, u64::MAX] {
                let wait = backoff(attempts, random);
                assert!(wait >= Duration::from_millis(whole / 2) && wait <= Duration::from_millis(whole));
            }
        }
    }

    proptest! {
        #[test]
        fn retries_are_a_fifth_of_the_requests_and_three_a_second(
            steps in proptest::collection::vec((0_u64..2, 0_u32..20, 0_u32..20), 1..100)
        ) {
            let mut budget = RetryBudget::default();
            let (mut second, mut requests, mut retries) = (0, 0_u64, 0_u64);
            for (step, sent, wanted) in steps {
                second += step;
                for _ in 0..sent {
                    budget.request();
                    requests += 1;
                }
                retries += (0..wanted).filter(|_| budget.retry(Timestamp::from_secs(second))).count() as u64;
            }
            prop_assert!(retries * 5 <= requests + 15 * (second + 1));
        }
    }
}
