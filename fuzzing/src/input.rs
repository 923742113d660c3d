//! Values out of bytes, and what is demanded of every error.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use platform_core::kernel::Error;

/// Takes values from the front; zeros when nothing is left.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.take(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// Up to this many bytes, fewer when there are fewer.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the next byte says.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// As [`Input::bytes`], as text.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// The text up to the first `separator`, and what is behind it.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == separator) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

/// The input as text; targets of text have nothing to do with what is none.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// An error has one of these codes, and a sentence.
pub(crate) fn refused(error: &Error, codes: &[&str]) {
    assert!(codes.contains(&error.code()), "the code is {}, not one of {codes:?}", error.code());
    assert!(!error.to_string().is_empty());
}

/// What reads is written as a text that reads as the same; what does not is refused with this code.
pub(crate) fn reads_back<T>(text: &str, code: &str) -> Option<T>
where
    T: FromStr<Err: Into<Error>> + Display + PartialEq + Debug,
{
    match text.parse::<T>() {
        Ok(value) => {
            let again = value.to_string().parse::<T>().unwrap_or_else(|error| {
                panic!("{text:?} was written as {value}, which is refused: {}", error.into())
            });
            assert_eq!(again, value, "{text:?} was written as {value}");
            Some(value)
        }
        Err(error) => {
            refused(&error.into(), &[code]);
            None
        }
    }
}

/// As [`reads_back`], for what has one text only.
pub(crate) fn has_one_text<T>(text: &str, code: &str) -> Option<T>
where
    T: FromStr<Err: Into<Error>> + Display + PartialEq + Debug,
{
    let value = reads_back::<T>(text, code)?;
    assert_eq!(value.to_string(), text);
    Some(value)
}
