//! When login attempts are refused: per account and network, with a delay that grows.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::{Timestamp, limits};

/// The first delay; it doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_secs(30);
/// The longest delay: 24 guesses a day from one network.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);
/// Failures are forgotten after this long without another.
pub(in crate::auth) const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::auth) struct Failures {
    /// How many.
    pub count: u32,
    /// When the last was.
    pub last: Timestamp,
    /// Until when the next is refused.
    pub locked_until: Option<Timestamp>,
}

impl Failures {
    /// Until when attempts are refused; `None` when one may be made now.
    pub(in crate::auth) fn locked(&self, now: Timestamp) -> Option<Timestamp> {
        self.locked_until.filter(|until| *until > now)
    }

    /// After one more failure.
    pub(in crate::auth) fn after_failure(&self, now: Timestamp) -> Failures {
        let before = if now.since(self.last) > MEMORY { 0 } else { self.count };
        let count = before.saturating_add(1);
        let doublings = count.checked_sub(limits::LOGIN_FAILURES);
        let delay = doublings.map(|times| {
            FIRST_DELAY.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(LONGEST_DELAY)
        });
        Failures { count, last: now, locked_until: delay.map(|delay| now.plus(delay)) }
    }
}

/// The network an attempt comes from: an IPv4 address, or the /64 that one IPv6 subscriber has.
pub(in crate::auth) fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "inside".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tenth_failure_locks_and_each_further_one_doubles_the_delay() {
        let mut failures = Failures::default();
        let mut now = Timestamp::from_secs(1_000_000);
        for _ in 0..9 {
            failures = failures.after_failure(now);
            assert_eq!(failures.locked(now), None);
        }
        let mut delays = Vec::new();
        for _ in 0..9 {
            failures = failures.after_failure(now);
            let until = failures.locked(now).unwrap();
            delays.push(until.since(now).as_secs());
            now = until;
            assert_eq!(failures.locked(now), None);
        }
        assert_eq!(delays, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn a_day_without_failure_is_forgotten() {
        let start = Timestamp::from_secs(1_000_000);
        let failures = (0..12).fold(Failures::default(), |failures, _| failures.after_failure(start));
        let later = start.plus(MEMORY + Duration::from_secs(1));
        assert_eq!(failures.after_failure(later).count, 1);
        assert_eq!(failures.after_failure(later).locked_until, None);
    }

    #[test]
    fn an_ipv6_subscriber_is_one_network() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), network(None));
    }

    proptest! {
        /// Whatever the rhythm of an attacker who only guesses when it is allowed: never more
        /// guesses in a day than the free ones and those that the delays leave.
        #[test]
        fn guesses_per_day_are_bounded(pauses in proptest::collection::vec(0u64..7_200, 0..400)) {
            let start = Timestamp::from_secs(1_000_000);
            let (mut now, mut failures, mut guesses) = (start, Failures::default(), 0);
            for pause in pauses {
                now = now.plus(Duration::from_secs(pause));
                if now.since(start) > Duration::from_secs(24 * 3600) {
                    break;
                }
                if failures.locked(now).is_none() {
                    let next = failures.after_failure(now);
                    prop_assert!(next.count == failures.count + 1);
                    prop_assert!(next.locked_until.is_some() == (next.count >= limits::LOGIN_FAILURES));
                    prop_assert!(next.locked_until >= failures.locked_until);
                    failures = next;
                    guesses += 1;
                }
            }
            // 10 free, 7 while the delay grows to an hour (63.5 minutes), then one an hour.
            prop_assert!(guesses <= 10 + 7 + 24, "{guesses}");
        }
    }
}
