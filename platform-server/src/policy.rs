//! The policy chain, the same for our own endpoints and for routes: who is asking, may they, and not too
//! often.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use platform_core::gateway::{Access, Admission, Destination, LimitBy, RateLimitStatus};
use platform_core::kernel::{Principal, Result};

use crate::rest::{self, RequestInfo};
use crate::server::Server;

/// What the policy says of a request.
pub(crate) struct Decision {
    /// Who is asking; nobody in particular when that could not be established.
    pub(crate) principal: Principal,
    /// Where the rate limit stands.
    pub(crate) limit: Option<RateLimitStatus>,
    /// Whether the request may go on.
    pub(crate) verdict: Result<()>,
}

impl Server {
    /// Decides about a request. The limit by address comes first, so that guessing tokens is limited too;
    /// a token is looked at only where it decides something.
    pub(crate) async fn decide(
        &self,
        destination: Destination<'_>,
        headers: &HeaderMap,
        info: &RequestInfo,
    ) -> Decision {
        let gateway = self.platform.gateway();
        let principal = Principal::anonymous();
        let Admission { verdict, limit } = gateway.receive(destination, info.client.address).await;
        if verdict.is_err() {
            return Decision { principal, limit, verdict };
        }
        let access = match destination {
            Destination::Own { access, .. } => access,
            Destination::Route(route) => route.access(),
        };
        // A route that counts by user, or whose flag may choose by user, wants to know the user also when it is
        // open to everybody.
        let wants_name = match destination {
            Destination::Own { .. } => false,
            Destination::Route(route) => {
                route.flag().is_some() || route.limit().is_some_and(|limit| limit.by != LimitBy::Address)
            }
        };
        let asking = if *access != Access::Open || (wants_name && headers.contains_key(AUTHORIZATION)) {
            // Boxed: what nobody needs for an open route would be moved with every request.
            Box::pin(self.principal(headers)).await
        } else {
            Ok(None)
        };
        let principal = match asking {
            Ok(asking) => asking.unwrap_or(principal),
            // What is open needs no token of ours: it may be meant for the upstream.
            Err(_) if *access == Access::Open => principal,
            Err(error) => return Decision { principal, limit, verdict: Err(error) },
        };
        let admission = gateway.admit(destination, &principal, info.client.address).await;
        Decision { principal, limit: admission.limit.or(limit), verdict: admission.verdict }
    }

    async fn principal(&self, headers: &HeaderMap) -> Result<Option<Principal>> {
        match rest::bearer(headers)? {
            Some(token) => self.platform.auth().authenticate(token.expose()).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Writes `RateLimit-Policy` and `RateLimit`.
pub(crate) fn write_limit(headers: &mut HeaderMap, limit: &RateLimitStatus) {
    for (name, text) in limit.headers() {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
