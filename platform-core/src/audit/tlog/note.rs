//! A text with signatures (C2SP signed-note 1.0).

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::super::error;
use super::key::{KeyId, SigningKey, VerifierKey, is_name};
use crate::kernel::{Error, Result};

/// Bytes of a note that is read: far more than a checkpoint with many witnesses.
const NOTE_BYTES: usize = 64 * 1024;
/// Signatures of a note that is read: a log and as many witnesses as anyone has.
const SIGNATURES: usize = 100;

/// One line `— name base64(key id ‖ signature)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub key: KeyId,
    /// The signature's own bytes.
    pub signature: Vec<u8>,
}

/// A text, which ends with a newline, and its signatures. Text form: as the standard writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Signs a text.
    ///
    /// # Errors
    /// `audit.invalid_note` when the text does not end with a newline or has control characters.
    pub fn sign(text: String, key: &SigningKey) -> Result<SignedNote> {
        if !is_text(&text) {
            return Err(error::invalid_note());
        }
        let signature = NoteSignature {
            name: key.verifier().name().to_owned(),
            key: key.verifier().id(),
            signature: key.sign(text.as_bytes()),
        };
        Ok(SignedNote { text, signatures: vec![signature] })
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Who signed.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The text, when `key` has signed it. Signatures of other keys are not looked at.
    ///
    /// # Errors
    /// `audit.not_signed` without a signature of this key, `audit.bad_signature` when one does not hold.
    pub fn verify(&self, key: &VerifierKey) -> Result<&str> {
        let mut own =
            self.signatures.iter().filter(|line| line.name == key.name() && line.key == key.id()).peekable();
        if own.peek().is_none() {
            return Err(error::not_signed().with("key", key));
        }
        if own.all(|line| key.verifies(self.text.as_bytes(), &line.signature)) {
            Ok(&self.text)
        } else {
            Err(error::bad_signature().with("key", key))
        }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            let bytes = [line.key.0.as_slice(), &line.signature].concat();
            writeln!(f, "\u{2014} {} {}", line.name, BASE64_STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

impl FromStr for SignedNote {
    type Err = Error;

    fn from_str(note: &str) -> Result<Self, Self::Err> {
        parse(note).ok_or_else(error::invalid_note)
    }
}

fn parse(note: &str) -> Option<SignedNote> {
    if note.len() > NOTE_BYTES || !is_text(note) {
        return None;
    }
    let at = note.rfind("\n\n")?;
    let (text, rest) = (note.get(..=at)?, note.get(at + 2..)?);
    let signatures = rest.strip_suffix('\n')?.split('\n').map(signature).collect::<Option<Vec<_>>>()?;
    (signatures.len() <= SIGNATURES).then(|| SignedNote { text: text.to_owned(), signatures })
}

fn signature(line: &str) -> Option<NoteSignature> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    let (key, signature) = bytes.split_first_chunk::<4>()?;
    (is_name(name) && !signature.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        key: KeyId(*key),
        signature: signature.to_vec(),
    })
}

/// UTF-8 without control characters of ASCII but newlines, ending with one.
fn is_text(text: &str) -> bool {
    text.ends_with('\n') && !text.bytes().any(|byte| byte < b' ' && byte != b'\n')
}
