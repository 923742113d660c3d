//! Authenticated encryption: AES-256-GCM (NIST SP 800-38D).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, Result};

const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;

/// Sealed bytes: `1 ‖ nonce (12) ‖ ciphertext ‖ tag (16)`. In JSON: base 64.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// From bytes that were sealed before.
    pub fn from_bytes(bytes: Vec<u8>) -> Sealed {
        Sealed(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BASE64_STANDARD
            .decode(String::deserialize(deserializer)?)
            .map(Sealed)
            .map_err(serde::de::Error::custom)
    }
}

/// A 256-bit key that seals and opens.
pub struct DataKey(LessSafeKey);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl DataKey {
    /// From 32 random bytes.
    ///
    /// # Errors
    /// `keys.invalid` if the cipher refuses the key.
    pub fn new(bytes: &[u8; 32]) -> Result<DataKey> {
        UnboundKey::new(&AES_256_GCM, bytes)
            .map(|key| DataKey(LessSafeKey::new(key)))
            .map_err(|_| Error::internal("keys.invalid", "the cipher refused a key"))
    }

    /// Seals. `bound_to` is what the text belongs to (a table and a row): it opens nowhere else.
    /// `nonce` is random; 2³² texts under one key are the limit.
    ///
    /// # Errors
    /// `keys.seal_failed` for a text beyond the cipher's limit (64 GiB).
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], bound_to: &[u8], text: &[u8]) -> Result<Sealed> {
        let mut body = text.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut body)
            .map_err(|_| Error::internal("keys.seal_failed", "the cipher refused a text"))?;
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + body.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        Ok(Sealed(sealed))
    }

    /// Opens what [`DataKey::seal`] sealed.
    ///
    /// # Errors
    /// `keys.open_failed` when one bit differs, the key is another or it is bound to something else.
    pub fn open(&self, bound_to: &[u8], sealed: &Sealed) -> Result<Vec<u8>> {
        let failed =
            || Error::data_loss("keys.open_failed", "sealed data do not open: changed, or under another key");
        let (format, rest) = sealed.0.split_first().ok_or_else(failed)?;
        let (nonce, body) = rest.split_at_checked(NONCE_BYTES).ok_or_else(failed)?;
        if *format != FORMAT {
            return Err(failed().with("format", format));
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
        let mut body = body.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(bound_to), &mut body).map_err(|_| failed())?.len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_only_unchanged_and_in_its_place(text in proptest::collection::vec(any::<u8>(), 0..200), flip in any::<usize>()) {
            let key = DataKey::new(&[7; 32]).unwrap();
            let sealed = key.seal([1; 12], b"users/1", &text).unwrap();
            prop_assert_eq!(key.open(b"users/1", &sealed).unwrap(), text);
            prop_assert!(key.open(b"users/2", &sealed).is_err());
            prop_assert!(DataKey::new(&[8; 32]).unwrap().open(b"users/1", &sealed).is_err());
            let mut bytes = sealed.as_bytes().to_vec();
            let at = flip % bytes.len();
            bytes[at] ^= 1;
            prop_assert!(key.open(b"users/1", &Sealed::from_bytes(bytes)).is_err());
        }
    }
}
