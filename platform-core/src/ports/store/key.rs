//! Order-preserving encoding of composed keys and entries.

use crate::kernel::{Error, Result, Timestamp};

/// Writes parts so that the bytes sort like the tuple of the parts.
///
/// Text and bytes are escaped (`0 → 0 255`) and end with `0 0`; numbers are big endian.
///
/// ```
/// use platform_core::ports::store::{KeyReader, KeyWriter};
/// let key = KeyWriter::new().text("ada").u64(7).finish();
/// let mut reader = KeyReader::new(&key);
/// assert_eq!((reader.text().unwrap(), reader.u64().unwrap()), ("ada".to_owned(), 7));
/// ```
#[derive(Debug, Default)]
pub struct KeyWriter(Vec<u8>);

impl KeyWriter {
    /// An empty key.
    pub fn new() -> KeyWriter {
        KeyWriter::default()
    }

    /// Appends bytes of any length.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> KeyWriter {
        for byte in bytes {
            self.0.push(*byte);
            if *byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// Appends text.
    #[must_use]
    pub fn text(self, text: &str) -> KeyWriter {
        self.bytes(text.as_bytes())
    }

    /// Appends bytes of a length that every key of this kind shares (an id).
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> KeyWriter {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a number.
    #[must_use]
    pub fn u64(self, number: u64) -> KeyWriter {
        self.fixed(&number.to_be_bytes())
    }

    /// Appends a time.
    #[must_use]
    pub fn time(self, at: Timestamp) -> KeyWriter {
        self.u64(at.as_micros())
    }

    /// The key.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what [`KeyWriter`] wrote.
#[derive(Debug)]
pub struct KeyReader<'a>(&'a [u8]);

fn damaged() -> Error {
    Error::data_loss("store.damaged", "a composed key does not read")
}

impl<'a> KeyReader<'a> {
    /// From the first part.
    pub fn new(key: &'a [u8]) -> KeyReader<'a> {
        KeyReader(key)
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.0 {
                [0, 0, rest @ ..] => {
                    self.0 = rest;
                    return Ok(out);
                }
                [0, 0xff, rest @ ..] => {
                    out.push(0);
                    self.0 = rest;
                }
                [0, ..] | [] => return Err(damaged()),
                [byte, rest @ ..] => {
                    out.push(*byte);
                    self.0 = rest;
                }
            }
        }
    }

    /// Reads text.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| damaged())
    }

    /// Reads `N` bytes.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(*head)
    }

    /// Reads a number.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn u64(&mut self) -> Result<u64> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Reads a time.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn time(&mut self) -> Result<Timestamp> {
        self.u64().map(Timestamp::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_sort_like_their_parts(
            a in proptest::collection::vec(0u8..4, 0..6), b in proptest::collection::vec(0u8..4, 0..6),
            x in any::<u64>(), y in any::<u64>(),
        ) {
            let key = |bytes: &[u8], number| KeyWriter::new().bytes(bytes).u64(number).finish();
            prop_assert_eq!(key(&a, x).cmp(&key(&b, y)), (a.clone(), x).cmp(&(b, y)));
            let written = key(&a, x);
            let mut reader = KeyReader::new(&written);
            prop_assert_eq!((reader.bytes().unwrap(), reader.u64().unwrap()), (a, x));
        }

        #[test]
        fn foreign_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = KeyReader::new(&bytes);
            let _ = (reader.text().is_ok(), reader.fixed::<16>().is_ok(), reader.time().is_ok());
        }
    }
}
