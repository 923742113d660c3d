//! `platform.gateway`.

use platform_core::gateway::{NamedRoute, Route as Definition, RouteName};
use platform_core::kernel::{Error, Result};
use serde_json::{Map, Value};

use crate::domain::domain;
use crate::record::record;
use crate::values::{JsonObject, Name};

record! {
    /// A route.
    Route(it: NamedRoute) {
        /// Its name.
        name: Name<RouteName> = Name(it.name.clone());
        /// Counts its changes, from 1.
        revision: u64 = it.revision;
        /// Which requests it takes, who may send them, and where they go: the JSON of the REST interface.
        definition: JsonObject = JsonObject(object(&it.route));
    }
}

domain! {
    /// Routes, and who may use them. They are data: the server that forwards requests is the binary.
    Gateway, AsyncGateway;

    /// Sets a route (permission ``gateway:write``). ``definition`` is the JSON of the REST interface. ``revision`` is what the
    /// caller has read: when it is not true any more, nothing changes.
    ///
    /// Raises ``InvalidInputError`` (``gateway.invalid_route``, with the place), ``ConflictError``
    /// (``gateway.route_conflict``), ``FailedPreconditionError`` (``gateway.stale_revision``).
    command put(name: Name<RouteName>, definition: JsonObject; revision: Option<u64> = None) -> Route,
    example {
        /// >>> p.gateway.put("orders", {
        /// ...     "match": {"path": "/orders/{*rest}"},
        /// ...     "access": "signed_in",
        /// ...     "target": {"upstreams": ["http://127.0.0.1:8080"]},
        /// ... }).revision
        /// 1
    },
    |platform, context| {
        let route = route(definition)?;
        platform.gateway().put(&context, &name.0, revision, &route).await
    };

    /// Deletes a route (permission ``gateway:write``), effective when this returns.
    ///
    /// Raises ``NotFoundError`` (``gateway.route_not_found``), ``FailedPreconditionError`` (``gateway.stale_revision``).
    command delete(name: Name<RouteName>; revision: Option<u64> = None) -> (),
    example {
        /// >>> route = p.gateway.put("orders", {
        /// ...     "match": {"path": "/orders"}, "access": "open", "target": {"upstreams": ["http://127.0.0.1:8080"]},
        /// ... })
        /// >>> p.gateway.delete("orders")
    },
    |platform, context| platform.gateway().delete(&context, &name.0, revision).await;

    /// A route (permission ``gateway:read``).
    ///
    /// Raises ``NotFoundError`` (``gateway.route_not_found``).
    query get(name: Name<RouteName>) -> Route,
    example {
        /// >>> route = p.gateway.put("orders", {
        /// ...     "match": {"path": "/orders"}, "access": "open", "target": {"upstreams": ["http://127.0.0.1:8080"]},
        /// ... })
        /// >>> p.gateway.get("orders").definition["access"]
        /// 'open'
    },
    |platform, context| platform.gateway().get(&context, &name.0).await;

    /// The routes in the order of their names (permission ``gateway:read``).
    pages list() -> Route,
    example {
        /// >>> [route.name for route in p.gateway.list()]
        /// []
    },
    |platform, context, page| platform.gateway().list(&context, &page).await;
}

fn object(route: &Definition) -> Map<String, Value> {
    match serde_json::to_value(route) {
        Ok(Value::Object(fields)) => fields,
        // A route is an object of JSON, always.
        _ => Map::new(),
    }
}

fn route(definition: JsonObject) -> Result<Definition> {
    serde_json::from_value(Value::Object(definition.0))
        .map_err(|error| Error::invalid("gateway.invalid_route", error.to_string()))
}
