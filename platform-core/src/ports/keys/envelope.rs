//! Keys in a store of their own, sealed under a key-encryption key.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Keys;
use crate::kernel::{BoxFuture, DataKey, Error, Result, Sealed};
use crate::ports::runtime::Runtime;
use crate::ports::store::{
    Batch, Body, Collection, CommitError, DocKey, Expect, Schema, Store, Stores, Write,
};

/// The 32 bytes that everything hangs on. They lie outside the data: a file with mode 0600, an
/// environment variable, a key-management service.
pub struct KeyEncryptionKey(pub [u8; 32]);

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyEncryptionKey(…)")
    }
}

/// Data keys by name (`data`, and one per person), each sealed under the key-encryption key.
const DATA_KEYS: Collection = Collection::binary("data_keys");
/// Whose key was destroyed, and when: a restore destroys them again.
const ERASURES: Collection = Collection::json("erasures");

/// Opened keys that are kept in memory; beyond that all are dropped and read again.
const OPENED_MAX: usize = 10_000;

/// [`Keys`] over a [`Store`].
pub struct EnvelopeKeys {
    kek: DataKey,
    store: Arc<dyn Store>,
    runtime: Arc<dyn Runtime>,
    opened: Mutex<BTreeMap<String, Arc<DataKey>>>,
}

impl EnvelopeKeys {
    /// The schema of the store `keys`.
    pub fn schema() -> Schema {
        Schema::new("keys", 1, &[DATA_KEYS, ERASURES])
    }

    /// Opens the store `keys`, and checks that its keys open.
    ///
    /// # Errors
    /// `keys.wrong_kek` when another key-encryption key sealed them; as [`Stores::open`].
    pub async fn open(
        kek: &KeyEncryptionKey,
        stores: &dyn Stores,
        runtime: Arc<dyn Runtime>,
    ) -> Result<EnvelopeKeys> {
        let store = stores.open(&EnvelopeKeys::schema()).await?;
        let keys = EnvelopeKeys { kek: DataKey::new(&kek.0)?, store, runtime, opened: Mutex::default() };
        keys.key(GENERAL, true).await.map_err(|error| match error.code() {
            "keys.open_failed" => {
                Error::precondition("keys.wrong_kek", "the data were sealed under another key-encryption key")
            }
            _ => error,
        })?;
        Ok(keys)
    }

