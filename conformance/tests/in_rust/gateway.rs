//! The methods of the gateway.

use platform_core::gateway::{NamedRoute, Route, RouteName};
use platform_core::kernel::{Error, Result};
use serde_json::Value;

use crate::shapes::{gathered, plain};
use crate::table::methods;

methods! { gateway:
    call put(name: RouteName, definition: Value, revision: Option<u64>) |platform, context| {
        let route = read(definition)?;
        platform.gateway().put(&context, &name, revision, &route).await
    } => shown;
    call delete(name: RouteName, revision: Option<u64>) |platform, context|
        platform.gateway().delete(&context, &name, revision).await => plain;
    call get(name: RouteName) |platform, context| platform.gateway().get(&context, &name).await => shown;
    list list() |platform, context, page| platform.gateway().list(&context, &page).await => shown;
}

fn read(definition: Value) -> Result<Route> {
    serde_json::from_value(definition)
        .map_err(|error| Error::invalid("gateway.invalid_route", error.to_string()))
}

fn shown(route: NamedRoute) -> Value {
    gathered(plain(route), &["name", "revision"], "definition")
}
