//! Making the tables of a store, and changing them when what is declared has changed: once, under a lock.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use platform_core::kernel::{Error, Position, Result};
use platform_core::ports::store::{Body, Collection, CommitError, Index};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::{column, damaged, position, unavailable};
use super::known::body;
use super::layout::{Layout, body_columns, body_type};

/// Documents whose entries are computed at once.
const PAGE: i64 = 500;
/// The oldest server that this is tested with.
const OLDEST: i32 = 150_000;

/// A store as it was opened.
pub(super) struct Opened {
    /// The position of the last commit.
    pub(super) position: Position,
    /// Moves with every change of the tables: a node that knows an older one must not write.
    pub(super) layout: i64,
}

/// What is declared, by collection and index; a collection stands there under the index `""`.
type Catalogue = BTreeMap<(String, String), String>;

/// The head and the catalogue of a store that is there.
struct Stored {
    opened: Opened,
    version: i32,
    catalogue: Catalogue,
}

/// Opens a store: makes or changes its tables when they are not as declared.
///
/// # Errors
/// As `Stores::open`.
pub(super) async fn open(client: &Client, layout: &Layout) -> Result<Opened> {
    check_server(client).await?;
    if let Some(stored) = read(client, layout).await?
        && is_as_declared(&stored, layout)?
    {
        return Ok(stored.opened);
    }
    let lock = format!(
        "begin; set local statement_timeout = 0; set local lock_timeout = '60s'; \
         set local idle_in_transaction_session_timeout = '60s'; select pg_advisory_xact_lock({})",
        layout.lock()
    );
    client.batch_execute(&lock).await.map_err(unavailable)?;
    let changed = change(client, layout).await;
    let end = if changed.is_ok() { "commit" } else { "rollback" };
    let ended = client.batch_execute(end).await.map_err(unavailable);
    changed.and_then(|opened| ended.map(|()| opened))
}

async fn check_server(client: &Client) -> Result<()> {
    let text = "select current_setting('server_version_num')::int4, current_setting('server_encoding')";
    let row = client.query_one(text, &[]).await.map_err(unavailable)?;
    let (version, encoding): (i32, &str) = (column(&row, 0)?, column(&row, 1)?);
    if version < OLDEST {
        return Err(Error::precondition("store.old_server", "PostgreSQL 15 or newer is needed")
            .with("server_version_num", version));
    }
    if encoding != "UTF8" {
        return Err(Error::precondition("store.wrong_encoding", "the database's encoding must be UTF8")
            .with("encoding", encoding));
    }
    Ok(())
}

/// What is stored; `None` when there is nothing.
async fn read(client: &Client, layout: &Layout) -> Result<Option<Stored>> {
    let head = layout.own("_head");
    let exists = "select to_regclass($1) is not null";
    let row = client.query_one(exists, &[&head]).await.map_err(unavailable)?;
    if !column::<bool>(&row, 0)? {
        return Ok(None);
    }
    let text = format!("select position, layout, schema_version from {head}");
    let Some(row) = client.query_opt(&text, &[]).await.map_err(unavailable)? else { return Ok(None) };
    let opened = Opened { position: position(&row, 0)?, layout: column(&row, 1)? };
    let text = format!("select collection, \"index\", declared from {}", layout.own("_catalogue"));
    let mut catalogue = Catalogue::new();
    for row in client.query(&text, &[]).await.map_err(unavailable)? {
        catalogue.insert((column(&row, 0)?, column(&row, 1)?), column(&row, 2)?);
    }
    Ok(Some(Stored { opened, version: column(&row, 2)?, catalogue }))
}

fn schema_version(layout: &Layout) -> i32 {
    i32::try_from(layout.declared.version).unwrap_or(i32::MAX)
}

fn is_as_declared(stored: &Stored, layout: &Layout) -> Result<bool> {
    let ours = schema_version(layout);
    if stored.version > ours {
        return Err(Error::precondition("store.newer_schema", "a newer version wrote this store")
            .with("theirs", stored.version)
            .with("ours", ours));
    }
    // What an older declaration had and this one has not is kept: a collection that nobody writes stays as it is.
    let known = |collection: &str| layout.declared.collection(collection).is_some();
    let stored_here: Catalogue = stored
        .catalogue
        .iter()
        .filter(|((collection, _), _)| known(collection))
        .map(|(key, declared)| (key.clone(), declared.clone()))
        .collect();
    Ok(stored.version == ours && stored_here == catalogue(layout))
}