    /// The key of this name. `None`: there is none, and it is not to be made.
    async fn key(&self, name: &str, make: bool) -> Result<Option<Arc<DataKey>>> {
        if let Some(key) = self.opened.lock().get(name) {
            return Ok(Some(Arc::clone(key)));
        }
        loop {
            let places = [DocKey::new(DATA_KEYS.name, name), DocKey::new(ERASURES.name, name)];
            let mut found = self.store.get(&places).await?.into_iter();
            let (stored, erased) = (found.next().flatten(), found.next().flatten());
            if let Some(doc) = stored {
                let bytes =
                    self.kek.open(name.as_bytes(), &Sealed::from_bytes(doc.body.as_bytes().to_vec()))?;
                return self.remember(name, &bytes).map(Some);
            }
            if erased.is_some() && make {
                return Err(Error::precondition("keys.erased", "this person was erased"));
            }
            if !make {
                return Ok(None);
            }
            let bytes: [u8; 32] = self.runtime.random();
            let sealed = self.kek.seal(self.runtime.random(), name.as_bytes(), &bytes)?;
            let [key, erasure] = places;
            let batch = Batch {
                expects: vec![(key.clone(), Expect::Absent), (erasure, Expect::Absent)],
                writes: vec![Write::Put {
                    key,
                    body: Body::Binary(sealed.as_bytes().to_vec()),
                    entries: Vec::new(),
                }],
                ..Batch::default()
            };
            match self.store.commit(batch).await {
                Ok(_) => return self.remember(name, &bytes).map(Some),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn remember(&self, name: &str, bytes: &[u8]) -> Result<Arc<DataKey>> {
        let bytes =
            bytes.try_into().map_err(|_| Error::data_loss("keys.invalid", "a stored key is not 32 bytes"))?;
        let key = Arc::new(DataKey::new(bytes)?);
        let mut opened = self.opened.lock();
        if opened.len() >= OPENED_MAX {
            opened.clear();
        }
        opened.insert(name.to_owned(), Arc::clone(&key));
        Ok(key)
    }

    async fn general(&self) -> Result<Arc<DataKey>> {
        self.key(GENERAL, true)
            .await?
            .ok_or_else(|| Error::internal("keys.missing", "the data key is missing"))
    }
}

/// The name of the key for secrets that belong to nobody in particular.
const GENERAL: &str = "data";

fn person_key(person: &str) -> String {
    format!("person/{person}")
}

impl Keys for EnvelopeKeys {
    fn seal<'a>(&'a self, place: &'a str, text: &'a [u8]) -> BoxFuture<'a, Result<Sealed>> {
        Box::pin(async move { self.general().await?.seal(self.runtime.random(), place.as_bytes(), text) })
    }

    fn open<'a>(&'a self, place: &'a str, sealed: &'a Sealed) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move { self.general().await?.open(place.as_bytes(), sealed) })
    }

    fn seal_for<'a>(
        &'a self,
        person: &'a str,
        place: &'a str,
        text: &'a [u8],
    ) -> BoxFuture<'a, Result<Sealed>> {
        Box::pin(async move {
            let key = self.key(&person_key(person), true).await?;
            let key = key.ok_or_else(|| Error::internal("keys.missing", "a key that was made is missing"))?;
            key.seal(self.runtime.random(), place.as_bytes(), text)
        })
    }

    fn open_for<'a>(
        &'a self,
        person: &'a str,
        place: &'a str,
        sealed: &'a Sealed,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            match self.key(&person_key(person), false).await? {
                Some(key) => key.open(place.as_bytes(), sealed).map(Some),
                None => Ok(None),
            }
        })
    }

    fn erase<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let name = person_key(person);
            let erasure = Body::Json(serde_json::Value::String(self.runtime.now().to_string()).to_string());
            let batch = Batch {
                writes: vec![
                    Write::Delete { key: DocKey::new(DATA_KEYS.name, name.clone()) },
                    Write::Put {
                        key: DocKey::new(ERASURES.name, name.clone()),
                        body: erasure,
                        entries: Vec::new(),
                    },
                ],
                ..Batch::default()
            };
            self.store.commit(batch).await?;
            self.opened.lock().remove(&name);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::runtime::SimRuntime;
    use crate::ports::store::MemoryStores;

    #[test]
    fn an_erased_person_stays_erased_and_others_stay_readable() {
        let world = SimRuntime::new(1);
        let stores = MemoryStores::default();
        world.block_on(async {
            let kek = KeyEncryptionKey([9; 32]);
            let keys = EnvelopeKeys::open(&kek, &stores, world.runtime()).await.unwrap();
            let ada = keys.seal_for("ada", "mail", b"ada@example.com").await.unwrap();
            let bob = keys.seal_for("bob", "mail", b"bob@example.com").await.unwrap();
            keys.erase("ada").await.unwrap();
            drop(keys);
            let keys = EnvelopeKeys::open(&kek, &stores, world.runtime()).await.unwrap();
            assert_eq!(keys.open_for("ada", "mail", &ada).await.unwrap(), None);
            assert_eq!(keys.open_for("bob", "mail", &bob).await.unwrap().unwrap(), b"bob@example.com");
            assert!(keys.open_for("bob", "phone", &bob).await.is_err());
            assert_eq!(keys.seal_for("ada", "mail", b"x").await.unwrap_err().code(), "keys.erased");
        });
    }

    #[test]
    fn another_key_encryption_key_is_refused_at_opening() {
        let world = SimRuntime::new(1);
        let stores = MemoryStores::default();
        world.block_on(async {
            drop(EnvelopeKeys::open(&KeyEncryptionKey([1; 32]), &stores, world.runtime()).await.unwrap());
            let error =
                EnvelopeKeys::open(&KeyEncryptionKey([2; 32]), &stores, world.runtime()).await.err().unwrap();
            assert_eq!(error.code(), "keys.wrong_kek");
        });
    }
}
