//! The one public error.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What kind of failure it is: the only thing a transport needs to know.
///
/// One table maps a kind to every transport; [`ErrorKind::ALL`] lets a test walk it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is malformed, whatever the state of the system.
    InvalidInput,
    /// It is not known who is asking.
    Unauthenticated,
    /// It is known who is asking, and they may not.
    Forbidden,
    /// The thing does not exist, or the asker may not know that it does.
    NotFound,
    /// A thing with this identity exists already.
    AlreadyExists,
    /// The request contradicts the present state.
    Conflict,
    /// A condition that the caller stated is not true any more (a stale `If-Match`).
    FailedPrecondition,
    /// A limit of rate, size or number is reached.
    LimitExceeded,
    /// Something that is needed cannot be reached now.
    Unavailable,
    /// A fault of ours.
    Internal,
    /// Stored data is damaged or missing.
    DataLoss,
}

impl ErrorKind {
    /// Every kind, in the order of the declaration.
    pub const ALL: [ErrorKind; 11] = [
        ErrorKind::InvalidInput,
        ErrorKind::Unauthenticated,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::Conflict,
        ErrorKind::FailedPrecondition,
        ErrorKind::LimitExceeded,
        ErrorKind::Unavailable,
        ErrorKind::Internal,
        ErrorKind::DataLoss,
    ];

    /// `(HTTP status, gRPC code, name)`: the name is the GraphQL extension, the stem of the Python
    /// exception (`ForbiddenError`) and the UniFFI variant.
    const fn row(self) -> (u16, u8, &'static str) {
        match self {
            ErrorKind::InvalidInput => (400, 3, "InvalidInput"),
            ErrorKind::Unauthenticated => (401, 16, "Unauthenticated"),
            ErrorKind::Forbidden => (403, 7, "Forbidden"),
            ErrorKind::NotFound => (404, 5, "NotFound"),
            ErrorKind::AlreadyExists => (409, 6, "AlreadyExists"),
            ErrorKind::Conflict => (409, 10, "Conflict"),
            ErrorKind::FailedPrecondition => (412, 9, "FailedPrecondition"),
            ErrorKind::LimitExceeded => (429, 8, "LimitExceeded"),
            ErrorKind::Unavailable => (503, 14, "Unavailable"),
            ErrorKind::Internal => (500, 13, "Internal"),
            ErrorKind::DataLoss => (500, 15, "DataLoss"),
        }
    }

    /// The HTTP status (RFC 9110).
    pub const fn http_status(self) -> u16 {
        self.row().0
    }

    /// The gRPC status code.
    pub const fn grpc_code(self) -> u8 {
        self.row().1
    }

    /// The name in GraphQL, Python (followed by `Error`) and UniFFI.
    pub const fn name(self) -> &'static str {
        self.row().2
    }

    /// Whether the cause lies with us: details are logged and not shown.
    pub const fn is_fault(self) -> bool {
        matches!(self, ErrorKind::Internal | ErrorKind::DataLoss)
    }
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    No,
    /// It may succeed, at once.
    Now,
    /// It may succeed after this time.
    After(Duration),
}

/// The result of everything public.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: a kind, a stable code, a sentence for people, context, and whether to retry.
///
/// ```
/// use platform_core::kernel::{Error, ErrorKind};
/// let error = Error::not_found("users.not_found", "there is no such user").with("user_id", "user_01h");
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.code(), "users.not_found");
/// assert_eq!(error.context().next(), Some(("user_id", "user_01h")));
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    code: &'static str,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    retry: Retry,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(code: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
            Error::new(ErrorKind::$kind, code, message)
        }
    )*};
}

impl Error {
    /// An error of the given kind. `code` is stable and has the form `domain.what`.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
        let retry = if kind == ErrorKind::Unavailable { Retry::Now } else { Retry::No };
        Error(Box::new(Inner {
            kind,
            code,
            message: message.into(),
            context: Vec::new(),
            retry,
            source: None,
        }))
    }

    constructors! {
        /// A malformed request.
        invalid => InvalidInput;
        /// Nobody signed in.
        unauthenticated => Unauthenticated;
        /// Not allowed.
        forbidden => Forbidden;
        /// Not there.
        not_found => NotFound;
        /// There already.
        already_exists => AlreadyExists;
        /// Contradicts the present state.
        conflict => Conflict;
        /// A stated condition does not hold.
        precondition => FailedPrecondition;
        /// A limit is reached.
        limit => LimitExceeded;
        /// Not reachable now; may be retried.
        unavailable => Unavailable;
        /// A fault of ours.
        internal => Internal;
        /// Damaged data.
        data_loss => DataLoss;
    }

    /// Adds one field of context. Never a secret, never personal data.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Error {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Says when to retry.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Error {
        self.0.retry = retry;
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code, `domain.what`.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The fields of context, in the order in which they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether what was asked for may have happened although it failed: who remembers anything that it
    /// may have changed forgets it, as if it had succeeded.
    pub fn may_have_happened(&self) -> bool {
        self.0.kind == ErrorKind::Unavailable
    }

    /// Whether and when to retry.
    pub fn retry_advice(&self) -> Retry {
        self.0.retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)?;
        for (name, value) in self.context() {
            write!(f, " [{name}={value}]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.0.kind)?;
        match &self.0.source {
            Some(source) => write!(f, ", because {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        let rows: Vec<_> =
            ErrorKind::ALL.iter().map(|kind| (kind.name(), kind.http_status(), kind.grpc_code())).collect();
        assert_eq!(
            rows,
            [
                ("InvalidInput", 400, 3),
                ("Unauthenticated", 401, 16),
                ("Forbidden", 403, 7),
                ("NotFound", 404, 5),
                ("AlreadyExists", 409, 6),
                ("Conflict", 409, 10),
                ("FailedPrecondition", 412, 9),
                ("LimitExceeded", 429, 8),
                ("Unavailable", 503, 14),
                ("Internal", 500, 13),
                ("DataLoss", 500, 15),
            ]
        );
    }

    #[test]
    fn display_names_code_message_and_context() {
        let error = Error::conflict("ledger.insufficient_funds", "the floor would be broken")
            .with("account", "acc_1");
        assert_eq!(error.to_string(), "ledger.insufficient_funds: the floor would be broken [account=acc_1]");
    }
}