fn catalogue(layout: &Layout) -> Catalogue {
    let mut all = Catalogue::new();
    for collection in &layout.declared.collections {
        let name = collection.name.to_owned();
        all.insert((name.clone(), String::new()), body_type(collection.body).to_owned());
        for index in collection.indexes {
            all.insert((name.clone(), index.name.to_owned()), described(index));
        }
    }
    all
}

/// What of an index has to be the same, or it is made anew.
fn described(index: &Index) -> String {
    let unique = if index.unique { "unique " } else { "" };
    let many = if index.many { "many " } else { "" };
    format!("{unique}{many}version {}", index.version)
}

/// Within the transaction that holds the lock: no other node opens this store, or writes to it.
async fn change(client: &Client, layout: &Layout) -> Result<Opened> {
    let mut text = format!("create schema if not exists {};", layout.schema());
    own_tables(layout, &mut text);
    client.batch_execute(&text).await.map_err(unavailable)?;
    let lock = format!("select 1 from {} for update", layout.own("_head"));
    client.query(&lock, &[]).await.map_err(unavailable)?;
    let stored = read(client, layout).await?.ok_or_else(|| damaged("the head"))?;
    if is_as_declared(&stored, layout)? {
        return Ok(stored.opened);
    }
    let mut fills = Vec::new();
    let (mut before, mut after) = (String::new(), String::new());
    for collection in &layout.declared.collections {
        let new = differing(collection, &stored.catalogue);
        prepare(layout, collection, &new, &stored.catalogue, &mut before);
        finish(layout, collection, &new, &mut after);
        let is_old = stored.catalogue.contains_key(&(collection.name.to_owned(), String::new()));
        if is_old && !new.is_empty() {
            fills.push((collection, new));
        }
    }
    client.batch_execute(&before).await.map_err(unavailable)?;
    for (collection, new) in fills {
        fill(client, layout, collection, &new).await?;
    }
    client.batch_execute(&after).await.map_err(|error| duplicates(layout, error))?;
    note(client, layout).await?;
    Ok(Opened { position: stored.opened.position, layout: stored.opened.layout + 1 })
}

fn own_tables(layout: &Layout, text: &mut String) {
    let [head, catalogue, outbox] = ["_head", "_catalogue", "_outbox"].map(|name| layout.own(name));
    // The head is written with every commit: room on its page keeps its versions there.
    let _ = write!(
        text,
        "create table if not exists {head} (
            only_row bool primary key default true check (only_row),
            position int8 not null, layout int8 not null, schema_version int4 not null) with (fillfactor = 10);
         insert into {head} (position, layout, schema_version) values (0, 0, 0) on conflict do nothing;
         create table if not exists {catalogue} (
            collection text, \"index\" text, declared text not null, primary key (collection, \"index\"));
         create table if not exists {outbox} (
            \"commit\" int8, \"index\" int4, event json not null, primary key (\"commit\", \"index\"));"
    );
}

/// The indexes of a collection that are not stored as declared.
fn differing(collection: &Collection, stored: &Catalogue) -> Vec<&'static Index> {
    let is_stored = |index: &&Index| {
        stored.get(&(collection.name.to_owned(), index.name.to_owned())) == Some(&described(index))
    };
    collection.indexes.iter().filter(|index| !is_stored(index)).collect()
}

