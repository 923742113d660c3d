//! The log as files of the standard layout, for tools that are not ours.

use super::error;
use super::reader;
use super::tables::{Head, Origin, Signed};
use super::tlog::{Checkpoint, Resource, Tile, VerifierKey};
use super::verify::verify;
use crate::kernel::Result;
use crate::ports::store::{Document, Store, Stored};

/// Where an exported log goes.
pub trait Sink: Send {
    /// Writes one file. The path is relative, of ASCII letters, digits, `.`, `_` and `/`.
    ///
    /// # Errors
    /// Those of the medium.
    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<()>;
}

/// The file of the verifier key in an exported log.
const KEY_FILE: &str = "verifier_key";

/// Writes `tile/…`, `tile/entries/…`, `verifier_key`, and last `checkpoint`: the log as it was signed
/// last, after it was verified. Works while others append. Returns the checkpoint.
///
/// # Errors
/// `audit.not_found` when the store holds no log; `audit.damaged` with the number of the first bad entry
/// when it is not what was appended and signed; those of the store and of the sink.
pub async fn export(store: &dyn Store, sink: &mut dyn Sink) -> Result<Checkpoint> {
    let report = verify(store, None).await?;
    if !report.holds() {
        let index = report.first_bad.map_or_else(|| "unknown".to_owned(), |bad| bad.index.to_string());
        return Err(error::damaged("log").with("first_bad", index));
    }
    let head: Head = required(store, Head::ID.to_vec()).await?;
    let origin: Origin = required(store, Origin::id_of(head.origin)).await?;
    let signed: Signed = required(store, Origin::id_of(head.origin)).await?;
    let key: VerifierKey = origin.verifier.parse()?;
    let checkpoint = Checkpoint::open(&signed.note, &key)?;
    for tile in Tile::all(checkpoint.size) {
        sink.write(&Resource::Tile(tile).to_string(), &reader::tile(store, tile).await?)?;
        if tile.level == 0 {
            let (index, width) = (tile.index, tile.width);
            let bundle = reader::bundle(store, index, width).await?;
            sink.write(&Resource::Entries { index, width }.to_string(), &bundle)?;
        }
    }
    sink.write(KEY_FILE, format!("{key}\n").as_bytes())?;
    sink.write(&Resource::Checkpoint.to_string(), signed.note.as_bytes())?;
    Ok(checkpoint)
}

async fn required<T: Document>(store: &dyn Store, id: Vec<u8>) -> Result<T> {
    let doc = store.get(&[T::key(id)]).await?.pop().flatten().ok_or_else(error::not_found)?;
    Ok(Stored::<T>::from_doc(&doc)?.value)
}
