//! What fuzz targets reach behind the facade.

use std::sync::Arc;

use platform_core::kernel::{Position, Result, Timestamp};
use platform_core::ports::keys::KeyEncryptionKey;
use platform_core::ports::log::{NewRecord, Record};
use platform_core::ports::store::{Collection, Entry, Schema};

use crate::backup::Manifest;
use crate::fjall::journal;
use crate::log::record;
use crate::ordered::layout;
use crate::ordered::names::{Coded, CodedCollection};

/// A record of the log as it is stored: key and value of its row.
pub fn encode_record(
    topic: u32,
    partition: u16,
    offset: u64,
    time: Timestamp,
    total: u64,
    record: &NewRecord,
) -> (Vec<u8>, Vec<u8>) {
    let key = record::row_key(topic, partition, offset);
    (key.to_vec(), record::encode(&key, time, total, record))
}

/// The record of a row, and the bytes of its partition; `None` when it is damaged.
pub fn decode_record(row_key: &[u8], partition: u16, stored: &[u8]) -> Option<(Record, u64)> {
    record::decode(row_key, partition, stored).map(|stored| (stored.record, stored.total))
}

/// What an ordered keyspace stores for the documents of one collection.
pub struct Documents {
    coded: Coded,
    collection: &'static str,
}

impl Documents {
    /// Documents of this collection, in a new store.
    ///
    /// # Errors
    /// `store.too_many_names`.
    pub fn of(collection: Collection) -> Result<Documents> {
        let schema = Schema::new("fuzzing", 1, &[collection]);
        Ok(Documents { coded: Coded::of(&Arc::new(schema))?, collection: collection.name })
    }

    /// A document as it is stored.
    pub fn encode(&self, version: Position, entries: &[Entry], body: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        if let Some(collection) = self.coded() {
            layout::write_document(&mut value, collection, version, entries, body);
        }
        value
    }

    /// Version, entries and body of a stored document.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn decode<'a>(&self, value: &'a [u8]) -> Result<(Position, Vec<Entry>, &'a [u8])> {
        let stored = layout::Stored::read(value)?;
        let entries = self.coded().map(|collection| stored.entries(collection)).transpose()?;
        Ok((stored.version, entries.unwrap_or_default(), stored.body))
    }

    fn coded(&self) -> Option<CodedCollection<'_>> {
        self.coded.collection(self.collection)
    }
}

/// What the look at fjall's journal finds in one of this content: how many bytes of it read, and whether
/// that is all of it.
///
/// # Errors
/// Those of reading.
pub fn journal(content: &[u8]) -> std::io::Result<(u64, bool)> {
    journal::extent(content, content.len() as u64)
}

/// A key-encryption key from the text of its file.
///
/// # Errors
/// `keys.invalid`.
pub fn key_file(text: &str) -> Result<KeyEncryptionKey> {
    machine::key::parse(text)
}

/// The manifest of a backup from the text of its file, when its paths stay within the backup and it does
/// not contradict itself.
///
/// # Errors
/// `backup.invalid`, `backup.damaged`.
pub fn manifest(text: &[u8]) -> Result<Manifest> {
    let manifest = Manifest::parse(text, std::path::Path::new("backup"))?;
    manifest.check_itself()?;
    Ok(manifest)
}
