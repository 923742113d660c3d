//! Bringing a database to its schema: filling new and changed indexes.
//!
//! What is to change is checked before anything is written. Then the layout is marked as unfinished, so
//! that a crash in between lets the next opening begin anew, whatever schema it has.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use platform_core::kernel::{Error, Position, Result};
use platform_core::ports::store::{CommitError, Entry, Index, Schema};

use super::layout::{self, Stored};
use super::names::{Code, Coded, CodedCollection, Names};
use super::{Keyspace, View, Writes};

/// Writes of one batch while an index is filled.
const BACKFILL_WRITES: usize = 500;

/// Brings the database to the schema, and returns the position of its last commit, and the schema with its codes.
///
/// # Errors
/// `store.older_format`, `store.newer_schema`, `store.too_many_names`, `store.not_unique`, `store.changed_kind`,
/// `store.damaged`, `store.unavailable`.
pub(super) fn migrate<K: Keyspace>(keyspace: &K, schema: &Arc<Schema>) -> Result<(Position, Coded)> {
    let data = keyspace.latest();
    let known = read(data, layout::SCHEMA)?;
    if known.is_some() {
        check_format(data, schema)?;
    }
    let (version, layout) = match &known {
        None => (0, ""),
        Some(text) => text
            .split_once('\n')
            .map_or((0, ""), |(version, layout)| (version.parse::<u32>().unwrap_or(u32::MAX), layout)),
    };
    if version > schema.version {
        return Err(Error::precondition("store.newer_schema", "a newer version wrote this store")
            .with("store", schema.store)
            .with("theirs", version)
            .with("ours", schema.version));
    }
    let wanted = layout_of(schema);
    let mut names = names(data)?;
    let coded = names.of(schema)?;
    if version != schema.version || layout != wanted {
        let mut changes = Vec::new();
        for collection in coded.collections() {
            check_kind(layout, schema, collection)?;
            changes.push(Changes::of(data, &names, collection)?);
        }
        for change in &changes {
            change.check_uniques(data)?;
        }
        begin(keyspace, &names)?;
        if known.is_some() && changes.iter().any(Changes::any) {
            write(keyspace, layout::SCHEMA, &format!("{version}\n{layout}\n(unfinished)"))?;
            changes.iter().try_for_each(|change| change.apply(keyspace))?;
        } else {
            changes.iter().try_for_each(|change| change.sign(keyspace))?;
        }
        write(keyspace, layout::SCHEMA, &format!("{}\n{wanted}", schema.version))?;
        keyspace.sync()?;
    }
    let position = match data.get(layout::POSITION)? {
        None => 0,
        Some(group) => layout::read_group(group.as_ref())?.1,
    };
    Ok((position, coded))
}

fn check_format(data: &impl View, schema: &Schema) -> Result<()> {
    let theirs = read(data, layout::FORMAT)?.map_or(1, |number| number.parse::<u32>().unwrap_or(u32::MAX));
    let (code, message) = match theirs.cmp(&layout::LAYOUT) {
        Ordering::Equal => return Ok(()),
        Ordering::Less => ("store.older_format", "the store was written when keys began with names"),
        Ordering::Greater => ("store.newer_schema", "a newer version wrote this store"),
    };
    let error = Error::precondition(code, message).with("store", schema.store);
    Err(error.with("theirs", theirs).with("ours", layout::LAYOUT))
}

/// The codes that were given so far.
fn names(data: &impl View) -> Result<Names> {
    let mut names = Names::default();
    for pair in data.pairs(layout::beneath(layout::CODES)) {
        let (name, code) = pair?;
        let name = name.as_ref().get(layout::CODES.len()..).unwrap_or_default();
        names.know(String::from_utf8_lossy(name).into_owned(), code.as_ref())?;
    }
    Ok(names)
}

/// Writes down the layout and the new codes: before the first key that begins with one of them.
fn begin(keyspace: &impl Keyspace, names: &Names) -> Result<()> {
    let mut writes = keyspace.writes();
    writes.insert(layout::FORMAT, layout::LAYOUT.to_string().as_bytes());
    for (name, code) in &names.new {
        writes.insert(&[layout::CODES, name.as_bytes()].concat(), &code.to_bytes());
    }
    keyspace.apply(writes)
}

fn read(data: &impl View, key: &[u8]) -> Result<Option<String>> {
    let value = data.get(key)?;
    Ok(value.map(|value| String::from_utf8_lossy(value.as_ref()).into_owned()))
}

/// Not yet durable: what migration writes is synced at its end, in the order in which it was written.
fn write(keyspace: &impl Keyspace, key: &[u8], text: &str) -> Result<()> {
    let mut writes = keyspace.writes();
    writes.insert(key, text.as_bytes());
    keyspace.apply(writes)
}

fn layout_of(schema: &Schema) -> String {
    let mut lines = Vec::new();
    for collection in &schema.collections {
        lines.push(format!("{} {:?}", collection.name, collection.body));
        lines.extend(collection.indexes.iter().map(|i| format!("  {} {}", i.name, signature(i))));
    }
    lines.join("\n")
}

fn signature(index: &Index) -> String {
    let unique = if index.unique { "unique" } else { "shared" };
    let many = if index.many { "many" } else { "one" };
    format!("{unique} {many} {}", index.version)
}

