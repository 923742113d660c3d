//! Remembered answers, as a store keeps them.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::schema::IDEMPOTENCY;
use super::{Body, DocKey, Entry, Idempotency, Write};
use crate::kernel::{Error, Result, Sealed, Timestamp};

/// A remembered answer. Its document's version is the position of the commit that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    /// The sealed answer.
    pub response: Vec<u8>,
    /// When it stops answering.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct WireRecord {
    scope: String,
    fingerprint: Sealed,
    response: Sealed,
    expires_at: Timestamp,
}

impl IdempotencyRecord {
    /// Where the record of a scope and a key stands: under their SHA-256.
    pub fn key(scope: &str, key: &str) -> DocKey {
        let name = super::KeyWriter::new().text(scope).text(key).finish();
        DocKey::new(IDEMPOTENCY.name, digest(&SHA256, &name).as_ref())
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn read(body: &Body) -> Result<IdempotencyRecord> {
        let damaged = || Error::data_loss("store.damaged", "an idempotency record does not read");
        let wire: WireRecord =
            serde_json::from_slice(body.as_bytes()).map_err(|error| damaged().because(error))?;
        Ok(IdempotencyRecord {
            fingerprint: wire.fingerprint.as_bytes().try_into().map_err(|_| damaged())?,
            response: wire.response.as_bytes().to_vec(),
            expires_at: wire.expires_at,
        })
    }

    pub(crate) fn reindex(_id: &[u8], body: &Body) -> Result<Vec<Entry>> {
        Ok(vec![by_expiry(IdempotencyRecord::read(body)?.expires_at)])
    }
}

/// What a batch looks for before anything else: its own answer of an earlier time.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) key: DocKey,
    pub(super) fingerprint: [u8; 32],
    pub(super) now: Timestamp,
}

/// The write that remembers an answer, and how to look for it.
pub(super) fn to_write(record: Idempotency) -> Result<(Replay, Write)> {
    let key = IdempotencyRecord::key(&record.scope, &record.key);
    let wire = WireRecord {
        scope: record.scope,
        fingerprint: Sealed::from_bytes(record.fingerprint.to_vec()),
        response: Sealed::from_bytes(record.response),
        expires_at: record.expires_at,
    };
    let text = serde_json::to_string(&wire)
        .map_err(|error| Error::internal("store.unwritable", "an answer cannot be stored").because(error))?;
    let replay = Replay { key: key.clone(), fingerprint: record.fingerprint, now: record.now };
    let entries = vec![by_expiry(record.expires_at)];
    Ok((replay, Write::Put { key, body: Body::Json(text), entries }))
}

fn by_expiry(at: Timestamp) -> Entry {
    Entry::new("by_expiry", super::KeyWriter::new().time(at).finish())
}
