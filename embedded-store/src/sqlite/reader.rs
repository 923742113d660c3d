//! Reading: connections of their own, which never wait for the writer.

use std::ops::Bound;
use std::path::PathBuf;

use parking_lot::Mutex;
use platform_core::kernel::{EventPosition, Position, Result};
use platform_core::ports::store::{Body, BodyKind, Doc, DocKey, IndexRange, OutboxEvents, ScanPage};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::connection::open_reader;
use super::error::storage;
use super::tables::{Table, Tables, side_table};
use crate::store::{pack, unpack};

/// Connections that are kept; more are opened for a moment when more are in use at once. Reads run in
/// the caller's own task, so that is no more than the runtime has workers.
const KEPT: usize = 4;

/// Reading connections, opened as they are needed.
pub(super) struct Readers {
    path: PathBuf,
    free: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        Readers { path, free: Mutex::default() }
    }

    /// Runs `read` on a free connection, in the caller's task: a point read takes about 10 µs and a
    /// full page of a scan below a millisecond, less than a trip through a pool of threads costs.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let free = self.free.lock().pop();
        let connection = match free {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let result = read(&connection);
        let mut free = self.free.lock();
        if free.len() < KEPT && connection.is_autocommit() {
            free.push(connection);
        }
        result
    }
}

/// The place of an event as SQL has it.
pub(super) fn place_of(position: EventPosition) -> i64 {
    pack(position).cast_signed()
}

/// The body in a column.
pub(super) fn body_at(row: &Row<'_>, column: usize, kind: BodyKind) -> rusqlite::Result<Body> {
    let bytes = match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => {
            return Err(rusqlite::Error::InvalidColumnType(
                column,
                "body".into(),
                rusqlite::types::Type::Null,
            ));
        }
    };
    match kind {
        BodyKind::Binary => Ok(Body::Binary(bytes.to_vec())),
        BodyKind::Json => std::str::from_utf8(bytes)
            .map(|text| Body::Json(text.to_owned()))
            .map_err(|error| rusqlite::Error::Utf8Error(column, error)),
    }
}

pub(super) fn version_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Position> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// The documents under keys, from one snapshot.
pub(super) fn get(connection: &Connection, tables: &Tables, keys: &[DocKey]) -> Result<Vec<Option<Doc>>> {
    let one = |key: &DocKey| {
        let table = tables.of(key.collection)?;
        let mut statement = connection.prepare_cached(&table.get).map_err(storage)?;
        statement
            .query_row([&key.id], |row| {
                Ok(Doc {
                    id: key.id.clone(),
                    version: version_at(row, 0)?,
                    body: body_at(row, 1, table.collection.body)?,
                })
            })
            .optional()
            .map_err(storage)
    };
    // A single statement is a snapshot of its own.
    if let [key] = keys {
        return Ok(vec![one(key)?]);
    }
    let snapshot = connection.unchecked_transaction().map_err(storage)?;
    let documents = keys.iter().map(one).collect::<Result<Vec<_>>>()?;
    snapshot.finish().map_err(storage)?;
    Ok(documents)
}

/// A page of a collection: one statement, thus one snapshot.
pub(super) fn scan(connection: &Connection, tables: &Tables, range: &IndexRange) -> Result<ScanPage> {
    let table = tables.of(range.collection)?;
    let source = Source::of(table, range)?;
    let mut query = Query::default();
    query.bounds(&source, range)?;
    let sql = query.sql(&source, range);
    let mut statement = connection.prepare_cached(&sql).map_err(storage)?;
    let hits = statement
        .query_map(params_from_iter(&query.values), |row| {
            let doc = Doc {
                id: row.get(1)?,
                version: version_at(row, 2)?,
                body: body_at(row, 3, table.collection.body)?,
            };
            Ok((row.get(0)?, doc))
        })
        .and_then(|rows| rows.collect::<rusqlite::Result<Vec<_>>>())
        .map_err(storage)?;
    Ok(ScanPage::from_hits(range.limit, hits))
}

