//! Rate limits of requests: whose they are, and what is said about them.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::model::{LimitBy, RateLimit};
use crate::kernel::{Actor, Principal};
use crate::ports::limiter::{Quota, Verdict};

impl RateLimit {
    /// The quota for the limiter.
    pub(super) fn quota(&self) -> Quota {
        Quota {
            rate: self.rate,
            per: Duration::from_secs(self.per.as_secs()),
            burst: self.burst.unwrap_or(self.rate),
        }
    }
}

/// Where a limit stands after a request, for the fields of draft-ietf-httpapi-ratelimit-headers-11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitStatus {
    policy: String,
    quota: Quota,
    verdict: Verdict,
}

impl RateLimitStatus {
    pub(super) fn new(policy: &str, quota: Quota, verdict: Verdict) -> RateLimitStatus {
        RateLimitStatus { policy: policy.to_owned(), quota, verdict }
    }

    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        self.verdict.allowed
    }

    /// When the next request is allowed; zero if one is now.
    pub fn retry_after(&self) -> Duration {
        self.verdict.retry_after
    }

    /// The fields `RateLimit-Policy` and `RateLimit`. The quota is what may come at once, and the window
    /// the time in which all of it comes back.
    pub fn headers(&self) -> [(&'static str, String); 2] {
        let Quota { rate, per, burst } = self.quota;
        let second = u128::from(rate.max(1)) * Duration::from_secs(1).as_nanos();
        let window = per.as_nanos().saturating_mul(burst.into()).div_ceil(second).max(1);
        let reset = whole_seconds(self.verdict.reset_after);
        [
            ("ratelimit-policy", format!("\"{}\";q={burst};w={window}", self.policy)),
            ("ratelimit", format!("\"{}\";r={};t={reset}", self.policy, self.verdict.remaining)),
        ]
    }
}

/// Seconds, rounded up.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The key under which requests of one client are counted.
pub(super) fn key(
    kind: &str,
    name: &str,
    by: LimitBy,
    principal: &Principal,
    address: Option<IpAddr>,
) -> String {
    let mut key = format!("gateway|{kind}|{name}|");
    // Writing to a String does not fail.
    let _ = match (by, &principal.actor, principal.session) {
        (LimitBy::Key, Actor::User(_), Some(session)) => write!(key, "session:{session}"),
        (LimitBy::User | LimitBy::Key, actor @ (Actor::User(_) | Actor::Service(_)), _) => {
            write!(key, "{actor}")
        }
        _ => write_address(&mut key, address),
    };
    key
}

/// An address, an IPv6 one by its /64: a household has that many to choose from.
fn write_address(key: &mut String, address: Option<IpAddr>) -> std::fmt::Result {
    match address.map(|address| address.to_canonical()) {
        None => write!(key, "address:unknown"),
        Some(IpAddr::V4(address)) => write!(key, "address:{address}"),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            write!(key, "address:{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Permissions, RawId, SessionId, UserId};
    use proptest::prelude::*;

    fn user(session: Option<u8>) -> Principal {
        Principal {
            actor: Actor::User(UserId(RawId([1; 16]))),
            session: session.map(|byte| SessionId(RawId([byte; 16]))),
            permissions: Permissions::none(),
        }
    }

    #[test]
    fn what_a_request_lacks_is_replaced_by_its_address() {
        let nobody = Principal { actor: Actor::Anonymous, session: None, permissions: Permissions::none() };
        let of =
            |by, principal: &Principal, address: &str| key("route", "r", by, principal, address.parse().ok());
        for by in [LimitBy::Address, LimitBy::User, LimitBy::Key] {
            assert_eq!(of(by, &nobody, "10.0.0.1"), "gateway|route|r|address:10.0.0.1");
        }
        assert_eq!(
            of(LimitBy::Address, &user(Some(1)), "::ffff:10.0.0.1"),
            "gateway|route|r|address:10.0.0.1"
        );
        assert_eq!(
            of(LimitBy::Address, &nobody, "2001:db8:1:2:3::4"),
            "gateway|route|r|address:2001:db8:1:2"
        );
        assert_eq!(of(LimitBy::Address, &nobody, ""), "gateway|route|r|address:unknown");
        assert_eq!(
            of(LimitBy::User, &user(Some(1)), "10.0.0.1"),
            of(LimitBy::User, &user(Some(2)), "10.0.0.2")
        );
        assert_ne!(
            of(LimitBy::Key, &user(Some(1)), "10.0.0.1"),
            of(LimitBy::Key, &user(Some(2)), "10.0.0.1")
        );
    }

    #[test]
    fn the_fields_say_how_much_and_until_when() {
        let quota = Quota { rate: 60, per: Duration::from_secs(60), burst: 10 };
        let (verdict, arrival) = quota.decide(1, 0, 5_000_000_000);
        assert_eq!(
            RateLimitStatus::new("api", quota, verdict).headers(),
            [("ratelimit-policy", "\"api\";q=10;w=10".into()), ("ratelimit", "\"api\";r=9;t=1".into())]
        );
        let (verdict, _) = quota.decide(1, arrival, 5_500_000_000);
        assert_eq!(RateLimitStatus::new("api", quota, verdict).headers()[1].1, "\"api\";r=8;t=2");
    }

    /// A bucket of tokens, which fills evenly: what GCRA has to be indistinguishable from.
    struct Bucket {
        level: u128,
        at: u128,
    }

    impl Bucket {
        fn take(&mut self, interval: u128, burst: u128, now: u128) -> (bool, u128) {
            self.level = (self.level + now - self.at).min(interval * burst);
            self.at = now;
            let allowed = self.level >= interval;
            if allowed {
                self.level -= interval;
            }
            (allowed, self.level / interval)
        }
    }

    proptest! {
        #[test]
        fn gcra_decides_like_a_bucket_of_tokens(
            rate in 1_u32..50, per in 1_u64..100, burst in 1_u32..20,
            gaps in proptest::collection::vec(prop_oneof![Just(0_u64), 0..20_000_000_000_u64], 1..100),
        ) {
            let quota = Quota { rate, per: Duration::from_secs(per), burst };
            let interval = quota.per.as_nanos().div_ceil(u128::from(rate));
            let mut bucket = Bucket { level: interval * u128::from(burst), at: 0 };
            let (mut arrival, mut now) = (0, 1_u128 << 40);
            bucket.at = now;
            for gap in gaps {
                now += u128::from(gap);
                let (verdict, next) = quota.decide(1, arrival, now);
                arrival = next;
                let expected = bucket.take(interval, u128::from(burst), now);
                prop_assert_eq!((verdict.allowed, u128::from(verdict.remaining)), expected);
                let wait = verdict.retry_after.as_nanos();
                prop_assert!(verdict.allowed == (wait == 0));
                if !verdict.allowed {
                    prop_assert!(quota.decide(1, arrival, now + wait).0.allowed);
                    prop_assert!(!quota.decide(1, arrival, now + wait - 1).0.allowed);
                }
            }
        }
    }
}
