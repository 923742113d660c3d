//! The first trip of a group: what is committed, as far as the group's batches ask for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use platform_core::kernel::Result;
use platform_core::ports::store::{Body, DocKey, Entry, Prepared, Previous, Schema, StateReader, Write};
use tokio_postgres::{Row, Statement};

use super::error::{column, damaged, position};
use super::statements::{Statements, unique_columns};

/// What a group asks of one collection.
#[derive(Default)]
struct Asked<'a> {
    /// Documents of which version and unique entries are asked.
    look: BTreeSet<&'a [u8]>,
    /// Those of which the body is asked, too.
    read: BTreeSet<&'a [u8]>,
    /// Unique entries that are to be given, by their indexes.
    given: BTreeMap<&'static str, BTreeSet<&'a [u8]>>,
}

/// One question of the trip.
pub(super) struct Question<'a> {
    pub(super) statement: &'a Statement,
    /// Ids or entries.
    pub(super) about: Vec<&'a [u8]>,
    collection: &'static str,
    answer: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Documents,
    Held(&'static str),
    Owners(&'static str),
}

/// What the batches of a group need to know.
pub(super) fn questions<'a>(
    schema: &Schema,
    statements: &'a Statements,
    batches: &'a [Prepared],
) -> Result<Vec<Question<'a>>> {
    let mut questions = Vec::new();
    for (collection, asked) in asked(schema, batches) {
        let of = statements.of(collection)?;
        let mut ask = |statement, about: &BTreeSet<&'a [u8]>, answer| {
            if !about.is_empty() {
                questions.push(Question {
                    statement,
                    about: about.iter().copied().collect(),
                    collection,
                    answer,
                });
            }
        };
        ask(&of.look, &asked.look, Kind::Documents);
        ask(&of.read, &asked.read, Kind::Documents);
        let unique_sides = schema
            .collection(collection)
            .into_iter()
            .flat_map(|collection| collection.indexes)
            .filter(|index| index.many && index.unique);
        for index in unique_sides {
            if let Some(side) = of.sides.get(index.name) {
                ask(&side.held, &asked.look, Kind::Held(index.name));
                ask(&side.held, &asked.read, Kind::Held(index.name));
            }
        }
        for (index, entries) in &asked.given {
            if let Some(owners) = of.owners.get(index) {
                ask(owners, entries, Kind::Owners(index));
            }
        }
    }
    Ok(questions)
}

fn asked<'a>(schema: &Schema, batches: &'a [Prepared]) -> BTreeMap<&'static str, Asked<'a>> {
    let mut all: BTreeMap<&'static str, Asked<'a>> = BTreeMap::new();
    for batch in batches {
        for key in batch.bodies() {
            all.entry(key.collection).or_default().read.insert(&key.id);
        }
        for write in batch.writes() {
            let Write::Put { key, entries, .. } = write else { continue };
            let Some(collection) = schema.collection(key.collection) else { continue };
            let is_unique = |name| collection.index(name).is_some_and(|index| index.unique);
            for entry in entries.iter().filter(|entry| is_unique(entry.index)) {
                let given = &mut all.entry(key.collection).or_default().given;
                given.entry(entry.index).or_default().insert(&entry.entry);
            }
        }
    }
    for key in batches.iter().flat_map(Prepared::keys) {
        let asked = all.entry(key.collection).or_default();
        if !asked.read.contains(key.id.as_slice()) {
            asked.look.insert(&key.id);
        }
    }
    all
}

/// The answers.
#[derive(Default)]
pub(super) struct Known {
    documents: HashMap<DocKey, (Previous, Option<Body>)>,
    owners: HashMap<(&'static str, &'static str, Vec<u8>), Vec<u8>>,
}

impl Known {
    /// Takes the answer to a question. Those about documents come before those about what they hold.
    pub(super) fn learn(&mut self, schema: &Schema, question: &Question<'_>, rows: &[Row]) -> Result<()> {
        rows.iter().try_for_each(|row| match question.answer {
            Kind::Documents => self.document(schema, question.collection, row),
            Kind::Held(index) => {
                let key = DocKey::new(question.collection, column::<&[u8]>(row, 0)?);
                if let Some((previous, _)) = self.documents.get_mut(&key) {
                    previous.entries.push(Entry::new(index, column::<&[u8]>(row, 1)?));
                }
                Ok(())
            }
            Kind::Owners(index) => {
                let place = (question.collection, index, column::<Vec<u8>>(row, 0)?);
                self.owners.insert(place, column(row, 1)?);
                Ok(())
            }
        })
    }

    fn document(&mut self, schema: &Schema, collection: &'static str, row: &Row) -> Result<()> {
        let declared = schema.collection(collection).ok_or_else(|| damaged("a collection"))?;
        let key = DocKey::new(collection, column::<&[u8]>(row, 0)?);
        let mut previous = Previous { version: position(row, 1)?, entries: Vec::new() };
        for (at, index) in unique_columns(declared).enumerate() {
            if let Some(entry) = column::<Option<&[u8]>>(row, at + 4)? {
                previous.entries.push(Entry::new(index.name, entry));
            }
        }
        self.documents.insert(key, (previous, body(row)?));
        Ok(())
    }
}

/// The body in the columns 2 and 3 of a row; none when it was not asked for.
pub(super) fn body(row: &Row) -> Result<Option<Body>> {
    let text: Option<String> = column(row, 2)?;
    let bytes: Option<Vec<u8>> = column(row, 3)?;
    Ok(text.map(Body::Json).or(bytes.map(Body::Binary)))
}

impl StateReader for Known {
    fn previous(&mut self, key: &DocKey) -> Result<Option<Previous>> {
        Ok(self.documents.get(key).map(|(previous, _)| previous.clone()))
    }

    fn body(&mut self, key: &DocKey) -> Result<Option<Body>> {
        Ok(self.documents.get(key).and_then(|(_, body)| body.clone()))
    }

    fn unique_owner(
        &mut self,
        collection: &'static str,
        index: &'static str,
        entry: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        Ok(self.owners.get(&(collection, index, entry.to_vec())).cloned())
    }
}
