//! Collections and indexes under short codes: their names would stand in every key, and an engine compares keys
//! much more often than it reads them.
//!
//! A code is given once and is never another's, whatever becomes of the name. It is one byte for the first 96
//! names of a store, two for the others, each above 127: no code begins another one, nor a key of another kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform_core::kernel::{Error, Result};
use platform_core::ports::store::{Collection, Index, Schema};

use super::layout::damaged;

/// Codes of one byte.
const SHORT: u16 = 96;
/// All codes.
const CODES: u16 = 32 << 8;

/// What stands for a collection or an index in the keys of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u16);

impl Code {
    /// Puts it where a key begins.
    pub(super) fn write_to(self, key: &mut Vec<u8>) {
        if self.0 < SHORT {
            key.push(0x80 | self.0 as u8);
        } else {
            key.extend_from_slice(&(0xe000 | self.0).to_be_bytes());
        }
    }

    /// As the store keeps it.
    pub(crate) fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// What [`Code::to_bytes`] wrote.
    fn read(bytes: &[u8]) -> Result<Code> {
        let bytes = <[u8; 2]>::try_from(bytes).map_err(|_| damaged())?;
        Some(u16::from_be_bytes(bytes)).filter(|number| *number < CODES).map(Code).ok_or_else(damaged)
    }
}

/// The codes that a store has given so far: by the name of the collection, or by its name and that of the index.
#[derive(Debug, Default)]
pub(super) struct Names {
    codes: BTreeMap<String, Code>,
    /// Given, and not yet written.
    pub(super) new: Vec<(String, Code)>,
}

impl Names {
    /// A code that the store keeps.
    pub(super) fn know(&mut self, name: String, code: &[u8]) -> Result<()> {
        self.codes.insert(name, Code::read(code)?);
        Ok(())
    }

    /// The code of an index, declared or not.
    pub(super) fn index(&self, collection: &str, index: &str) -> Option<Code> {
        self.codes.get(&index_name(collection, index)).copied()
    }

    /// The schema with its codes: those that were given, and new ones.
    ///
    /// # Errors
    /// `store.too_many_names`.
    pub(super) fn of(&mut self, schema: &Arc<Schema>) -> Result<Coded> {
        let mut codes = Vec::new();
        for collection in &schema.collections {
            let own = self.code(collection.name.to_owned())?;
            let indexes = collection.indexes.iter().map(|i| self.code(index_name(collection.name, i.name)));
            codes.push((own, indexes.collect::<Result<Vec<_>>>()?));
        }
        Ok(Coded { schema: Arc::clone(schema), codes })
    }

    fn code(&mut self, name: String) -> Result<Code> {
        if let Some(code) = self.codes.get(&name) {
            return Ok(*code);
        }
        let next = self.codes.values().map(|code| code.0 + 1).max().unwrap_or_default();
        if next >= CODES {
            return Err(Error::precondition(
                "store.too_many_names",
                "a store has at most 8,192 collections and indexes",
            )
            .with("name", name));
        }
        self.codes.insert(name.clone(), Code(next));
        self.new.push((name, Code(next)));
        Ok(Code(next))
    }
}

fn index_name(collection: &str, index: &str) -> String {
    // No name holds a slash.
    format!("{collection}/{index}")
}

/// A schema, and the codes of all that it declares.
pub(crate) struct Coded {
    schema: Arc<Schema>,
    /// Of each collection and its indexes, in the order of their declaration.
    codes: Vec<(Code, Vec<Code>)>,
}

impl Coded {
    /// A schema that no store keeps, as a new store would.
    ///
    /// # Errors
    /// `store.too_many_names`.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(schema: &Arc<Schema>) -> Result<Coded> {
        Names::default().of(schema)
    }

    /// The schema.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The collections in the order of their declaration.
    pub(super) fn collections(&self) -> impl Iterator<Item = CodedCollection<'_>> {
        let all = self.schema.collections.iter().zip(&self.codes);
        all.map(|(collection, (code, indexes))| CodedCollection { collection, code: *code, indexes })
    }

    /// The declared collection of this name.
    pub(crate) fn collection(&self, name: &str) -> Option<CodedCollection<'_>> {
        self.collections().find(|coded| coded.collection.name == name)
    }
}

/// A declared collection with its codes.
#[derive(Clone, Copy)]
pub(crate) struct CodedCollection<'a> {
    pub(crate) collection: &'a Collection,
    pub(crate) code: Code,
    indexes: &'a [Code],
}

impl CodedCollection<'_> {
    /// The declared index of this name, and its code.
    pub(crate) fn index(&self, name: &str) -> Option<(&'static Index, Code)> {
        self.indexes().find(|(index, _)| index.name == name)
    }

    /// The declared index that has this code.
    pub(crate) fn index_of(&self, code: [u8; 2]) -> Option<&'static Index> {
        self.indexes().find(|(_, own)| own.to_bytes() == code).map(|(index, _)| index)
    }

    fn indexes(&self) -> impl Iterator<Item = (&'static Index, Code)> {
        self.collection.indexes.iter().zip(self.indexes.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: u16) -> Vec<u8> {
        let mut key = Vec::new();
        Code(code).write_to(&mut key);
        key
    }

    #[test]
    fn no_code_begins_another_one() {
        let keys: Vec<_> = (0..CODES).map(key).collect();
        assert_eq!((key(0), key(95)), (vec![0x80], vec![0xdf]));
        assert_eq!((key(96), key(CODES - 1)), (vec![0xe0, 96], vec![0xff, 0xff]));
        // They stand in the order of their numbers: what one begins, its neighbour does.
        assert!(keys.is_sorted_by(|one, next| one < next && !next.starts_with(one)));
    }

    #[test]
    fn a_code_is_kept_when_its_name_goes_and_comes_back() {
        const BY_MAIL: &[Index] = &[Index::one("by_mail")];
        let people = Collection::json("people").indexed(BY_MAIL, |_, _| Ok(Vec::new()));
        let schema =
            |collections| Arc::new(Schema { store: "shop", version: 1, collections, is_following: false });
        let (first, second) =
            (schema(vec![people]), schema(vec![Collection::json("orders"), Collection::json("people")]));
        let mut names = Names::default();
        names.of(&first).unwrap();
        assert_eq!(names.new.len(), 2);
        names.of(&second).unwrap();
        let (mail, last) = (names.index("people", "by_mail").unwrap(), names.new.last().unwrap());
        assert_eq!((mail, last.0.as_str(), last.1), (Code(1), "orders", Code(2)));
        let again = names.of(&first).unwrap();
        assert_eq!(names.new.len(), 3);
        let coded = again.collection("people").unwrap();
        assert_eq!(
            coded.index("by_mail").map(|(index, code)| (index.name, code)),
            Some(("by_mail", Code(1)))
        );
        assert_eq!(coded.index_of([0, 1]).map(|index| index.name), Some("by_mail"));
    }

    #[test]
    fn foreign_codes_are_damage() {
        for bytes in [&[][..], &[1], &[0x20, 0], &[0, 0, 0]] {
            assert_eq!(Code::read(bytes).unwrap_err().code(), "store.damaged");
        }
        assert_eq!(Code::read(&Code(8191).to_bytes()).unwrap(), Code(8191));
    }
}