/// What comes before the filling: the table, without what is stored otherwise, with empty places for what is new.
fn prepare(
    layout: &Layout,
    collection: &Collection,
    new: &[&'static Index],
    stored: &Catalogue,
    text: &mut String,
) {
    let table = layout.table(collection.name);
    let body = body_type(collection.body);
    let _ = write!(
        text,
        "create table if not exists {table} (id bytea primary key, version int8 not null, body {body} not null);"
    );
    for (of, index) in stored.keys().filter(|(of, index)| of == collection.name && !index.is_empty()) {
        let is_kept = collection.index(index).is_some() && !new.iter().any(|new| new.name == index);
        if !is_kept {
            let (column, side) = (Layout::column(index), layout.side(of, index));
            let _ = write!(
                text,
                "alter table {table} drop column if exists {column}; drop table if exists {side};"
            );
        }
    }
    for index in new {
        let _ = if index.many {
            let side = layout.side(collection.name, index.name);
            write!(text, "create table {side} (entry bytea not null, id bytea not null);")
        } else {
            write!(text, "alter table {table} add column {} bytea;", Layout::column(index.name))
        };
    }
}

/// What comes after it: the b-trees. A unique entry may move between documents within a statement.
fn finish(layout: &Layout, collection: &Collection, new: &[&'static Index], text: &mut String) {
    let table = layout.table(collection.name);
    for index in new {
        let (column, tree) = (Layout::column(index.name), Layout::tree(collection.name, index.name));
        let _ = if index.many {
            let side = layout.side(collection.name, index.name);
            let key = if index.unique { "entry" } else { "entry, id" };
            write!(text, "alter table {side} add primary key ({key}); create index on {side} (id);")
        } else if index.unique {
            write!(
                text,
                "alter table {table} add constraint {tree} unique ({column}) deferrable initially immediate;"
            )
        } else {
            write!(text, "create index {tree} on {table} ({column}, id) where {column} is not null;")
        };
    }
}

/// Which unique index does not hold, if it is that.
fn duplicates(layout: &Layout, error: tokio_postgres::Error) -> Error {
    let said = error.as_db_error().filter(|said| *said.code() == SqlState::UNIQUE_VIOLATION);
    let place = said.and_then(|said| {
        let (table, constraint) = (said.table()?, said.constraint()?);
        layout.declared.collections.iter().find_map(|collection| {
            let index = collection.indexes.iter().find(|index| {
                layout.side(collection.name, index.name).ends_with(&format!("\"{table}\""))
                    || Layout::tree(collection.name, index.name) == format!("\"{constraint}\"")
            })?;
            Some((collection.name, index.name))
        })
    });
    match place {
        Some((collection, index)) => CommitError::Unique { collection, index }.into(),
        None => unavailable(error),
    }
}

/// Computes the entries of what is stored already.
async fn fill(
    client: &Client,
    layout: &Layout,
    collection: &Collection,
    new: &[&'static Index],
) -> Result<()> {
    let mut after: Vec<u8> = Vec::new();
    loop {
        let page = page(client, layout, collection, &after).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        let mut entries = Vec::new();
        for (id, body) in &page {
            for entry in collection.entries_of(id, body)? {
                entries.push((id.clone(), entry));
            }
        }
        for index in new {
            let of_index = entries.iter().filter(|(_, entry)| entry.index == index.name);
            let (ids, values): (Vec<&[u8]>, Vec<&[u8]>) =
                of_index.map(|(id, entry)| (id.as_slice(), entry.entry.as_slice())).unzip();
            let text = if index.many {
                let side = layout.side(collection.name, index.name);
                format!("insert into {side} (id, entry) select * from unnest($1::bytea[], $2::bytea[])")
            } else {
                let (table, column) = (layout.table(collection.name), Layout::column(index.name));
                format!(
                    "update {table} t set {column} = n.e from unnest($1::bytea[], $2::bytea[]) as n (i, e) \
                     where t.id = n.i"
                )
            };
            client.execute(&text, &[&ids, &values]).await.map_err(unavailable)?;
        }
    }
}

async fn page(
    client: &Client,
    layout: &Layout,
    collection: &Collection,
    after: &[u8],
) -> Result<Vec<(Vec<u8>, Body)>> {
    let (table, columns) = (layout.table(collection.name), body_columns(collection.body, "body"));
    let text = format!("select id, version, {columns} from {table} where id > $1 order by id limit {PAGE}");
    let rows = client.query(&text, &[&after]).await.map_err(unavailable)?;
    let document = |row| Ok((column(row, 0)?, body(row)?.ok_or_else(|| damaged("a body"))?));
    rows.iter().map(document).collect()
}

/// Notes what is declared now.
async fn note(client: &Client, layout: &Layout) -> Result<()> {
    let catalogue_table = layout.own("_catalogue");
    let mut text = String::new();
    for collection in &layout.declared.collections {
        let _ = write!(text, "delete from {catalogue_table} where collection = '{}';", collection.name);
    }
    for ((collection, index), declared) in catalogue(layout) {
        let _ =
            write!(text, "insert into {catalogue_table} values ('{collection}', '{index}', '{declared}');");
    }
    let _ = write!(
        text,
        "update {} set layout = layout + 1, schema_version = {}",
        layout.own("_head"),
        schema_version(layout)
    );
    client.batch_execute(&text).await.map_err(unavailable)
}
