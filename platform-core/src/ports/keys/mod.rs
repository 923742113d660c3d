//! Sealing of secrets and of personal data.

mod envelope;

pub use envelope::{EnvelopeKeys, KeyEncryptionKey};

use crate::kernel::{BoxFuture, Result, Sealed};

/// Envelope encryption: data keys under a key-encryption key that lies outside the data.
///
/// # Behavior
/// - What is sealed is bound to its `place` (a table and a row): it opens nowhere else.
/// - Every person has a key of their own. What cannot be changed later (events, audit leaves, dead
///   letters, backups) carries personal data only sealed under it.
/// - After `erase` of a person, nothing that was sealed for them opens again, and their key is never
///   made anew: sealing for them fails with `keys.erased`.
pub trait Keys: Send + Sync {
    /// Seals a secret.
    ///
    /// # Errors
    /// `store.unavailable`.
    fn seal<'a>(&'a self, place: &'a str, text: &'a [u8]) -> BoxFuture<'a, Result<Sealed>>;

    /// Opens a secret.
    ///
    /// # Errors
    /// `keys.open_failed`.
    fn open<'a>(&'a self, place: &'a str, sealed: &'a Sealed) -> BoxFuture<'a, Result<Vec<u8>>>;

    /// Seals personal data; makes the person's key when there is none.
    ///
    /// # Errors
    /// `keys.erased`, `store.unavailable`.
    fn seal_for<'a>(
        &'a self,
        person: &'a str,
        place: &'a str,
        text: &'a [u8],
    ) -> BoxFuture<'a, Result<Sealed>>;

    /// Opens personal data; `None` when the person was erased.
    ///
    /// # Errors
    /// `keys.open_failed`.
    fn open_for<'a>(
        &'a self,
        person: &'a str,
        place: &'a str,
        sealed: &'a Sealed,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>>>;

    /// Destroys a person's key.
    ///
    /// # Errors
    /// `store.unavailable`.
    fn erase<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Result<()>>;
}
