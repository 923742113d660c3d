//! What every request shares.

use platform_core::kernel::{Error, Principal, Result, Secret};

use crate::metrics::Metrics;
use crate::rest::RequestInfo;

/// The state behind the endpoints.
#[derive(Default)]
pub struct Server {
    pub(crate) metrics: Metrics,
}

impl Server {
    /// Who holds this access token.
    pub(crate) async fn authenticate(&self, _token: &Secret, _info: &RequestInfo) -> Result<Principal> {
        Err(Error::unauthenticated("auth.invalid_token", "the access token is not valid"))
    }
}
