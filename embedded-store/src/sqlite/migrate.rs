//! Making the tables, and filling new and changed indexes.

use platform_core::kernel::{Error, Position, Result};
use platform_core::ports::store::{Body, Collection, CommitError, Index, Schema};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::error::storage;
use super::tables::{Table, Tables, create_index, create_side, side_ids, side_table};
use crate::store::unpack;

/// The form of the tables themselves; a file of a later form is refused.
///
/// 2: the position of the last commit is that of the last event, where that is later than the noted one.
const FORMAT: i64 = 2;

/// Documents that are read at once while an index is filled.
const BACKFILL_DOCUMENTS: i64 = 500;

/// Brings the file to the schema, and returns the position of its last commit.
///
/// All of it is one transaction: after a failure the file is what it was.
///
/// # Errors
/// `store.newer_schema`, `store.not_unique`, `store.changed_kind`, `store.damaged`,
/// `store.unavailable`.
pub(super) fn migrate(connection: &mut Connection, schema: &Schema, tables: &Tables) -> Result<Position> {
    let known = Known::read(connection, schema)?;
    let layout = layout(schema);
    if let Some(known) = known
        && known.format == FORMAT
        && known.layout == layout
        && known.schema_version == i64::from(schema.version)
    {
        return Ok(known.position);
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(storage)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS _meta (name TEXT NOT NULL PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS _outbox (place INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT;",
        )
        .map_err(storage)?;
    for table in tables.all() {
        migrate_table(&transaction, schema, table)?;
    }
    let mut set = transaction
        .prepare(
            "INSERT INTO _meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
        )
        .map_err(storage)?;
    set.execute(params!["format", FORMAT]).map_err(storage)?;
    set.execute(params!["schema_version", schema.version]).map_err(storage)?;
    set.execute(params!["layout", layout]).map_err(storage)?;
    drop(set);
    transaction
        .execute("INSERT INTO _meta (name, value) VALUES ('position', 0) ON CONFLICT DO NOTHING", [])
        .map_err(storage)?;
    let position = position(&transaction)?;
    transaction.commit().map_err(storage)?;
    Ok(position)
}

/// The position of the last commit: the noted one, or that of the last event.
fn position(connection: &Connection) -> Result<Position> {
    let noted = "SELECT value FROM _meta WHERE name = 'position'";
    let noted: i64 = connection.query_row(noted, [], |row| row.get(0)).map_err(storage)?;
    let last = "SELECT max(place) FROM _outbox";
    let last: Option<i64> = connection.query_row(last, [], |row| row.get(0)).map_err(storage)?;
    let last = last.map_or(0, |place| unpack(place.cast_unsigned()).commit);
    Ok(noted.cast_unsigned().max(last))
}

/// What a file says of itself.
pub(super) struct Known {
    format: i64,
    schema_version: i64,
    layout: String,
    pub(super) position: Position,
}

impl Known {
    /// `None`: the file is empty.
    ///
    /// # Errors
    /// `store.newer_schema`.
    pub(super) fn read(connection: &Connection, schema: &Schema) -> Result<Option<Known>> {
        let has_meta = connection
            .query_row("SELECT 1 FROM sqlite_schema WHERE name = '_meta'", [], |_| Ok(()))
            .optional()
            .map_err(storage)?;
        if has_meta.is_none() {
            return Ok(None);
        }
        let number = |name: &str| {
            connection
                .query_row("SELECT value FROM _meta WHERE name = ?1", [name], |row| row.get::<_, i64>(0))
                .map_err(storage)
        };
        let newer = |theirs: i64, ours: i64| {
            Error::precondition("store.newer_schema", "a newer version wrote this store")
                .with("store", schema.store)
                .with("theirs", theirs)
                .with("ours", ours)
        };
        let (format, schema_version) = (number("format")?, number("schema_version")?);
        if format > FORMAT {
            return Err(newer(format, FORMAT));
        }
        if schema_version > i64::from(schema.version) {
            return Err(newer(schema_version, i64::from(schema.version)));
        }
        let layout = connection
            .query_row("SELECT value FROM _meta WHERE name = 'layout'", [], |row| row.get(0))
            .map_err(storage)?;
        Ok(Some(Known { format, schema_version, layout, position: position(connection)? }))
    }

    /// Whether the file is already what the schema says.
    pub(super) fn fits(&self, schema: &Schema) -> bool {
        self.format == FORMAT
            && self.layout == layout(schema)
            && self.schema_version == i64::from(schema.version)
    }
}

/// The declared collections and indexes as text: when it has not changed there is nothing to do.
fn layout(schema: &Schema) -> String {
    let mut lines = Vec::new();
    for collection in &schema.collections {
        lines.push(format!("{} {:?}", collection.name, collection.body));
        lines.extend(collection.indexes.iter().map(|i| format!("  {} {}", i.name, signature(collection, i))));
    }
    lines.join("\n")
}

/// What an index was when it was filled.
fn signature(collection: &Collection, index: &Index) -> String {
    let kept = if collection.is_kept && index.many { KEPT } else { "" };
    format!("{}{kept}", meaning(index))
}

/// The end of the signature of an index of many entries without a way from documents to entries.
const KEPT: &str = " kept";

/// What the entries of an index are.
fn meaning(index: &Index) -> String {
    let unique = if index.unique { "unique" } else { "shared" };
    let many = if index.many { "many" } else { "one" };
    format!("{unique} {many} {}", index.version)
}

fn migrate_table(connection: &Connection, schema: &Schema, table: &Table) -> Result<()> {
    let name = table.collection.name;
    let kind = format!("{:?}", table.collection.body);
    let known_kind: Option<String> = get_text(connection, &format!("collection/{name}"))?;
    match known_kind {
        None => return make_table(connection, table, &kind),
        Some(known) if known == kind => {}
        Some(known) => {
            return Err(Error::precondition("store.changed_kind", "a collection holds another kind of body")
                .with("store", schema.store)
                .with("collection", name)
                .with("theirs", known));
        }
    }
    drop_undeclared(connection, table)?;
    let mut changed = Vec::new();
    for index in table.collection.indexes {
        let place = format!("index/{name}/{}", index.name);
        let (known, wanted) = (get_text(connection, &place)?, signature(&table.collection, index));
        if known.as_deref() == Some(wanted.as_str()) {
            continue;
        }
        if wanted.ends_with(KEPT) && known == Some(meaning(index)) {
            let sql = format!("DROP INDEX {}", side_ids(name, index.name));
            connection.execute_batch(&sql).map_err(storage)?;
        } else {
            drop_index(connection, name, index.name)?;
            prepare_index(connection, &table.collection, index)?;
            changed.push(index);
        }
        set_text(connection, &place, &wanted)?;
    }
    if !changed.is_empty() {
        backfill(connection, table, &changed)?;
    }
    for index in changed {
        connection
            .execute_batch(&create_index(name, index))
            .map_err(|error| not_unique(error, name, index))?;
    }
    Ok(())
}

/// A new collection: there is nothing to fill.
fn make_table(connection: &Connection, table: &Table, kind: &str) -> Result<()> {
    let name = table.collection.name;
    let mut sql = table.create();
    for index in table.collection.indexes {
        if index.many {
            sql.push_str(";\n");
            sql.push_str(&create_side(&table.collection, index));
        }
        sql.push_str(";\n");
        sql.push_str(&create_index(name, index));
    }
    connection.execute_batch(&sql).map_err(storage)?;
    set_text(connection, &format!("collection/{name}"), kind)?;
    table.collection.indexes.iter().try_for_each(|index| {
        set_text(connection, &format!("index/{name}/{}", index.name), &signature(&table.collection, index))
    })
}

fn not_unique(error: rusqlite::Error, collection: &'static str, index: &'static Index) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => CommitError::Unique { collection, index: index.name }.into(),
        _ => storage(error),
    }
}

