//! A look at fjall's journals before fjall opens them.
//!
//! At opening, fjall 3.1 drops what does not read at the end of a journal, and refuses to open when its
//! last batch is complete in length but not in content, as a crash of the machine may leave it. Here
//! the batches are read first, with their checksums and our own positions in them: what is torn at the
//! very end is cut off, and what is missing before the end is an error. That nothing acknowledged was
//! cut off is checked afterwards, against [`crate::acknowledged`].

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use platform_core::kernel::{Error, Position};
use xxhash_rust::xxh3::Xxh3;

use crate::ordered::layout::{POSITION, read_group};

const MAGIC: &[u8] = b"FJL\x03";

/// What is wrong with a journal.
pub(crate) enum Trouble {
    /// It cannot be read or written.
    Unreadable(PathBuf, io::Error),
    /// From this byte on it is damaged before its end.
    Damaged(PathBuf, u64),
}

/// Checks all journals of a database folder, cuts a torn end off the last one, and writes what is behind the
/// commit `acknowledged` once more: after a failed fsync Linux shows what was written and writes it no
/// more, and a later fsync succeeds without it. What is appended behind such a gap would be lost with the power.
///
/// # Errors
/// [`Trouble::Damaged`] when a batch is missing or damaged before the end.
pub(crate) fn check(folder: &Path, acknowledged: Position) -> Result<(), Trouble> {
    let journals = journals(folder).map_err(|error| Trouble::Unreadable(folder.to_owned(), error))?;
    let mut expected = None;
    for (at, path) in journals.iter().enumerate() {
        let unreadable = |error| Trouble::Unreadable(path.clone(), error);
        let Content { found, end, sure } = read(path, &mut expected, acknowledged).map_err(unreadable)?;
        match found {
            Found::Whole => {}
            Found::Torn if at + 1 == journals.len() => {
                tracing::warn!(path = %path.display(), end, "a torn batch at the end of the journal is cut off");
                cut(path, end).map_err(unreadable)?;
            }
            Found::Torn | Found::Gap => return Err(Trouble::Damaged(path.clone(), end)),
        }
        write_again(path, sure, end).map_err(unreadable)?;
    }
    Ok(())
}

/// Writes bytes as they are, so that the next fsync makes them durable; and does it.
fn write_again(path: &Path, from: u64, to: u64) -> io::Result<()> {
    if from >= to {
        return Ok(());
    }
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut bytes = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let size = usize::try_from(to - at).map_or(bytes.len(), |left| left.min(bytes.len()));
        let part = bytes.get_mut(..size).unwrap_or_default();
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(part)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(part)?;
        at += size as u64;
    }
    file.sync_all()
}

impl Trouble {
    /// As an error of a store.
    pub(super) fn of_store(self) -> Error {
        match self {
            Trouble::Unreadable(path, error) => {
                Error::unavailable("store.unavailable", "a journal cannot be read or written")
                    .with("path", path.display())
                    .because(error)
            }
            Trouble::Damaged(path, at) => Error::data_loss(
                "store.damaged",
                "a journal is damaged before its end, and commits that were acknowledged are lost: restore this store from a backup",
            )
            .with("journal", path.display())
            .with("byte", at),
        }
    }
}

/// The journals in their order.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|extension| extension == "jnl")) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Cuts a journal off, and keeps what was torn beside it.
fn cut(path: &Path, end: u64) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(end))?;
    let mut torn = Vec::new();
    // A group is at most 32 MiB, and a batch of 16 MiB may be its last.
    Read::by_ref(&mut file).take(64 << 20).read_to_end(&mut torn)?;
    torn.truncate(length_without_zeros(&torn));
    std::fs::write(path.with_extension("torn"), torn)?;
    file.set_len(end)?;
    file.sync_all()
}

/// How many bytes there are before the zeros at the end, which are many.
fn length_without_zeros(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let zeros = bytes.rchunks(ZEROS.len()).take_while(|part| ZEROS.get(..part.len()) == Some(*part));
    let length = bytes.len() - zeros.map(<[u8]>::len).sum::<usize>();
    let rest = bytes.get(..length).unwrap_or_default();
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

enum Found {
    /// It ends behind a batch, or in the zeros that fjall allocates ahead.
    Whole,
    /// Behind the end it does not read.
    Torn,
    /// The batch behind the end does not follow the one before.
    Gap,
}

/// What a journal holds.
struct Content {
    found: Found,
    /// Where the batches end.
    end: u64,
    /// Up to where all was acknowledged.
    sure: u64,
}

/// Reads all batches of a journal.
fn read(path: &Path, expected: &mut Option<Position>, acknowledged: Position) -> io::Result<Content> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    batches(BufReader::with_capacity(1 << 16, file), length, expected, acknowledged)
}

