//! Keys of a log: Ed25519 (RFC 8032) in the text forms of C2SP signed-note.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use zeroize::Zeroizing;

use super::super::error;
use crate::kernel::{Error, Result, Secret};

/// The signature type of Ed25519.
const ED25519_TYPE: u8 = 0x01;
const KEY_BYTES: usize = 32;
const SECRET_PREFIX: &str = "PRIVATE+KEY+";

/// The first four bytes of `SHA256(name ‖ 0x0A ‖ 0x01 ‖ public key)`. Text form: hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    fn of(name: &str, public: &[u8; KEY_BYTES]) -> KeyId {
        let text = [name.as_bytes(), b"\n", &[ED25519_TYPE], public].concat();
        let mut id = [0; 4];
        id.iter_mut().zip(digest(&SHA256, &text).as_ref()).for_each(|(to, from)| *to = *from);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// What checks the signatures of a log. Text form: `name+key id+base64(0x01 ‖ public key)`.
///
/// ```
/// use platform_core::audit::VerifierKey;
/// let text = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
/// assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    public: [u8; KEY_BYTES],
}

impl VerifierKey {
    /// The key's name: the origin of its log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id, which stands in front of its signatures.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether `signature` is this key's signature of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id, encode(&self.public))
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, id, public) = split(text).ok_or_else(error::invalid_key)?;
        let key = VerifierKey { name: name.to_owned(), id: KeyId::of(name, &public), public };
        if key.id.to_string() == id { Ok(key) } else { Err(error::invalid_key()) }
    }
}

/// What signs for a log.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.verifier)
    }
}

impl SigningKey {
    /// From a name and 32 random bytes.
    ///
    /// # Errors
    /// `audit.invalid_key` for a name that is empty or has spaces or a plus sign.
    pub fn from_seed(name: &str, seed: &[u8; KEY_BYTES]) -> Result<SigningKey> {
        if !is_name(name) {
            return Err(error::invalid_key());
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| error::invalid_key())?;
        let mut public = [0; KEY_BYTES];
        public.iter_mut().zip(pair.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        let verifier = VerifierKey { name: name.to_owned(), id: KeyId::of(name, &public), public };
        Ok(SigningKey { verifier, pair })
    }

    /// From the text form `PRIVATE+KEY+name+key id+base64(0x01 ‖ seed)`.
    ///
    /// # Errors
    /// `audit.invalid_key`.
    pub fn from_text(text: &Secret) -> Result<SigningKey> {
        let rest = text.expose().strip_prefix(SECRET_PREFIX).ok_or_else(error::invalid_key)?;
        let (name, id, seed) = split(rest).ok_or_else(error::invalid_key)?;
        let key = SigningKey::from_seed(name, &Zeroizing::new(seed))?;
        if key.verifier.id.to_string() == id { Ok(key) } else { Err(error::invalid_key()) }
    }

    /// The key that checks its signatures.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs; 64 bytes, the same for the same message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// Whether signed-note admits it as a key's name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

fn encode(key: &[u8; KEY_BYTES]) -> String {
    BASE64_STANDARD.encode([&[ED25519_TYPE], key.as_slice()].concat())
}

/// `name+id+base64`, the last with the type in front of the 32 bytes.
fn split(text: &str) -> Option<(&str, &str, [u8; KEY_BYTES])> {
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(key).ok()?);
    let key = bytes.strip_prefix(&[ED25519_TYPE])?.try_into().ok()?;
    is_name(name).then_some((name, id, key))
}
