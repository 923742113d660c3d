//! The gateway: routes set and deleted.

use std::sync::Arc;

use platform_core::gateway::{Route, RouteName};
use platform_core::kernel::{BoxFuture, Error, Result};

use super::{Call, Op, Scene, close};
use crate::random::Random;
use crate::register::Register;

/// Routes of a run.
pub const ROUTES: usize = 4;

/// All routes.
#[derive(Debug)]
pub struct Routes {
    /// The timeout of each, in milliseconds; `None`: not there.
    pub timeouts: [Register<Option<u32>>; ROUTES],
}

impl Default for Routes {
    fn default() -> Routes {
        Routes { timeouts: [(); ROUTES].map(|()| Register::new(None)) }
    }
}

/// The name of a route.
///
/// # Errors
/// None for these.
pub fn route_name(route: usize) -> Result<RouteName> {
    format!("route{route}").parse()
}

/// Chooses a command.
pub fn plan(random: &mut Random) -> Arc<dyn Op> {
    let route = random.below(ROUTES as u64) as usize;
    let timeout_ms = (!random.happens(250)).then(|| random.within(1, 60) as u32);
    Arc::new(SetRoute { route, timeout_ms })
}

/// A change of a route.
#[derive(Debug, Clone)]
struct SetRoute {
    route: usize,
    timeout_ms: Option<u32>,
}

impl Op for SetRoute {
    fn run<'a>(&'a self, scene: &'a Scene, call: &'a Call) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let name = route_name(self.route)?;
            let begun = scene
                .model
                .lock()
                .routes
                .timeouts
                .get_mut(self.route)
                .map(|route| route.begin(self.timeout_ms));
            let ticket =
                begun.ok_or_else(|| Error::precondition("simulation.nothing_to_do", "no such route"))?;
            let gateway = scene.platform.gateway();
            let result = match self.timeout_ms {
                Some(timeout_ms) => {
                    let route = serde_json::from_value::<Route>(serde_json::json!({
                        "match": {"path": format!("/route{}", self.route)}, "access": "open",
                        "target": {"upstreams": ["http://127.0.0.1:9"]}, "timeout_ms": timeout_ms,
                    }))
                    .map_err(|error| {
                        Error::internal("simulation.route", "a route does not read").because(error)
                    })?;
                    gateway.put(&call.ctx, &name, None, &route).await.map(|route| route.revision)
                }
                None => gateway.delete(&call.ctx, &name, None).await.map(|()| 0),
            };
            if let Some(route) = scene.model.lock().routes.timeouts.get_mut(self.route) {
                close(route, ticket, &result, call);
            }
            result.map(|revision| revision.to_string())
        })
    }

    fn takes_key(&self) -> bool {
        true
    }
}