fn get_text(connection: &Connection, name: &str) -> Result<Option<String>> {
    connection
        .query_row("SELECT value FROM _meta WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(storage)
}

fn set_text(connection: &Connection, name: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO _meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
    connection.prepare_cached(sql).and_then(|mut set| set.execute([name, value])).map(|_| ()).map_err(storage)
}

/// Removes indexes that are not declared any more: if they come back, they are filled anew.
fn drop_undeclared(connection: &Connection, table: &Table) -> Result<()> {
    let name = table.collection.name;
    let mut statement = connection
        .prepare("SELECT substr(name, length(?1) + 1) FROM _meta WHERE substr(name, 1, length(?1)) = ?1")
        .map_err(storage)?;
    let prefix = format!("index/{name}/");
    let known = statement
        .query_map([&prefix], |row| row.get::<_, String>(0))
        .and_then(|rows| rows.collect::<rusqlite::Result<Vec<_>>>())
        .map_err(storage)?;
    for index in known.iter().filter(|index| table.collection.index(index).is_none()) {
        drop_index(connection, name, index)?;
        connection
            .execute("DELETE FROM _meta WHERE name = ?1", [format!("{prefix}{index}")])
            .map_err(storage)?;
    }
    Ok(())
}

/// Removes an index in whatever form it is there.
fn drop_index(connection: &Connection, collection: &str, index: &str) -> Result<()> {
    let side = side_table(collection, index);
    let is_side = has(
        connection,
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 || '.' || ?2",
        collection,
        index,
    )?;
    if is_side {
        return connection.execute_batch(&format!("DROP TABLE {side}")).map_err(storage);
    }
    connection.execute_batch(&format!("DROP INDEX IF EXISTS {side}")).map_err(storage)?;
    if has(connection, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2", collection, index)? {
        let sql = format!("ALTER TABLE \"{collection}\" DROP COLUMN \"{index}\"");
        connection.execute_batch(&sql).map_err(storage)?;
    }
    Ok(())
}

fn has(connection: &Connection, sql: &str, collection: &str, index: &str) -> Result<bool> {
    let found = connection.query_row(sql, [collection, index], |_| Ok(())).optional().map_err(storage)?;
    Ok(found.is_some())
}

/// Makes room for the entries of an index.
fn prepare_index(connection: &Connection, collection: &Collection, index: &Index) -> Result<()> {
    let sql = if index.many {
        create_side(collection, index)
    } else {
        let collection = collection.name;
        format!("ALTER TABLE \"{collection}\" ADD COLUMN \"{}\" BLOB", index.name)
    };
    connection.execute_batch(&sql).map_err(storage)
}

fn backfill(connection: &Connection, table: &Table, changed: &[&'static Index]) -> Result<()> {
    let name = table.collection.name;
    let mut page = connection
        .prepare(&format!(
            "SELECT id, body FROM \"{name}\" WHERE id > ?1 ORDER BY id LIMIT {BACKFILL_DOCUMENTS}"
        ))
        .map_err(storage)?;
    let mut last: Vec<u8> = Vec::new();
    loop {
        let documents = page
            .query_map([&last], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec()))
            })
            .and_then(|rows| rows.collect::<rusqlite::Result<Vec<_>>>())
            .map_err(storage)?;
        let Some((id, _)) = documents.last() else { return Ok(()) };
        last.clone_from(id);
        for (id, body) in documents {
            let body = Body::from_bytes(table.collection.body, body)?;
            let entries = table.collection.entries_of(&id, &body)?;
            for entry in &entries {
                let Some(index) = changed.iter().find(|index| index.name == entry.index) else { continue };
                let written = match table.side(index.name) {
                    Some(side) => connection.prepare_cached(&side.insert),
                    None => connection.prepare_cached(&format!(
                        "UPDATE \"{name}\" SET \"{}\" = ?1 WHERE id = ?2",
                        index.name
                    )),
                }
                .and_then(|mut statement| statement.execute(params![entry.entry, id]));
                written.map_err(|error| not_unique(error, name, index))?;
            }
        }
    }
}
