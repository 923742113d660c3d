//! The channel `email`: mail over SMTP.
//!
//! The session is our own: it pipelines (two round trips per message where libraries take five), keeps
//! connections for the next message, checks the deadline just before the end of a message, and tells truthfully
//! when nobody can know whether a message was taken. The mail itself is built by lettre.

mod mime;
pub(crate) mod reply;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::time::{Duration, Instant, SystemTime};

use lettre::message::Mailbox;
use parking_lot::Mutex;
use platform_core::kernel::{BoxFuture, Result, Secret, Timestamp};
use platform_core::ports::channel::{Channel, Message, Receipt, SendError};
use tokio_rustls::TlsConnector;

pub use url::{Protection, SmtpUrl};

use session::{Deadline, Failure, Session};

/// Connections kept for the next message: as many as messages are sent side by side.
const IDLE_CONNECTIONS: usize = 16;
/// A connection waits this long for the next message: less than mail servers grant (Postfix under load: 10 s).
const IDLE_TIME: Duration = Duration::from_secs(8);

/// Mail over SMTP.
pub struct SmtpChannel {
    url: SmtpUrl,
    from: Mailbox,
    tls: TlsConnector,
    idle: Mutex<Vec<(Instant, Session)>>,
}

impl SmtpChannel {
    /// A channel to a server, as `from` (`ADDRESS` or `NAME <ADDRESS>`). Nothing is connected before the first
    /// message.
    ///
    /// # Errors
    /// `config.invalid_smtp_url`, `config.invalid_sender`, `config.no_trusted_roots`.
    pub fn new(url: &Secret, from: &str) -> Result<SmtpChannel> {
        let url = SmtpUrl::parse(url.expose())?;
        let from: Mailbox = from.parse().map_err(|_| session::invalid_sender(from))?;
        let tls = tls::connector(url.protection)?;
        Ok(SmtpChannel { url, from, tls, idle: Mutex::default() })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, SendError> {
        let now = SystemTime::now();
        let envelope = mime::build(&self.from, message, now)?;
        let deadline = Until(message.deadline);
        while let Some(mut session) = self.idle_session() {
            match session.send(&envelope, &deadline).await {
                // The server closed it while it was idle: nothing of the message was seen.
                Err(Failure { stale: true, .. }) => {}
                outcome => return self.settled(session, outcome),
            }
        }
        if deadline.has_passed() {
            return Err(SendError::Expired);
        }
        let mut session = Session::open(&self.url, &self.tls).await?;
        let outcome = session.send(&envelope, &deadline).await;
        self.settled(session, outcome)
    }

    /// Keeps the connection if it can be used again.
    fn settled(&self, session: Session, outcome: Result<String, Failure>) -> Result<Receipt, SendError> {
        let (reusable, outcome) = match outcome {
            Ok(provider_reference) => (true, Ok(Receipt { provider_reference })),
            Err(failure) => (failure.reusable, Err(failure.error)),
        };
        if reusable {
            let mut idle = self.idle.lock();
            if idle.len() < IDLE_CONNECTIONS {
                idle.push((Instant::now(), session));
            }
        }
        outcome
    }

    /// The connection that was used last; those that waited too long are closed.
    fn idle_session(&self) -> Option<Session> {
        let mut idle = self.idle.lock();
        let fresh = idle.iter().position(|(since, _)| since.elapsed() < IDLE_TIME).unwrap_or(idle.len());
        for (_, old) in idle.drain(..fresh) {
            tokio::spawn(old.close());
        }
        idle.pop().map(|(_, session)| session)
    }
}

impl Channel for SmtpChannel {
    fn name(&self) -> &'static str {
        "email"
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(self.deliver(message))
    }
}

/// A moment by the wall clock; `None` is never.
struct Until(Option<Timestamp>);

impl Deadline for Until {
    fn has_passed(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        self.0.is_some_and(|deadline| deadline <= now)
    }
}
