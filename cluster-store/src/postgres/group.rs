//! The second trip of a group: what its batches change together, as a few statements over arrays.

use std::collections::BTreeMap;

use platform_core::kernel::{Error, Result};
use platform_core::ports::store::{Body, Change, Entry, Merged, Schema, Written};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::error::{damaged, signed};
use super::layout::{columns, sides};
use super::statements::{OfCollection, Statements};

/// A statement with its values.
pub(super) struct Call<'a> {
    pub(super) statement: &'a Statement,
    values: Vec<Box<dyn ToSql + Sync + Send + 'a>>,
}

impl<'a> Call<'a> {
    fn new(statement: &'a Statement) -> Call<'a> {
        Call { statement, values: Vec::new() }
    }

    fn with(mut self, value: impl ToSql + Sync + Send + 'a) -> Call<'a> {
        self.values.push(Box::new(value));
        self
    }

    /// The values, as the driver takes them.
    pub(super) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}

/// What a group does to one collection.
#[derive(Default)]
struct Changes<'a> {
    deleted: Vec<&'a [u8]>,
    put: Vec<(&'a [u8], &'a Written<'a>)>,
    /// Documents that were there before, whose entries elsewhere go.
    were_there: Vec<&'a [u8]>,
}

/// The statements that apply what a group does. Entries that go do so before others come: a unique one may move.
pub(super) fn calls<'a>(
    schema: &Schema,
    statements: &'a Statements,
    merged: &'a Merged<'a>,
) -> Result<Vec<Call<'a>>> {
    let mut calls = Vec::new();
    for (collection, changes) in by_collection(&merged.changes) {
        let declared = schema.collection(collection).ok_or_else(|| damaged("a collection"))?;
        let of = statements.of(collection)?;
        if !changes.deleted.is_empty() {
            calls.push(Call::new(&of.delete).with(changes.deleted));
        }
        for index in sides(declared) {
            let Some(side) = of.sides.get(index.name) else { continue };
            if !changes.were_there.is_empty() {
                calls.push(Call::new(&side.clear).with(changes.were_there.clone()));
            }
            let (entries, ids) = entries_of(index.name, &changes.put);
            if !entries.is_empty() {
                calls.push(Call::new(&side.add).with(entries).with(ids));
            }
        }
        if !changes.put.is_empty() {
            let indexes: Vec<&'static str> = columns(declared).map(|index| index.name).collect();
            calls.push(put(of, &indexes, &changes.put));
        }
    }
    if !merged.events.is_empty() {
        calls.push(publish(statements, merged)?);
    }
    calls.push(Call::new(&statements.advance).with(signed(merged.position)));
    Ok(calls)
}

fn by_collection<'a>(changes: &'a [Change<'a>]) -> BTreeMap<&'static str, Changes<'a>> {
    let mut all: BTreeMap<&'static str, Changes<'a>> = BTreeMap::new();
    for change in changes {
        let of = all.entry(change.key.collection).or_default();
        let id = change.key.id.as_slice();
        if change.before.is_some() {
            of.were_there.push(id);
        }
        match &change.after {
            Some(written) => of.put.push((id, written)),
            None if change.before.is_some() => of.deleted.push(id),
            None => {}
        }
    }
    all
}

/// The entries of an index with the ids that have them.
fn entries_of<'a>(index: &str, put: &[(&'a [u8], &'a Written<'a>)]) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let of_index = |entry: &&Entry| entry.index == index;
    put.iter()
        .flat_map(|(id, written)| {
            written.entries.iter().filter(of_index).map(|entry| (entry.entry.as_slice(), *id))
        })
        .unzip()
}

fn put<'a>(of: &'a OfCollection, indexes: &[&'static str], put: &[(&'a [u8], &'a Written<'a>)]) -> Call<'a> {
    let ids: Vec<&[u8]> = put.iter().map(|(id, _)| *id).collect();
    let versions: Vec<i64> = put.iter().map(|(_, written)| signed(written.version)).collect();
    let call = Call::new(&of.put).with(ids).with(versions);
    let texts: Vec<&str> = put.iter().filter_map(|(_, written)| text(&written.body)).collect();
    let mut call = if texts.len() == put.len() {
        call.with(texts)
    } else {
        call.with(put.iter().map(|(_, written)| written.body.as_bytes()).collect::<Vec<&[u8]>>())
    };
    for index in indexes {
        let entry = |written: &'a Written<'a>| {
            written.entries.iter().find(|entry| entry.index == *index).map(|entry| entry.entry.as_slice())
        };
        call = call.with(put.iter().map(|(_, written)| entry(written)).collect::<Vec<Option<&[u8]>>>());
    }
    call
}

fn text(body: &Body) -> Option<&str> {
    match body {
        Body::Json(text) => Some(text),
        Body::Binary(_) => None,
    }
}

fn publish<'a>(statements: &'a Statements, merged: &'a Merged<'a>) -> Result<Call<'a>> {
    let commits: Vec<i64> = merged.events.iter().map(|(at, _)| signed(at.commit)).collect();
    let indexes: Vec<i32> = merged.events.iter().map(|(at, _)| i32::from(at.index)).collect();
    let events: Result<Vec<&str>> = merged
        .events
        .iter()
        .map(|(_, json)| {
            std::str::from_utf8(json)
                .map_err(|error| Error::internal("store.event", "an event is not text").because(error))
        })
        .collect();
    Ok(Call::new(&statements.publish).with(commits).with(indexes).with(events?))
}
