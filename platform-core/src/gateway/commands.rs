//! What changes routes.

use super::events::{RouteDeleted, RouteSet};
use super::model::{NamedRoute, Route, RouteName};
use super::routing::claims;
use super::tables::{Claim, TableDocument, claim_id};
use super::{GATEWAY_WRITE, Gateway, error};
use crate::kernel::{Context, Result};
use crate::ports::store::{Work, command};

/// Routes of the table: a table of this size compiles in about 20 ms.
const ROUTES: usize = 5_000;

impl Gateway {
    /// Sets a route (permission `gateway:write`). `revision` is what the caller has read (`If-Match`). The new
    /// table is in force when this returns; requests under way keep the one they began with.
    ///
    /// # Errors
    /// `gateway.invalid_route` with the JSON pointer of the place, `gateway.route_conflict` with the other
    /// route, `gateway.stale_revision`, `gateway.too_many_routes`, `auth.forbidden`.
    pub async fn put(
        &self,
        ctx: &Context,
        name: &RouteName,
        revision: Option<u64>,
        route: &Route,
    ) -> Result<NamedRoute> {
        ctx.require(&GATEWAY_WRITE)?;
        route.validate()?;
        let done = command(&self.db, ctx, "gateway.put", &(name, revision, route), |mut work| async move {
            let known = work.load::<NamedRoute>(name.as_str()).await?.map(|known| known.value);
            demand_revision(known.as_ref(), revision)?;
            if let Some(known) = known.as_ref().filter(|known| known.route == *route) {
                let known = known.clone();
                return work.reply(known);
            }
            claim(&mut work, name, known.as_ref().map(|known| &known.route), Some(route)).await?;
            let mut table = load_table(&mut work).await?;
            if known.is_none() {
                if table.routes >= ROUTES {
                    return Err(error::too_many_routes(ROUTES));
                }
                table.routes += 1;
            }
            let revision = known.map_or(1, |known| known.revision + 1);
            let set = NamedRoute { name: name.clone(), revision, route: route.clone() };
            work.put(&set)?;
            work.put(&table)?;
            work.publish(&RouteSet { route: name.clone(), revision, table_revision: table.revision })?;
            work.reply(set)
        })
        .await?;
        self.memory.changed(&self.db).await;
        Ok(done.value)
    }

    /// Deletes a route (permission `gateway:write`), effective when this returns.
    ///
    /// # Errors
    /// `gateway.route_not_found`, `gateway.stale_revision`, `auth.forbidden`.
    pub async fn delete(&self, ctx: &Context, name: &RouteName, revision: Option<u64>) -> Result<()> {
        ctx.require(&GATEWAY_WRITE)?;
        command(&self.db, ctx, "gateway.delete", &(name, revision), |mut work| async move {
            let known = work.load::<NamedRoute>(name.as_str()).await?;
            let known = known.ok_or_else(error::route_not_found)?.value;
            demand_revision(Some(&known), revision)?;
            claim(&mut work, name, Some(&known.route), None).await?;
            let mut table = load_table(&mut work).await?;
            table.routes = table.routes.saturating_sub(1);
            work.delete::<NamedRoute>(name.as_str());
            work.put(&table)?;
            work.publish(&RouteDeleted { route: name.clone(), table_revision: table.revision })?;
            work.reply(())
        })
        .await?;
        self.memory.changed(&self.db).await;
        Ok(())
    }
}

fn demand_revision(known: Option<&NamedRoute>, revision: Option<u64>) -> Result<()> {
    let present = known.map_or(0, |known| known.revision);
    match revision {
        Some(revision) if known.is_none() || revision != present => Err(error::stale_revision(present)),
        _ => Ok(()),
    }
}

/// The table, already at its next revision.
async fn load_table(work: &mut Work) -> Result<TableDocument> {
    let table = work.load::<TableDocument>(TableDocument::ID).await?;
    let mut table = table.map(|table| table.value).unwrap_or_default();
    table.revision += 1;
    Ok(table)
}

/// Gives up what the old route answered and takes what the new one does, unless it is another's.
async fn claim(work: &mut Work, name: &RouteName, old: Option<&Route>, new: Option<&Route>) -> Result<()> {
    let wanted = new.map(claims).transpose()?.unwrap_or_default();
    for text in old.map(claims).transpose()?.unwrap_or_default() {
        if !wanted.contains(&text) {
            work.delete::<Claim>(claim_id(&text));
        }
    }
    for text in wanted {
        match work.load::<Claim>(claim_id(&text)).await? {
            Some(claim) if claim.route != *name => return Err(error::route_conflict(claim.route.as_str())),
            Some(_) => {}
            None => work.create(&Claim { text, route: name.clone() })?,
        }
    }
    Ok(())
}
