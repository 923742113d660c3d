//! The policy that every request passes, whether for a route or for one of our own endpoints.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use super::error;
use super::model::{Access, LimitBy};
use super::rate::{RateLimitStatus, key};
use super::routing::CompiledRoute;
use super::upstream::Pool;
use crate::flags::Subject;
use crate::kernel::{Actor, Error, Principal, Result};
use crate::ports::limiter::Quota;

/// The limits of our own endpoints, per client address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnLimits {
    /// For everything: far more than a person or a test client sends, far less than would starve others.
    pub default: Quota,
    /// For what anybody may try without being signed in: set-up, registration, login, refresh. A core
    /// hashes 57 passwords a second, so more would only wait.
    pub sign_in: Quota,
}

impl Default for OwnLimits {
    fn default() -> OwnLimits {
        let per = Duration::from_secs(1);
        OwnLimits {
            default: Quota { rate: 20_000, per, burst: 40_000 },
            sign_in: Quota { rate: 100, per, burst: 1_000 },
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// One of our own endpoints.
    Own {
        /// Its path.
        path: &'a str,
        /// Who may use it.
        access: &'a Access,
    },
    /// A route.
    Route(&'a CompiledRoute),
}

/// What one step of the policy says.
#[derive(Debug)]
pub struct Admission {
    /// Whether the request may go on: `auth.not_signed_in`, `auth.forbidden`, `gateway.rate_limited`.
    pub verdict: Result<()>,
    /// Where the rate limit stands, if this step has one.
    pub limit: Option<RateLimitStatus>,
}

impl Gateway {
    /// The first step, before anybody looks at a token: the limit by address, so that guessing tokens is
    /// limited too.
    pub async fn receive(&self, destination: Destination<'_>, address: Option<IpAddr>) -> Admission {
        let nobody = Principal::anonymous();
        match destination {
            Destination::Own { path, .. } => {
                let (name, quota) = self.own_limit(path);
                self.take("own", name, quota, LimitBy::Address, &nobody, address).await
            }
            Destination::Route(route) => match route.limit() {
                Some(limit) if limit.by == LimitBy::Address => {
                    self.take("route", route.name().as_str(), limit.quota(), limit.by, &nobody, address).await
                }
                _ => Admission { verdict: Ok(()), limit: None },
            },
        }
    }

    /// The second step, when it is known who asks: access, then the limit by user or key.
    pub async fn admit(
        &self,
        destination: Destination<'_>,
        principal: &Principal,
        address: Option<IpAddr>,
    ) -> Admission {
        let (access, route) = match destination {
            Destination::Own { access, .. } => (access, None),
            Destination::Route(route) => (route.access(), Some(route)),
        };
        if let Err(error) = may_use(access, principal) {
            return Admission { verdict: Err(error), limit: None };
        }
        match route.and_then(|route| Some((route.name().as_str(), route.limit()?))) {
            Some((name, limit)) if limit.by != LimitBy::Address => {
                self.take("route", name, limit.quota(), limit.by, principal, address).await
            }
            _ => Admission { verdict: Ok(()), limit: None },
        }
    }

    /// Takes one from a quota. `kind` keeps apart a route and a limit of ours that have the same name.
    async fn take(
        &self,
        kind: &str,
        name: &str,
        quota: Quota,
        by: LimitBy,
        principal: &Principal,
        address: Option<IpAddr>,
    ) -> Admission {
        let key = key(kind, name, by, principal, address);
        let taken = self.limiter.take(&key, 1, quota, self.db.runtime.monotonic()).verdict().await;
        let status = RateLimitStatus::new(name, quota, taken);
        let verdict =
            if status.is_allowed() { Ok(()) } else { Err(error::rate_limited(status.retry_after())) };
        Admission { verdict, limit: Some(status) }
    }

    fn own_limit(&self, path: &str) -> (&'static str, Quota) {
        const SIGN_IN: [&str; 4] = ["/v1/setup", "/v1/auth/register", "/v1/auth/login", "/v1/auth/refresh"];
        if SIGN_IN.contains(&path) { ("sign-in", self.own.sign_in) } else { ("default", self.own.default) }
    }

    /// The target of a request: what the route's flag chooses for its subject, or the route's own.
    pub fn pool<'r>(
        &self,
        route: &'r CompiledRoute,
        principal: &Principal,
        address: Option<IpAddr>,
    ) -> &'r Arc<Pool> {
        let Some(flag) = route.flag() else { return route.pool(None) };
        let (targeting_key, signed_in) = match &principal.actor {
            Actor::User(id) => (id.to_string(), "true"),
            Actor::Service(name) => (name.clone(), "true"),
            Actor::Anonymous | Actor::System => {
                (address.map(|address| address.to_canonical().to_string()).unwrap_or_default(), "false")
            }
        };
        let attributes = [("signed_in", signed_in), ("route", route.name().as_str())];
        let subject = Subject::new(&targeting_key, &attributes);
        let flags = self.flags.snapshot();
        let evaluation = flags.evaluate(flag, &subject, self.db.runtime.now().as_secs());
        route.pool(evaluation.ok().and_then(|evaluation| evaluation.variant))
    }
}

/// Whether somebody may use something.
fn may_use(access: &Access, principal: &Principal) -> Result<()> {
    let permission = match (access, &principal.actor) {
        (Access::Open, _) => return Ok(()),
        (_, Actor::Anonymous) => {
            return Err(Error::unauthenticated("auth.not_signed_in", "sign in first"));
        }
        (Access::SignedIn, _) => return Ok(()),
        (Access::Permission(permission), _) => permission,
    };
    if principal.permissions.contains(permission) {
        Ok(())
    } else {
        Err(Error::forbidden("auth.forbidden", "the permission is missing").with("permission", permission))
    }
}
