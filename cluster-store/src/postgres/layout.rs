//! Names of tables and columns, and the SQL over them.

use platform_core::ports::store::{BodyKind, Collection, Index, Schema};

/// Bytes of a name: PostgreSQL cuts what is longer.
const NAME_BYTES: usize = 63;

/// The tables of a store.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The database's schema, quoted.
    schema: String,
    pub(super) declared: Schema,
}

/// A name between quotes. Declared names are lower case letters, digits and `_`; only a configured prefix could hold a quote.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// FNV-1a, for names that have to be shortened.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `COLLECTION$INDEX`, shortened where PostgreSQL would cut it. `$` is in no declared name.
fn beside(collection: &str, index: &str) -> String {
    let name = format!("{collection}${index}");
    if name.len() <= NAME_BYTES {
        return name;
    }
    let kept: String = name.chars().take(NAME_BYTES - 17).collect();
    format!("{kept}${:016x}", fnv(&name))
}

impl Layout {
    pub(super) fn new(prefix: &str, declared: &Schema) -> Layout {
        Layout { schema: quoted(&format!("{prefix}{}", declared.store)), declared: declared.clone() }
    }

    /// The database's schema, quoted.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A number for the lock under which the tables are made and changed.
    pub(super) fn lock(&self) -> i64 {
        fnv(&self.schema).cast_signed()
    }

    /// A table of the platform's own.
    pub(super) fn own(&self, name: &str) -> String {
        format!("{}.{}", self.schema, quoted(name))
    }

    /// The table of a collection.
    pub(super) fn table(&self, collection: &str) -> String {
        self.own(collection)
    }

    /// The table of an index with many entries.
    pub(super) fn side(&self, collection: &str, index: &str) -> String {
        self.own(&beside(collection, index))
    }

    /// The name of the b-tree of an index; it stands in the schema of its table.
    pub(super) fn tree(collection: &str, index: &str) -> String {
        quoted(&format!("{}#", beside(collection, index).chars().take(NAME_BYTES - 1).collect::<String>()))
    }

    /// The column of an index with one entry.
    pub(super) fn column(index: &str) -> String {
        quoted(index)
    }
}

/// The indexes that are columns of the collection's own table.
pub(super) fn columns(collection: &Collection) -> impl Iterator<Item = &'static Index> + use<> {
    collection.indexes.iter().filter(|index| !index.many)
}

/// The indexes that have a table of their own.
pub(super) fn sides(collection: &Collection) -> impl Iterator<Item = &'static Index> + use<> {
    collection.indexes.iter().filter(|index| index.many)
}

/// The type of a body. JSON is kept as the text that it was: what is hashed must read back unchanged.
pub(super) fn body_type(kind: BodyKind) -> &'static str {
    match kind {
        BodyKind::Json => "json",
        BodyKind::Binary => "bytea",
    }
}

/// A body as text and as bytes, one of them null: so that bodies of both kinds come in one answer.
pub(super) fn body_columns(kind: BodyKind, body: &str) -> String {
    match kind {
        BodyKind::Json => format!("{body}::text, null::bytea"),
        BodyKind::Binary => format!("null::text, {body}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_postgresql_would_cut_stay_apart() {
        let long = "a".repeat(48);
        let (first, second) =
            (beside(&long, &"b".repeat(47)), beside(&long, &format!("{}c", "b".repeat(46))));
        assert!(first.len() <= NAME_BYTES && second.len() <= NAME_BYTES);
        assert_ne!(first, second);
        assert_eq!(beside("profiles", "by_role"), "profiles$by_role");
    }

    #[test]
    fn a_prefix_cannot_leave_its_quotes() {
        let layout = Layout::new("a\"; drop", &Schema::new("users", 1, &[]));
        assert_eq!(layout.table("x"), "\"a\"\"; dropusers\".\"x\"");
    }
}
