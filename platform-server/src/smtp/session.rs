//! A connection to a mail server: the dialogue of RFC 5321, pipelined (RFC 2920) where it is offered.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use platform_core::kernel::{Error, Secret};
use platform_core::ports::channel::SendError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::mime::Envelope;
use super::reply::{Reply, read_reply};
use super::url::{Protection, SmtpUrl};

/// To be connected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between a command and its reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between the end of a message and its reply. RFC 5321, 4.5.3.2.6 grants ten minutes; the worker's claim does not
/// last so long, and what ends here is known to be ambiguous.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(90);
/// A message up to this size leaves in one write together with its end.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

type Stream = BufReader<BufWriter<Box<dyn Duplex>>>;

/// An open session, ready for a message.
pub(super) struct Session {
    stream: Stream,
    extensions: Extensions,
}

/// What the server offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Extensions {
    pipelining: bool,
    starttls: bool,
    size: bool,
    auth: Vec<String>,
}

/// Why a message did not go out, and what that says about the connection.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: SendError,
    /// The connection is in order and may be used again.
    pub(super) reusable: bool,
    /// The server had closed the connection before it saw anything of the message.
    pub(super) stale: bool,
}

impl Failure {
    fn closed(error: SendError) -> Failure {
        Failure { error, reusable: false, stale: false }
    }
}

/// The step after which nothing can be undone any more.
pub(super) trait Deadline: Sync {
    /// Whether it is too late.
    fn has_passed(&self) -> bool;
}

impl Session {
    /// Connects, encrypts and signs in.
    pub(super) async fn open(url: &SmtpUrl, tls: &TlsConnector) -> Result<Session, SendError> {
        let unreachable =
            |what: &str, error: &io::Error| SendError::Transient(format!("{what}: {}", error.kind()));
        let connect = TcpStream::connect((url.host.as_str(), url.port));
        let tcp = in_time(CONNECT_TIMEOUT, connect).await.map_err(|error| unreachable("connect", &error))?;
        // Every write is a complete step of the dialogue.
        tcp.set_nodelay(true).map_err(|error| unreachable("connect", &error))?;
        let name = tcp
            .local_addr()
            .map(|local| literal(local.ip()))
            .map_err(|error| unreachable("connect", &error))?;
        let stream: Box<dyn Duplex> = match url.protection {
            Protection::Implicit => Box::new(handshake(tls, &url.host, tcp).await?),
            Protection::Opportunistic | Protection::Required => Box::new(tcp),
        };
        let mut session = Session { stream: buffered(stream), extensions: Extensions::default() };
        session.greeted().await.map_err(|error| unreachable("greeting", &error))??;
        session.hello(&name).await?;
        if url.protection != Protection::Implicit {
            session = session.encrypt(url, tls, &name).await?;
        }
        if let Some((user, password)) = &url.credentials {
            session.sign_in(user, password).await?;
        }
        Ok(session)
    }

    async fn greeted(&mut self) -> io::Result<Result<(), SendError>> {
        let greeting = in_time(REPLY_TIMEOUT, read_reply(&mut self.stream)).await?;
        Ok(match greeting.code {
            220 => Ok(()),
            _ => Err(SendError::Transient(format!("greeting: {}", greeting.status()))),
        })
    }

    async fn hello(&mut self, name: &str) -> Result<(), SendError> {
        let reply = self.ask(&format!("EHLO {name}\r\n"), "EHLO").await?;
        if reply.is_positive() {
            self.extensions = Extensions::of(&reply);
            return Ok(());
        }
        let reply = self.ask(&format!("HELO {name}\r\n"), "HELO").await?;
        self.extensions = Extensions::default();
        positive(&reply, "HELO")
    }

    /// STARTTLS (RFC 3207), when it is offered; without it nothing is sent if it is required.
    async fn encrypt(mut self, url: &SmtpUrl, tls: &TlsConnector, name: &str) -> Result<Session, SendError> {
        if !self.extensions.starttls {
            return match url.protection {
                Protection::Required => {
                    Err(SendError::Transient("STARTTLS is required and not offered".to_owned()))
                }
                Protection::Opportunistic | Protection::Implicit => Ok(self),
            };
        }
        let reply = self.ask("STARTTLS\r\n", "STARTTLS").await?;
        positive(&reply, "STARTTLS")?;
        // What came before the handshake is not protected, and may not be taken for what comes after it.
        if !self.stream.buffer().is_empty() {
            return Err(SendError::Transient("STARTTLS: unprotected data after the reply".to_owned()));
        }
        let plain = self.stream.into_inner().into_inner();
        let stream = handshake(tls, &url.host, plain).await?;
        let mut session = Session { stream: buffered(Box::new(stream)), extensions: Extensions::default() };
        session.hello(name).await?;
        Ok(session)
    }

