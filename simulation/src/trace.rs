//! The trace of a run: a hash over everything that happened, in its order.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// The hash of a run: equal for equal seeds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceHash([u8; 32]);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceHash({self})")
    }
}

/// Takes in what happens: every commit, every append, every message, every answer.
pub struct Trace {
    hash: Context,
    print: bool,
}

impl Trace {
    /// Empty. With `print` each step is also written to the error output.
    pub fn new(print: bool) -> Trace {
        Trace { hash: Context::new(&SHA256), print }
    }

    /// Something happened.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        let text = line.to_string();
        if self.print {
            eprintln!("{text}");
        }
        self.bytes(text.as_bytes());
    }

    /// The bytes that go with what happened.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// The hash so far.
    pub fn hash(&self) -> TraceHash {
        let mut hash = [0; 32];
        hash.iter_mut().zip(self.hash.clone().finish().as_ref()).for_each(|(to, from)| *to = *from);
        TraceHash(hash)
    }
}
