//! How collections stand in SQL: a table each, a column for each index with one entry per document, a
//! side table for each index with many.
//!
//! Tables of JSON documents are clustered by id (`WITHOUT ROWID`): one b-tree less to write. Tables of
//! binary documents hold large blocks, which belong behind a row number.

use platform_core::kernel::{Error, Result};
use platform_core::ports::store::{BodyKind, Collection, Index, Schema};

/// An index with many entries per document.
pub(super) struct Side {
    pub(super) index: &'static Index,
    pub(super) entries_of: String,
    pub(super) insert: String,
    pub(super) delete: String,
    pub(super) delete_all: String,
    pub(super) owner: String,
}

/// The statements of a collection.
pub(super) struct Table {
    pub(super) collection: Collection,
    /// Indexes that stand in columns, in the order of their parameters (from ?3 on).
    pub(super) columns: Vec<&'static Index>,
    pub(super) sides: Vec<Side>,
    pub(super) get: String,
    /// Version, and the columns of unique indexes in the order of `columns`.
    pub(super) previous: String,
    pub(super) body: String,
    /// Parameters: id, version, columns, body.
    pub(super) insert: String,
    /// The same parameters.
    pub(super) update: String,
    pub(super) clear_uniques: String,
    /// For each unique index in a column: who has an entry.
    pub(super) owners: Vec<(&'static str, String)>,
    pub(super) delete: String,
}

/// The statements of all collections.
pub(super) struct Tables(Vec<Table>);

impl Tables {
    pub(super) fn new(schema: &Schema) -> Tables {
        Tables(schema.collections.iter().map(Table::new).collect())
    }

    pub(super) fn all(&self) -> &[Table] {
        &self.0
    }

    /// # Errors
    /// `store.undeclared`.
    pub(super) fn of(&self, collection: &str) -> Result<&Table> {
        self.0.iter().find(|table| table.collection.name == collection).ok_or_else(|| {
            Error::invalid("store.undeclared", "not declared in the schema").with("collection", collection)
        })
    }
}

impl Table {
    fn new(collection: &Collection) -> Table {
        let name = collection.name;
        let columns: Vec<&'static Index> = collection.indexes.iter().filter(|index| !index.many).collect();
        let body = columns.len() + 3;
        let names: String = columns.iter().map(|index| format!("\"{}\", ", index.name)).collect();
        let parameters: String = (3..body).map(|at| format!("?{at}, ")).collect();
        let sets: String =
            columns.iter().zip(3..).map(|(index, at)| format!("\"{}\" = ?{at}, ", index.name)).collect();
        let uniques: Vec<_> = columns.iter().filter(|index| index.unique).collect();
        let unique_names: String = uniques.iter().map(|index| format!(", \"{}\"", index.name)).collect();
        let clear: Vec<_> = uniques.iter().map(|index| format!("\"{}\" = NULL", index.name)).collect();
        Table {
            get: format!("SELECT version, body FROM \"{name}\" WHERE id = ?1"),
            previous: format!("SELECT version{unique_names} FROM \"{name}\" WHERE id = ?1"),
            body: format!("SELECT body FROM \"{name}\" WHERE id = ?1"),
            insert: format!(
                "INSERT INTO \"{name}\" (id, version, {names}body) VALUES (?1, ?2, {parameters}?{body})"
            ),
            update: format!("UPDATE \"{name}\" SET version = ?2, {sets}body = ?{body} WHERE id = ?1"),
            clear_uniques: format!("UPDATE \"{name}\" SET {} WHERE id = ?1", clear.join(", ")),
            delete: format!("DELETE FROM \"{name}\" WHERE id = ?1"),
            owners: uniques
                .iter()
                .map(|index| (index.name, format!("SELECT id FROM \"{name}\" WHERE \"{}\" = ?1", index.name)))
                .collect(),
            sides: collection
                .indexes
                .iter()
                .filter(|index| index.many)
                .map(|index| Side::new(name, index))
                .collect(),
            columns,
            collection: *collection,
        }
    }

    /// The side table of an index.
    pub(super) fn side(&self, index: &str) -> Option<&Side> {
        self.sides.iter().find(|side| side.index.name == index)
    }

    /// The statement that makes the table, without its indexes.
    pub(super) fn create(&self) -> String {
        let name = self.collection.name;
        let columns: String =
            self.columns.iter().map(|index| format!("  \"{}\" BLOB,\n", index.name)).collect();
        match self.collection.body {
            BodyKind::Json => format!(
                "CREATE TABLE \"{name}\" (\n  id BLOB NOT NULL PRIMARY KEY,\n  version INTEGER NOT NULL,\n{columns}  body TEXT NOT NULL\n) WITHOUT ROWID"
            ),
            BodyKind::Binary => format!(
                "CREATE TABLE \"{name}\" (\n  id BLOB NOT NULL UNIQUE,\n  version INTEGER NOT NULL,\n{columns}  body BLOB NOT NULL\n)"
            ),
        }
    }
}

impl Side {
    fn new(collection: &str, index: &'static Index) -> Side {
        let table = side_table(collection, index.name);
        Side {
            index,
            entries_of: format!("SELECT entry FROM {table} WHERE id = ?1"),
            insert: format!(
                "INSERT INTO {table} (entry, id) VALUES (?1, ?2) ON CONFLICT (entry, id) DO NOTHING"
            ),
            delete: format!("DELETE FROM {table} WHERE entry = ?1 AND id = ?2"),
            delete_all: format!("DELETE FROM {table} WHERE id = ?1"),
            owner: format!("SELECT id FROM {table} WHERE entry = ?1"),
        }
    }
}

/// The quoted name of a side table; a dot stands in no declared name.
pub(super) fn side_table(collection: &str, index: &str) -> String {
    format!("\"{collection}.{index}\"")
}

/// What makes the side table of an index. The way from a document to its entries is a second b-tree, as
/// dear as the first: a collection that is kept has none.
pub(super) fn create_side(collection: &Collection, index: &Index) -> String {
    let side = side_table(collection.name, index.name);
    let table = format!(
        "CREATE TABLE {side} (entry BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (entry, id)) WITHOUT ROWID"
    );
    if collection.is_kept {
        return table;
    }
    format!("{table};\nCREATE INDEX {} ON {side} (id)", side_ids(collection.name, index.name))
}

/// The quoted name of the index of a side table by document.
pub(super) fn side_ids(collection: &str, index: &str) -> String {
    format!("\"{collection}.{index}.id\"")
}

/// What makes an index of SQL over entries that stand there.
pub(super) fn create_index(collection: &str, index: &Index) -> String {
    let name = index.name;
    match (index.many, index.unique) {
        (false, true) => format!(
            "CREATE UNIQUE INDEX \"{collection}.{name}\" ON \"{collection}\" (\"{name}\") WHERE \"{name}\" IS NOT NULL"
        ),
        (false, false) => format!(
            "CREATE INDEX \"{collection}.{name}\" ON \"{collection}\" (\"{name}\", id) WHERE \"{name}\" IS NOT NULL"
        ),
        (true, true) => {
            format!("CREATE UNIQUE INDEX \"{collection}.{name}.unique\" ON \"{collection}.{name}\" (entry)")
        }
        (true, false) => String::new(),
    }
}
