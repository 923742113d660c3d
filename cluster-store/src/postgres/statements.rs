//! What a writer says to PostgreSQL, prepared once for each of its connections: under the lock no text is read.

use std::collections::BTreeMap;

use platform_core::kernel::{BoxFuture, Error, Result};
use platform_core::ports::store::{Collection, Index};
use tokio_postgres::{Client, Statement};

use super::connection::in_one_trip;
use super::error::unavailable;
use super::layout::{Layout, body_columns, body_type, columns, sides};

/// All statements of a writer.
pub(super) struct Statements {
    /// Locks the head: position, layout, the transaction's number, the connection's process.
    pub(super) lock: Statement,
    /// Moves the position.
    pub(super) advance: Statement,
    /// Adds events to the outbox.
    pub(super) publish: Statement,
    collections: BTreeMap<&'static str, OfCollection>,
}

/// Those of a collection.
pub(super) struct OfCollection {
    /// `id, version, body as text, body as bytes`, then the unique columns, of some ids; no body.
    pub(super) look: Statement,
    /// The same, with the bodies.
    pub(super) read: Statement,
    /// Creates or replaces documents, with the columns of their indexes.
    pub(super) put: Statement,
    /// Removes documents.
    pub(super) delete: Statement,
    /// `entry, id` of some entries of each unique index.
    pub(super) owners: BTreeMap<&'static str, Statement>,
    /// Those of each index that has a table of its own.
    pub(super) sides: BTreeMap<&'static str, OfSide>,
}

/// Those of an index that has a table of its own.
pub(super) struct OfSide {
    /// `id, entry` of some ids.
    pub(super) held: Statement,
    /// Removes the entries of some ids.
    pub(super) clear: Statement,
    /// Adds entries.
    pub(super) add: Statement,
}

impl Statements {
    /// Prepares all of them.
    ///
    /// # Errors
    /// `store.unavailable`.
    pub(super) async fn prepare(client: &Client, layout: &Layout) -> Result<Statements> {
        let texts = texts(layout);
        let requests: Vec<BoxFuture<'_, Result<Statement, tokio_postgres::Error>>> =
            texts.iter().map(|text| Box::pin(client.prepare(text)) as _).collect();
        let mut prepared = Vec::with_capacity(texts.len());
        for statement in in_one_trip(requests).await {
            prepared.push(statement.map_err(unavailable)?);
        }
        let mut prepared = prepared.into_iter();
        let mut next =
            || prepared.next().ok_or_else(|| Error::internal("store.statements", "one is missing"));
        let (lock, advance, publish) = (next()?, next()?, next()?);
        let mut collections = BTreeMap::new();
        for collection in &layout.declared.collections {
            let (look, read, put, delete) = (next()?, next()?, next()?, next()?);
            let mut owners = BTreeMap::new();
            for index in collection.indexes.iter().filter(|index| index.unique) {
                owners.insert(index.name, next()?);
            }
            let mut of_sides = BTreeMap::new();
            for index in sides(collection) {
                of_sides.insert(index.name, OfSide { held: next()?, clear: next()?, add: next()? });
            }
            collections
                .insert(collection.name, OfCollection { look, read, put, delete, owners, sides: of_sides });
        }
        Ok(Statements { lock, advance, publish, collections })
    }

    /// Those of a declared collection.
    pub(super) fn of(&self, collection: &str) -> Result<&OfCollection> {
        self.collections
            .get(collection)
            .ok_or_else(|| Error::internal("store.statements", "a collection is missing"))
    }
}

/// The texts, in the order in which [`Statements::prepare`] takes them.
fn texts(layout: &Layout) -> Vec<String> {
    let (head, outbox) = (layout.own("_head"), layout.own("_outbox"));
    let mut texts = vec![
        format!(
            "select position, layout, pg_current_xact_id()::text, pg_backend_pid() from {head} for update"
        ),
        format!("update {head} set position = $1"),
        format!(
            "insert into {outbox} (\"commit\", \"index\", event) \
             select c, i, e::json from unnest($1::int8[], $2::int4[], $3::text[]) as t (c, i, e)"
        ),
    ];
    for collection in &layout.declared.collections {
        let table = layout.table(collection.name);
        let uniques: String =
            unique_columns(collection).map(|index| format!(", {}", Layout::column(index.name))).collect();
        let body = body_columns(collection.body, "body");
        texts.push(format!(
            "select id, version, null::text, null::bytea{uniques} from {table} where id = any($1)"
        ));
        texts.push(format!("select id, version, {body}{uniques} from {table} where id = any($1)"));
        texts.push(put(&table, collection));
        texts.push(format!("delete from {table} where id = any($1)"));
        for index in collection.indexes.iter().filter(|index| index.unique) {
            texts.push(if index.many {
                let side = layout.side(collection.name, index.name);
                format!("select entry, id from {side} where entry = any($1)")
            } else {
                let column = Layout::column(index.name);
                format!("select {column}, id from {table} where {column} = any($1)")
            });
        }
        for index in sides(collection) {
            let side = layout.side(collection.name, index.name);
            texts.push(format!("select id, entry from {side} where id = any($1)"));
            texts.push(format!("delete from {side} where id = any($1)"));
            texts.push(format!(
                "insert into {side} (entry, id) select e, i from unnest($1::bytea[], $2::bytea[]) as t (e, i)"
            ));
        }
    }
    texts
}

/// The unique indexes that are columns, in the order in which they are read.
pub(super) fn unique_columns(collection: &Collection) -> impl Iterator<Item = &'static Index> + use<> {
    columns(collection).filter(|index| index.unique)
}

fn put(table: &str, collection: &Collection) -> String {
    let names: Vec<String> = columns(collection).map(|index| Layout::column(index.name)).collect();
    let list = |part: &dyn Fn(usize, &str) -> String| -> String {
        names.iter().enumerate().map(|(at, name)| format!(", {}", part(at, name))).collect()
    };
    let body = match body_type(collection.body) {
        "json" => ("text[]", "b::json"),
        _ => ("bytea[]", "b"),
    };
    format!(
        "insert into {table} (id, version, body{}) \
         select i, v, {}{} from unnest($1::bytea[], $2::int8[], $3::{}{}) as t (i, v, b{}) \
         on conflict (id) do update set version = excluded.version, body = excluded.body{}",
        list(&|_, name| name.to_owned()),
        body.1,
        list(&|at, _| format!("c{at}")),
        body.0,
        list(&|at, _| format!("${}::bytea[]", at + 4)),
        list(&|at, _| format!("c{at}")),
        list(&|_, name| format!("{name} = excluded.{name}")),
    )
}
