//! The public formats of transparency logs (C2SP): signed-note 1.0, tlog-checkpoint 1.0, tlog-tiles 0.1.
//!
//! Whatever is written in them can be checked with tools that are not ours.

mod checkpoint;
mod key;
mod note;
mod tile;

pub use checkpoint::Checkpoint;
pub use key::{KeyId, SigningKey, VerifierKey};
pub use note::{NoteSignature, SignedNote};
pub use tile::{ENTRY_BYTES, EntryBundle, Resource, TILE_WIDTH, Tile};

#[cfg(test)]
mod tests;