    /// AUTH (RFC 4954). Wrong credentials are no reason to give a message up: they will be put right.
    async fn sign_in(&mut self, user: &str, password: &Secret) -> Result<(), SendError> {
        let offered = |mechanism: &str| self.extensions.auth.iter().any(|name| name == mechanism);
        let reply = if offered("PLAIN") {
            let answer = BASE64_STANDARD.encode(format!("\0{user}\0{}", password.expose()));
            self.ask(&format!("AUTH PLAIN {answer}\r\n"), "AUTH").await?
        } else if offered("LOGIN") {
            for step in ["AUTH LOGIN\r\n".to_owned(), format!("{}\r\n", BASE64_STANDARD.encode(user))] {
                let reply = self.ask(&step, "AUTH").await?;
                if reply.code != 334 {
                    return Err(SendError::Transient(format!("AUTH: {}", reply.status())));
                }
            }
            self.ask(&format!("{}\r\n", BASE64_STANDARD.encode(password.expose())), "AUTH").await?
        } else {
            return Err(SendError::Transient("AUTH is not offered with PLAIN or LOGIN".to_owned()));
        };
        match reply.code {
            235 => Ok(()),
            _ => Err(SendError::Transient(format!("AUTH: {}", reply.status()))),
        }
    }

    /// Hands a message over; returns the server's own name for it.
    pub(super) async fn send(
        &mut self,
        envelope: &Envelope,
        deadline: &dyn Deadline,
    ) -> Result<String, Failure> {
        if deadline.has_passed() {
            return Err(Failure { error: SendError::Expired, reusable: true, stale: false });
        }
        self.announce(envelope).await?;
        self.content(&envelope.content, deadline).await
    }

    /// MAIL, RCPT and DATA, in one write where the server can take it.
    async fn announce(&mut self, envelope: &Envelope) -> Result<(), Failure> {
        let size =
            if self.extensions.size { format!(" SIZE={}", envelope.content.len()) } else { String::new() };
        let commands = [
            ("MAIL", format!("MAIL FROM:<{}>{size}\r\n", envelope.from)),
            ("RCPT", format!("RCPT TO:<{}>\r\n", envelope.to)),
            ("DATA", "DATA\r\n".to_owned()),
        ];
        let broken = |error: &io::Error, stale| {
            let error = SendError::Transient(format!("before the message: {}", error.kind()));
            Failure { error, reusable: false, stale }
        };
        if self.extensions.pipelining {
            let group: String = commands.iter().map(|(_, command)| command.as_str()).collect();
            self.write(&group).await.map_err(|error| broken(&error, true))?;
        }
        let mut refusal: Option<(&str, Reply)> = None;
        for (index, (name, command)) in commands.iter().enumerate() {
            if !self.extensions.pipelining {
                if refusal.is_some() {
                    break;
                }
                self.write(command).await.map_err(|error| broken(&error, index == 0))?;
            }
            let reply = self.reply().await.map_err(|error| broken(&error, index == 0))?;
            if reply.code == 421 {
                let error = SendError::Transient(format!("{name}: {}", reply.status()));
                return Err(Failure { error, reusable: false, stale: index == 0 });
            }
            let goes_on = if *name == "DATA" { reply.code == 354 } else { reply.is_positive() };
            if !goes_on && refusal.is_none() {
                refusal = Some((name, reply));
            } else if goes_on && *name == "DATA" && refusal.is_some() {
                // The server waits for a message to nobody (RFC 2920, 3.1): it gets an empty one.
                self.write(".\r\n").await.map_err(|error| broken(&error, false))?;
                self.reply().await.map_err(|error| broken(&error, false))?;
            }
        }
        match refusal {
            None => Ok(()),
            Some((name, reply)) => {
                let reusable = self.ask("RSET\r\n", "RSET").await.is_ok_and(|reply| reply.is_positive());
                Err(Failure { error: refused(name, &reply), reusable, stale: false })
            }
        }
    }

    async fn content(&mut self, content: &[u8], deadline: &dyn Deadline) -> Result<String, Failure> {
        let stuffed = dot_stuffed(content);
        let before_end = |error: io::Error| {
            Failure::closed(SendError::Transient(format!("within the message: {}", error.kind())))
        };
        in_time(CONTENT_TIMEOUT, self.stream.write_all(&stuffed)).await.map_err(before_end)?;
        if deadline.has_passed() {
            // Without its end the server forgets the message.
            return Err(Failure::closed(SendError::Expired));
        }
        // From here on nobody knows without a reply (RFC 1047).
        let after_end = |error: io::Error| {
            Failure::closed(SendError::Ambiguous(format!("after the message: {}", error.kind())))
        };
        self.write(".\r\n").await.map_err(after_end)?;
        let reply = in_time(CONTENT_TIMEOUT, read_reply(&mut self.stream)).await.map_err(after_end)?;
        match reply.is_positive() {
            true => Ok(named(&reply)),
            false => {
                Err(Failure { error: refused("message", &reply), reusable: reply.code != 421, stale: false })
            }
        }
    }

