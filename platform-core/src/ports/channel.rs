//! Outgoing messages.

use parking_lot::Mutex;

use crate::kernel::{BoxFuture, Timestamp};

/// A message that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same for every attempt: the Message-ID, the provider's idempotency key.
    pub id: String,
    /// The address in the channel's own form.
    pub to: String,
    /// Subject, where the channel has one.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML, where the channel has it.
    pub html: Option<String>,
    /// After this it must not be sent any more; checked just before the step that cannot be undone.
    pub deadline: Option<Timestamp>,
}

/// What the next system said when it took the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its own id or answer, for support.
    pub provider_reference: String,
}

/// Why a message was not (or perhaps not) taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// It will never be taken: the address does not exist.
    Permanent(String),
    /// It was not taken now.
    Transient(String),
    /// It may have been taken: the connection ended between the last byte and the answer (RFC 1047).
    Ambiguous(String),
    /// The deadline passed before the step that cannot be undone.
    Expired,
}

/// One way out: e-mail, SMS, push.
///
/// # Behavior
/// - `send` returns when the next system has taken the message, and not before.
/// - A deadline that has passed is respected until just before the irreversible step.
/// - The cause is short, without personal data and without secrets.
pub trait Channel: Send + Sync {
    /// `email`, `sms`, `push`.
    fn name(&self) -> &'static str;

    /// Hands a message over.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Receipt, SendError>>;
}

/// A channel that keeps what it is given: for tests and for trying out.
#[derive(Default)]
pub struct MemoryChannel {
    sent: Mutex<Vec<Message>>,
    failures: Mutex<Vec<SendError>>,
}

impl MemoryChannel {
    /// What was sent so far.
    pub fn sent(&self) -> Vec<Message> {
        self.sent.lock().clone()
    }

    /// Lets the next attempts fail, the last of the list first.
    pub fn fail_with(&self, failures: Vec<SendError>) {
        *self.failures.lock() = failures;
    }
}

impl Channel for MemoryChannel {
    fn name(&self) -> &'static str {
        "email"
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async {
            if let Some(failure) = self.failures.lock().pop() {
                return Err(failure);
            }
            let mut sent = self.sent.lock();
            sent.push(message.clone());
            Ok(Receipt { provider_reference: format!("memory-{}", sent.len()) })
        })
    }
}
