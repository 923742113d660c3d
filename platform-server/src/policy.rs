//! The policy chain, the same for our own endpoints and for routes: who is asking, may they, and not too
//! often.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use platform_core::gateway::{Access, LimitBy, RateLimit};
use platform_core::kernel::{Actor, Context, Error, Principal, Result, Retry};
use platform_core::ports::limiter::{Quota, Verdict};

use crate::http_server::network_of;
use crate::rest::{self, RequestInfo};
use crate::server::Server;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Server {
    /// Finds out who is asking, and whether they may. A token is looked at only where it decides
    /// something. The principal is set also when it is refused, so that the refusal has a name.
    ///
    /// # Errors
    /// `auth.…` as [`Context::require`] and `Auth::authenticate`.
    pub(crate) async fn admit(
        &self,
        access: &Access,
        headers: &HeaderMap,
        info: &RequestInfo,
        context: &mut Context,
    ) -> Result<()> {
        if *access == Access::Open {
            return Ok(());
        }
        let Some(token) = rest::bearer(headers)? else {
            return Err(Error::unauthenticated("auth.not_signed_in", "sign in first"));
        };
        context.principal = self.authenticate(&token, info).await?;
        match access {
            Access::Permission(permission) => context.require(permission),
            _ => Ok(()),
        }
    }

    /// Takes one from a limit; `name` keeps the limits of different routes apart.
    ///
    /// # Errors
    /// `gateway.rate_limited`, with when to come again.
    pub(crate) fn limit(
        &self,
        name: &str,
        limit: &RateLimit,
        principal: &Principal,
        info: &RequestInfo,
    ) -> (Limited, Result<()>) {
        let quota = Quota {
            rate: limit.rate,
            per: Duration::from_secs(limit.per.as_secs()),
            burst: limit.burst.unwrap_or(limit.rate),
        };
        let key = format!("{name}\n{}", caller(limit.by, principal, info));
        let verdict = self.limiter().take(&key, quota, self.monotonic());
        let refused = Error::limit("gateway.rate_limited", "too many requests")
            .retry(Retry::After(verdict.retry_after));
        (Limited { quota, verdict }, if verdict.allowed { Ok(()) } else { Err(refused) })
    }
}

/// Who shares a limit. Who has no name shares that of the address.
fn caller(by: LimitBy, principal: &Principal, info: &RequestInfo) -> String {
    let address = || info.client.address.map(|address| network_of(address).to_string()).unwrap_or_default();
    match (by, &principal.actor, principal.session) {
        (LimitBy::Address, ..) | (_, Actor::Anonymous | Actor::System, _) => address(),
        (LimitBy::Key, _, Some(session)) => session.to_string(),
        (_, actor, _) => actor.to_string(),
    }
}

/// What a limit said, for the headers of draft-ietf-httpapi-ratelimit-headers-11.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limited {
    quota: Quota,
    verdict: Verdict,
}

impl Limited {
    /// Writes `RateLimit` and `RateLimit-Policy`.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let policy = format!("\"default\";q={};w={}", self.quota.rate, self.quota.per.as_secs());
        let reset = self.verdict.reset_after.as_millis().div_ceil(1_000);
        let state = format!("\"default\";r={};t={reset}", self.verdict.remaining);
        for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}
