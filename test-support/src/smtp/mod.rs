//! An SMTP server (RFC 5321) for tests: strict, observable, and able to fail at every step.

mod mail;
mod session;
mod tls;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use mail::Mail;

/// What the server offers.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on.
    pub listen: String,
    /// Offers STARTTLS with a certificate made for the occasion.
    pub starttls: bool,
    /// Offers PIPELINING. Without it, commands that come before an answer are a violation.
    pub pipelining: bool,
    /// Offers AUTH and takes no mail without it.
    pub credentials: Option<(String, String)>,
}

impl Default for Options {
    fn default() -> Options {
        Options { listen: "127.0.0.1:0".to_owned(), starttls: false, pipelining: true, credentials: None }
    }
}

/// What goes wrong with the next mail. Codes are the reply's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is greeted with this code and closed.
    Greet(u16),
    /// MAIL is refused.
    RefuseSender(u16),
    /// RCPT is refused.
    RefuseRecipient(u16),
    /// DATA is refused.
    RefuseData(u16),
    /// The content is refused after its end.
    RefuseContent(u16),
    /// The connection breaks in the middle of the content: the mail is not taken.
    BreakInContent,
    /// The connection breaks after the end of the content; the mail was taken, and nobody says so.
    TakeAndBreak,
    /// The connection breaks after the end of the content; the mail was not taken.
    LoseAndBreak,
    /// The mail is taken; the connection breaks after the answer, so that its next use fails.
    BreakAfterwards,
    /// Nothing is answered to the end of the content.
    Hang,
}

struct Shared {
    options: Options,
    tls: tokio_rustls::TlsAcceptor,
    faults: Mutex<VecDeque<Fault>>,
    mails: watch::Sender<Vec<Mail>>,
    violations: Mutex<Vec<String>>,
    connections: Mutex<u64>,
}

impl Shared {
    fn violation(&self, what: impl Into<String>) {
        self.violations.lock().push(what.into());
    }

    /// Takes the next fault if it is one of these.
    fn fault(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = self.faults.lock();
        if faults.front().is_some_and(wanted) { faults.pop_front() } else { None }
    }
}

/// A running server. It ends when this is dropped.
pub struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl SmtpServer {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(options: Options) -> io::Result<SmtpServer> {
        let listener = TcpListener::bind(&options.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            options,
            tls: tls::acceptor()?,
            faults: Mutex::default(),
            mails: watch::Sender::new(Vec::new()),
            violations: Mutex::default(),
            connections: Mutex::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(SmtpServer { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `smtp://…`, with the credentials if it has any.
    pub fn url(&self) -> String {
        match &self.shared.options.credentials {
            Some((user, password)) => format!("smtp://{user}:{password}@{}", self.address),
            None => format!("smtp://{}", self.address),
        }
    }

    /// Lets the next mails fail, in this order.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults.lock().extend(faults);
    }

    /// What was taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails.borrow().clone()
    }

    /// Waits until so many mails were taken, ten seconds at most; returns all.
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        let mut mails = self.shared.mails.subscribe();
        let enough = mails.wait_for(|mails| mails.len() >= count);
        let _ = tokio::time::timeout(Duration::from_secs(10), enough).await;
        self.mails()
    }

    /// Every rule that a client broke.
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations.lock().clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        *self.shared.connections.lock()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        // A failed accept is a client that left in the meantime.
        if let Ok((stream, _)) = listener.accept().await {
            *shared.connections.lock() += 1;
            sessions.spawn(session::serve(stream, Arc::clone(&shared)));
        }
        while sessions.try_join_next().is_some() {}
    }
}
