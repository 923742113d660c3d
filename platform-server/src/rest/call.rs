//! What a handler is given besides its parsed input.

use std::sync::Arc;

use platform_core::Platform;
use platform_core::kernel::Context;

use crate::server::Server;

/// One call of an endpoint: the server, and the context that every facade method takes first.
pub struct Call {
    /// Who asks, with what, and what the request belongs to.
    pub context: Context,
    pub(crate) server: Arc<Server>,
}

impl Call {
    /// The facades.
    pub fn platform(&self) -> &Platform {
        &self.server.platform
    }
}