/// Where a scan reads, in SQL.
struct Source {
    /// The column of the entry (or id).
    entry: String,
    /// The column of the id, unless the entry alone gives the order.
    id: Option<&'static str>,
    /// SELECT … FROM …
    select: String,
    /// A condition that always stands there.
    always: Option<String>,
}

impl Source {
    fn of(table: &Table, range: &IndexRange) -> Result<Source> {
        let name = table.collection.name;
        let Some(index) = range.index else {
            return Ok(Source {
                entry: "id".into(),
                id: None,
                select: format!("SELECT id, id, version, body FROM \"{name}\""),
                always: None,
            });
        };
        let index = table.collection.index(index).ok_or_else(|| {
            platform_core::kernel::Error::invalid("store.undeclared", "not declared in the schema")
                .with("index", index)
        })?;
        let column = index.name;
        if index.many {
            let side = side_table(name, column);
            return Ok(Source {
                entry: "s.entry".into(),
                id: Some("s.id"),
                // CROSS JOIN: SQLite keeps the order of the tables.
                select: format!(
                    "SELECT s.entry, d.id, d.version, d.body FROM {side} s CROSS JOIN \"{name}\" d ON d.id = s.id"
                ),
                always: None,
            });
        }
        Ok(Source {
            entry: format!("\"{column}\""),
            id: if index.unique { None } else { Some("id") },
            select: format!("SELECT \"{column}\", id, version, body FROM \"{name}\""),
            always: Some(format!("\"{column}\" IS NOT NULL")),
        })
    }
}

#[derive(Default)]
struct Query {
    conditions: Vec<String>,
    values: Vec<Vec<u8>>,
}

impl Query {
    fn compare(&mut self, column: &str, operator: &str, value: &[u8]) {
        self.conditions.push(format!("{column} {operator} ?"));
        self.values.push(value.to_vec());
    }

    /// The bounds, or in place of the one where the scan begins the place after the cursor.
    fn bounds(&mut self, source: &Source, range: &IndexRange) -> Result<()> {
        self.conditions.extend(source.always.clone());
        let after = range.after_within()?;
        if after.is_none() || range.reverse {
            match &range.from {
                Bound::Unbounded => {}
                Bound::Included(from) => self.compare(&source.entry, ">=", from),
                Bound::Excluded(from) => self.compare(&source.entry, ">", from),
            }
        }
        if after.is_none() || !range.reverse {
            match &range.to {
                Bound::Unbounded => {}
                Bound::Included(to) => self.compare(&source.entry, "<=", to),
                Bound::Excluded(to) => self.compare(&source.entry, "<", to),
            }
        }
        if let Some((entry, id)) = after {
            let operator = if range.reverse { "<" } else { ">" };
            match source.id {
                None => self.compare(&source.entry, operator, &entry),
                Some(column) => {
                    self.conditions.push(format!("({}, {column}) {operator} (?, ?)", source.entry));
                    self.values.push(entry);
                    self.values.push(id);
                }
            }
        }
        Ok(())
    }

    fn sql(&self, source: &Source, range: &IndexRange) -> String {
        let direction = if range.reverse { "DESC" } else { "ASC" };
        let conditions = match self.conditions.as_slice() {
            [] => String::new(),
            conditions => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let by_id = source.id.map(|id| format!(", {id} {direction}")).unwrap_or_default();
        // The limit is a number that was checked; as text it lets SQLite plan with it.
        let (select, entry, limit) = (&source.select, &source.entry, range.limit + 1);
        format!("{select}{conditions} ORDER BY {entry} {direction}{by_id} LIMIT {limit}")
    }
}

/// Events after a place.
pub(super) fn outbox(connection: &Connection, after: EventPosition, limit: usize) -> Result<OutboxEvents> {
    connection
        .prepare_cached("SELECT place, event FROM _outbox WHERE place > ?1 ORDER BY place LIMIT ?2")
        .and_then(|mut statement| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map([place_of(after), limit], |row| {
                let event = row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec();
                Ok((unpack(row.get::<_, i64>(0)?.cast_unsigned()), event))
            })?;
            rows.collect()
        })
        .map_err(storage)
}
