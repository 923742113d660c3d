//! The head of a log, to be signed (C2SP tlog-checkpoint 1.0).

use std::fmt;
use std::str::FromStr;

use super::super::error;
use super::key::{SigningKey, VerifierKey};
use super::note::SignedNote;
use crate::kernel::merkle::MerkleHash;
use crate::kernel::{Error, Result};

/// Which log, how many entries, and the root over them. Text form: three lines, then the extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log: a URL without scheme and without a slash at the end.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: MerkleHash,
    /// Further lines; ours have none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The signed form.
    ///
    /// # Errors
    /// `audit.invalid_note` when the origin is not a single line of text.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedNote> {
        SignedNote::sign(self.to_string(), key)
    }

    /// Reads a signed checkpoint, if `key` has signed it and it is of the log that the key is named after.
    ///
    /// # Errors
    /// `audit.invalid_note`, `audit.invalid_checkpoint`, `audit.not_signed`, `audit.bad_signature`.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Checkpoint> {
        let checkpoint: Checkpoint = note.parse::<SignedNote>()?.verify(key)?.parse()?;
        if checkpoint.origin != key.name() {
            return Err(error::invalid_checkpoint().with("origin", checkpoint.origin));
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = error::invalid_checkpoint;
        let mut lines = text.strip_suffix('\n').ok_or_else(invalid)?.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty()).ok_or_else(invalid);
        let (origin, size, root) = (next()?, next()?, next()?);
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| invalid())?,
            root: root.parse().map_err(|_| invalid())?,
            extensions: lines.map(str::to_owned).collect(),
        };
        // The size without leading zeros or a sign, no empty extension: one text for one checkpoint.
        let canonical = checkpoint.to_string() == text && checkpoint.extensions.iter().all(|l| !l.is_empty());
        if canonical { Ok(checkpoint) } else { Err(invalid()) }
    }
}