    /// Says good-bye, as far as that is possible.
    pub(super) async fn close(mut self) {
        // The server closes on its side in any case.
        let _ = timeout(Duration::from_secs(1), self.ask("QUIT\r\n", "QUIT")).await;
    }

    async fn ask(&mut self, command: &str, name: &str) -> Result<Reply, SendError> {
        let broken = |error: io::Error| SendError::Transient(format!("{name}: {}", error.kind()));
        self.write(command).await.map_err(broken)?;
        self.reply().await.map_err(broken)
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        in_time(REPLY_TIMEOUT, async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        })
        .await
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        in_time(REPLY_TIMEOUT, read_reply(&mut self.stream)).await
    }
}

impl Extensions {
    fn of(reply: &Reply) -> Extensions {
        let mut extensions = Extensions::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace().map(str::to_ascii_uppercase);
            match words.next().as_deref() {
                Some("PIPELINING") => extensions.pipelining = true,
                Some("STARTTLS") => extensions.starttls = true,
                Some("SIZE") => extensions.size = true,
                Some("AUTH") => extensions.auth = words.collect(),
                _ => {}
            }
        }
        extensions
    }
}

fn buffered(stream: Box<dyn Duplex>) -> Stream {
    BufReader::new(BufWriter::with_capacity(WRITE_BUFFER_BYTES, stream))
}

async fn in_time<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, step).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn handshake<S: Duplex>(
    tls: &TlsConnector,
    host: &str,
    stream: S,
) -> Result<tokio_rustls::client::TlsStream<S>, SendError> {
    let failed = |error: io::Error| SendError::Transient(format!("TLS: {error}"));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(io::Error::other(error)))?;
    in_time(CONNECT_TIMEOUT, tls.connect(name, stream)).await.map_err(failed)
}

/// How a client without a name of its own calls itself (RFC 5321, 4.1.3).
fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

fn positive(reply: &Reply, name: &str) -> Result<(), SendError> {
    match reply.is_positive() {
        true => Ok(()),
        false => Err(SendError::Transient(format!("{name}: {}", reply.status()))),
    }
}

/// 5xx is for good, unless it is about us and not about the message: then it will be put right.
fn refused(step: &str, reply: &Reply) -> SendError {
    let cause = format!("{step}: {}", reply.status());
    let about_us = matches!(reply.code, 500..=504 | 530 | 535 | 538);
    if reply.is_permanent() && !about_us { SendError::Permanent(cause) } else { SendError::Transient(cause) }
}

/// The server's answer, often with the name under which the message is queued.
fn named(reply: &Reply) -> String {
    let line = reply.lines.first().map(String::as_str).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Doubles the dot at the beginning of a line (RFC 5321, 4.5.2), and ends the last line.
fn dot_stuffed(content: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(content.len() + 64);
    let mut at_start = true;
    for byte in content {
        if at_start && *byte == b'.' {
            stuffed.push(b'.');
        }
        stuffed.push(*byte);
        at_start = *byte == b'\n';
    }
    if !stuffed.is_empty() && !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
}

/// For settings that cannot work.
pub(super) fn invalid_sender(sender: &str) -> Error {
    Error::invalid("config.invalid_sender", "the sender is an address, or NAME <ADDRESS>")
        .with("sender", sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_at_the_beginning_of_lines_are_doubled() {
        assert_eq!(dot_stuffed(b".a\r\n..\r\nb.c"), b"..a\r\n...\r\nb.c\r\n");
        assert_eq!(dot_stuffed(b""), b"");
    }

    #[test]
    fn what_is_about_us_is_not_held_against_the_message() {
        let reply = |code| Reply { code, lines: vec!["5.7.1 no".into()] };
        assert_eq!(refused("RCPT", &reply(550)), SendError::Permanent("RCPT: 550 5.7.1".into()));
        assert_eq!(refused("MAIL", &reply(530)), SendError::Transient("MAIL: 530 5.7.1".into()));
        assert_eq!(refused("RCPT", &reply(451)), SendError::Transient("RCPT: 451 5.7.1".into()));
    }

    #[test]
    fn extensions_are_read_whatever_their_case() {
        let lines =
            ["host", "size 1000", "Pipelining", "AUTH plain LOGIN", "8BITMIME"].map(str::to_owned).to_vec();
        let extensions = Extensions::of(&Reply { code: 250, lines });
        assert!(extensions.pipelining && extensions.size && !extensions.starttls);
        assert_eq!(extensions.auth, ["PLAIN", "LOGIN"]);
    }
}
