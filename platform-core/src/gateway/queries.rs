//! What is asked about routes.

use std::sync::Arc;

use super::model::{NamedRoute, RouteName};
use super::routing::RouteTable;
use super::{GATEWAY_READ, Gateway, error};
use crate::kernel::{Context, Page, PageRequest, Result};
use crate::ports::store::{Document, IndexRange};

impl Gateway {
    /// Reads a route (permission `gateway:read`).
    ///
    /// # Errors
    /// `gateway.route_not_found`, `auth.forbidden`.
    pub async fn get(&self, ctx: &Context, name: &RouteName) -> Result<NamedRoute> {
        ctx.require(&GATEWAY_READ)?;
        let route = self.db.get::<NamedRoute>(name.as_str()).await?;
        Ok(route.ok_or_else(error::route_not_found)?.value)
    }

    /// Lists routes in the order of their names (permission `gateway:read`).
    ///
    /// # Errors
    /// `auth.forbidden`, `request.invalid_limit`, `request.invalid_cursor`.
    pub async fn list(&self, ctx: &Context, page: &PageRequest) -> Result<Page<NamedRoute>> {
        ctx.require(&GATEWAY_READ)?;
        let range =
            IndexRange::ids(NamedRoute::COLLECTION.name).limit(page.limit()?).after(page.cursor.clone());
        Ok(self.db.scan::<NamedRoute>(&range).await?.map(|route| route.value))
    }

    /// The table in force: for whoever forwards requests. One request keeps one table.
    pub fn table(&self) -> Arc<RouteTable> {
        self.memory.table()
    }
}