/// Where a journal of this content ends, and whether it ends there as it should.
#[cfg(feature = "fuzzing")]
pub(crate) fn extent(content: impl Read, length: u64) -> io::Result<(u64, bool)> {
    let Content { found, end, .. } = batches(content, length, &mut None, 0)?;
    match found {
        Found::Whole => Ok((length, true)),
        Found::Torn | Found::Gap => Ok((end, false)),
    }
}

/// Reads all batches; `expected` is the first position of the next group, once one is known.
fn batches(
    reader: impl Read,
    length: u64,
    expected: &mut Option<Position>,
    acknowledged: Position,
) -> io::Result<Content> {
    let mut input = Input { reader, at: 0, length, seqno: None };
    let mut sure = 0;
    loop {
        let end = input.at;
        let found = match input.batch() {
            Ok(Batch::End) => Found::Whole,
            Ok(Batch::Group(first, _)) if expected.is_some_and(|expected| expected != first) => Found::Gap,
            Ok(Batch::Group(_, last)) => {
                *expected = Some(last + 1);
                if last <= acknowledged {
                    sure = input.at;
                }
                continue;
            }
            Ok(Batch::Other) => continue,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
            {
                Found::Torn
            }
            Err(error) => return Err(error),
        };
        return Ok(Content { found, end, sure });
    }
}

enum Batch {
    /// Nothing follows.
    End,
    /// A group of ours, from one position to another.
    Group(Position, Position),
    /// Any other batch: an index that was filled, a setting.
    Other,
}

struct Input<R> {
    reader: R,
    at: u64,
    length: u64,
    /// Of the batch before.
    seqno: Option<u64>,
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl<R: Read> Input<R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        // A damaged length must not take all memory.
        if length as u64 > self.length - self.at.min(self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        self.at += length as u64;
        Ok(bytes)
    }

    /// One batch: `1` count (u32) seqno (u64), items, `3` checksum (u64) magic; all little endian.
    fn batch(&mut self) -> io::Result<Batch> {
        if self.at >= self.length {
            return Ok(Batch::End);
        }
        match self.take::<1>()? {
            [0] => return Ok(Batch::End),
            [1] => {}
            _ => return Err(invalid()),
        }
        let count = u32::from_le_bytes(self.take()?);
        // The head has no checksum; but every batch has a higher number than the one before.
        let seqno = u64::from_le_bytes(self.take()?);
        if self.seqno.is_some_and(|before| seqno <= before) {
            return Err(invalid());
        }
        let mut hash = Xxh3::new();
        let mut batch = Batch::Other;
        for _ in 0..count {
            if let Some(group) = self.item(&mut hash)? {
                batch = group;
            }
        }
        let [tag] = self.take()?;
        let checksum = u64::from_le_bytes(self.take()?);
        if tag != 3 || self.take::<4>()? != MAGIC || hash.digest() != checksum {
            return Err(invalid());
        }
        self.seqno = Some(seqno);
        Ok(batch)
    }

    /// `2` kind compression keyspace (u64) key length (u16) value length (u32) length on disk (u32) key
    /// value, or `4` keyspace (u64).
    fn item(&mut self, hash: &mut Xxh3) -> io::Result<Option<Batch>> {
        let tag: [u8; 1] = self.take()?;
        hash.update(&tag);
        if tag == [4] {
            hash.update(&self.take::<8>()?);
            return Ok(None);
        }
        if tag != [2] {
            return Err(invalid());
        }
        let head: [u8; 10] = self.take()?;
        let key_length: [u8; 2] = self.take()?;
        let value_length: [u8; 4] = self.take()?;
        let disk_length: [u8; 4] = self.take()?;
        let key = self.bytes(usize::from(u16::from_le_bytes(key_length)))?;
        let value = self.bytes(u32::from_le_bytes(disk_length) as usize)?;
        for part in [&head[..], &key_length, &value_length, &disk_length, &key, &value] {
            hash.update(part);
        }
        if key != POSITION {
            return Ok(None);
        }
        let (first, last) = read_group(&value).map_err(|_| invalid())?;
        Ok(Some(Batch::Group(first, last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zeros_at_the_end_are_no_part_of_what_was_torn() {
        for length in [0, 1, 4095, 4096, 4097, 9000] {
            for zeros in [0, 1, 4095, 4096, 20_000] {
                let bytes = [vec![7; length], vec![0; zeros]].concat();
                assert_eq!(length_without_zeros(&bytes), length);
            }
        }
    }
}
