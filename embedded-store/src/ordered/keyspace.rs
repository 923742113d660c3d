//! What an engine of one ordered keyspace has to offer.

use std::ops::Bound;

use platform_core::kernel::Result;

/// From a key to a key.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Keys and values in the order of the keys.
pub(crate) trait View {
    /// A key or a value.
    type Bytes: AsRef<[u8]>;

    fn get(&self, key: &[u8]) -> Result<Option<Self::Bytes>>;

    fn pairs(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<(Self::Bytes, Self::Bytes)>>;

    /// The keys alone: engines that keep large values apart need not read them.
    fn keys(&self, range: KeyRange) -> impl Iterator<Item = Result<Self::Bytes>>;
}

/// Writes that are applied together or not at all.
pub(crate) trait Writes {
    fn insert(&mut self, key: &[u8], value: &[u8]);

    fn remove(&mut self, key: &[u8]);
}

/// A keyspace that is open.
pub(crate) trait Keyspace: Send + Sync + 'static {
    type Latest: View;
    type View<'a>: View;
    type Writes: Writes;

    /// The present state, for the one thread that writes.
    fn latest(&self) -> &Self::Latest;

    /// One moment of it.
    fn view(&self) -> Result<Self::View<'_>>;

    fn writes(&self) -> Self::Writes;

    /// Applies the writes; they are durable when [`Keyspace::sync`] has returned, in the order in which
    /// they were applied.
    fn apply(&self, writes: Self::Writes) -> Result<()>;

    /// Makes durable what was applied.
    fn sync(&self) -> Result<()>;

    /// Applies the writes and makes them durable. After an error it is not known whether they are.
    fn commit(&self, writes: Self::Writes) -> Result<()>;
}