fn check_kind(layout: &str, schema: &Schema, coded: CodedCollection<'_>) -> Result<()> {
    let collection = coded.collection;
    let line = format!("{} {:?}", collection.name, collection.body);
    let prefix = format!("{} ", collection.name);
    let known = layout.lines().find(|known| known.starts_with(&prefix));
    if known.is_none_or(|known| known == line) {
        return Ok(());
    }
    Err(Error::precondition("store.changed_kind", "a collection holds another kind of body")
        .with("store", schema.store)
        .with("collection", collection.name))
}

/// What has to change in a collection.
struct Changes<'a> {
    collection: CodedCollection<'a>,
    /// To be filled.
    filled: Vec<&'static Index>,
    /// Names of those to be emptied first, declared or not, and their codes.
    emptied: BTreeMap<String, Code>,
}

impl<'a> Changes<'a> {
    fn of(data: &impl View, names: &Names, collection: CodedCollection<'a>) -> Result<Changes<'a>> {
        let own = collection.collection;
        let mut filled = Vec::new();
        let mut emptied = BTreeMap::new();
        for index in own.indexes {
            let known = read(data, &layout::index_signature(own.name, index.name))?;
            if known.as_deref() != Some(&signature(index)) {
                filled.push(index);
                emptied.extend(names.index(own.name, index.name).map(|code| (index.name.to_owned(), code)));
            }
        }
        let prefix = layout::index_signatures(own.name);
        for key in data.keys(layout::beneath(&prefix)) {
            let key = key?;
            let name =
                String::from_utf8_lossy(key.as_ref().get(prefix.len()..).unwrap_or_default()).into_owned();
            if own.index(&name).is_none() {
                emptied.extend(names.index(own.name, &name).map(|code| (name, code)));
            }
        }
        Ok(Changes { collection, filled, emptied })
    }

    fn any(&self) -> bool {
        !self.emptied.is_empty()
    }

    /// The entries of a document in the indexes that are filled.
    fn entries(&self, id: &[u8], stored: &Stored<'_>) -> Result<Vec<Entry>> {
        let collection = self.collection.collection;
        let mut entries = collection.entries_of(id, &stored.body(collection.body)?)?;
        entries.retain(|entry| self.filled.iter().any(|index| index.name == entry.index));
        Ok(entries)
    }

    fn check_uniques(&self, data: &impl View) -> Result<()> {
        if !self.filled.iter().any(|index| index.unique) {
            return Ok(());
        }
        let mut seen = HashSet::new();
        self.documents(data, |id, stored| {
            for entry in self.entries(id, &stored)? {
                let unique = self.filled.iter().any(|index| index.name == entry.index && index.unique);
                if unique && !seen.insert((entry.index, entry.entry)) {
                    return Err(CommitError::Unique {
                        collection: self.collection.collection.name,
                        index: entry.index,
                    }
                    .into());
                }
            }
            Ok(())
        })
    }

    fn documents(
        &self,
        data: &impl View,
        mut each: impl FnMut(&[u8], Stored<'_>) -> Result<()>,
    ) -> Result<()> {
        let prefix = layout::prefix(self.collection.code);
        for pair in data.pairs(layout::beneath(&prefix)) {
            let (key, value) = pair?;
            each(key.as_ref().get(prefix.len()..).unwrap_or_default(), Stored::read(value.as_ref())?)?;
        }
        Ok(())
    }

    fn apply(&self, keyspace: &impl Keyspace) -> Result<()> {
        let data = keyspace.latest();
        let name = self.collection.collection.name;
        let mut batch = Chunks::new(keyspace);
        for (index, code) in &self.emptied {
            batch.remove(&layout::index_signature(name, index))?;
            for entry in data.keys(layout::beneath(&layout::prefix(*code))) {
                batch.remove(entry?.as_ref())?;
            }
        }
        // The emptying is committed before the filling: the same key may be in both.
        batch.flush()?;
        if self.any() {
            let mut value = Vec::new();
            self.documents(data, |id, stored| {
                let mut entries = stored.entries(self.collection)?;
                entries.retain(|entry| !self.emptied.contains_key(entry.index));
                for entry in self.entries(id, &stored)? {
                    if let Some(index) = self.collection.index(entry.index) {
                        let (key, value) = layout::entry(index, &entry.entry, id);
                        batch.insert(&key, value)?;
                    }
                    entries.push(entry);
                }
                layout::write_document(&mut value, self.collection, stored.version, &entries, stored.body);
                batch.insert(&layout::key(self.collection.code, id), &value)
            })?;
        }
        batch.flush()?;
        self.sign(keyspace)
    }

    fn sign(&self, keyspace: &impl Keyspace) -> Result<()> {
        let mut batch = Chunks::new(keyspace);
        for index in &self.filled {
            let key = layout::index_signature(self.collection.collection.name, index.name);
            batch.insert(&key, signature(index).as_bytes())?;
        }
        batch.flush()
    }
}

/// Writes in batches of bounded size.
struct Chunks<'a, K: Keyspace> {
    keyspace: &'a K,
    writes: K::Writes,
    count: usize,
}

impl<'a, K: Keyspace> Chunks<'a, K> {
    fn new(keyspace: &'a K) -> Chunks<'a, K> {
        Chunks { keyspace, writes: keyspace.writes(), count: 0 }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.writes.insert(key, value);
        self.flush_when_full()
    }

    fn remove(&mut self, key: &[u8]) -> Result<()> {
        self.writes.remove(key);
        self.flush_when_full()
    }

    fn flush_when_full(&mut self) -> Result<()> {
        self.count += 1;
        if self.count < BACKFILL_WRITES {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.count = 0;
        self.keyspace.apply(std::mem::replace(&mut self.writes, self.keyspace.writes()))
    }
}
