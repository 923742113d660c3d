//! One connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Fault, Mail, Shared};

/// A line of the content, with its end (RFC 5321, 4.5.3.1.6).
const CONTENT_LINE_BYTES: usize = 1_000;
/// A command with its end (RFC 5321, 4.5.3.1.4).
const COMMAND_BYTES: usize = 512;

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

struct Session {
    stream: BufReader<Box<dyn Duplex>>,
    shared: Arc<Shared>,
    helo: Option<String>,
    encrypted: bool,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

/// How a session goes on after a command.
enum Next {
    Continue,
    StartTls,
    Close,
}

pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut session = Session {
        stream: BufReader::new(Box::new(stream)),
        shared,
        helo: None,
        encrypted: false,
        user: None,
        from: None,
        to: Vec::new(),
    };
    // An I/O error is a client that left.
    let _ = session.run().await;
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        if let Some(Fault::Greet(code)) = self.shared.fault(|fault| matches!(fault, Fault::Greet(_))) {
            return self.reply(code, "not now").await;
        }
        self.reply(220, "test ESMTP").await?;
        loop {
            let Some(line) = self.line(COMMAND_BYTES).await? else { return Ok(()) };
            match self.command(line.trim_end()).await? {
                Next::Continue => {}
                Next::StartTls => self.start_tls().await?,
                Next::Close => return Ok(()),
            }
        }
    }

    async fn command(&mut self, line: &str) -> io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        // RFC 2920, 3.1: these end a group, so nothing may follow before their answer.
        let ends_group = !matches!(verb.as_str(), "MAIL" | "RCPT" | "RSET");
        if !self.stream.buffer().is_empty() && (ends_group || !self.shared.options.pipelining) {
            self.shared.violation(format!("{verb}: more was sent before the answer"));
        }
        match verb.as_str() {
            "EHLO" => self.ehlo(rest).await?,
            "HELO" => {
                self.helo = Some(rest.to_owned());
                self.reply(250, "test").await?;
            }
            "STARTTLS" if self.shared.options.starttls && !self.encrypted => {
                self.reply(220, "go ahead").await?;
                return Ok(Next::StartTls);
            }
            "AUTH" => self.auth(rest).await?,
            "MAIL" => self.mail(rest).await?,
            "RCPT" => self.rcpt(rest).await?,
            "DATA" => return self.data().await,
            "RSET" => {
                self.reset();
                self.reply(250, "2.0.0 forgotten").await?;
            }
            "NOOP" => self.reply(250, "2.0.0 nothing done").await?,
            "QUIT" => {
                self.reply(221, "2.0.0 bye").await?;
                return Ok(Next::Close);
            }
            _ => {
                self.shared.violation(format!("unknown command {verb}"));
                self.reply(500, "5.5.2 unknown command").await?;
            }
        }
        Ok(Next::Continue)
    }

    async fn ehlo(&mut self, name: &str) -> io::Result<()> {
        if name.is_empty() {
            self.shared.violation("EHLO without a name");
        }
        self.helo = Some(name.to_owned());
        self.reset();
        let options = &self.shared.options;
        let mut lines = vec!["test", "SIZE 10485760", "ENHANCEDSTATUSCODES"];
        lines.extend(options.pipelining.then_some("PIPELINING"));
        lines.extend((options.starttls && !self.encrypted).then_some("STARTTLS"));
        lines.extend(options.credentials.as_ref().map(|_| "AUTH PLAIN LOGIN"));
        let last = lines.len() - 1;
        let text: String = lines
            .iter()
            .enumerate()
            .map(|(index, line)| format!("250{}{line}\r\n", if index == last { ' ' } else { '-' }))
            .collect();
        self.write(text.as_bytes()).await
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let plain = std::mem::replace(&mut self.stream, BufReader::new(Box::new(tokio::io::empty())));
        let stream = self.shared.tls.accept(plain.into_inner()).await?;
        self.stream = BufReader::new(Box::new(stream));
        self.encrypted = true;
        self.helo = None;
        self.reset();
        Ok(())
    }

    async fn auth(&mut self, rest: &str) -> io::Result<()> {
        let Some((user, password)) = self.shared.options.credentials.clone() else {
            self.shared.violation("AUTH was not offered");
            return self.reply(503, "5.5.1 not offered").await;
        };
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let right = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let answer = if initial.is_empty() { self.ask("").await? } else { initial.to_owned() };
                decoded(&answer) == format!("\0{user}\0{password}")
            }
            "LOGIN" => {
                let name = self.ask("VXNlcm5hbWU6").await?;
                let word = self.ask("UGFzc3dvcmQ6").await?;
                decoded(&name) == user && decoded(&word) == password
            }
            _ => return self.reply(504, "5.5.4 unknown mechanism").await,
        };
        if !right {
            return self.reply(535, "5.7.8 wrong credentials").await;
        }
        self.user = Some(user);
        self.reply(235, "2.7.0 welcome").await
    }

    async fn ask(&mut self, challenge: &str) -> io::Result<String> {
        self.reply(334, challenge).await?;
        Ok(self.line(COMMAND_BYTES).await?.unwrap_or_default().trim_end().to_owned())
    }

    async fn mail(&mut self, rest: &str) -> io::Result<()> {
        if self.helo.is_none() || self.from.is_some() {
            self.shared.violation("MAIL out of order");
            return self.reply(503, "5.5.1 out of order").await;
        }
        if self.shared.options.credentials.is_some() && self.user.is_none() {
            return self.reply(530, "5.7.0 sign in first").await;
        }
        if let Some(Fault::RefuseSender(code)) =
            self.shared.fault(|fault| matches!(fault, Fault::RefuseSender(_)))
        {
            return self.reply(code, "refused").await;
        }
        match path(rest, "FROM:") {
            Some(address) => {
                self.from = Some(address);
                self.reply(250, "2.1.0 ok").await
            }
            None => {
                self.shared.violation(format!("MAIL {rest}"));
                self.reply(501, "5.5.4 not a path").await
            }
        }
    }

    async fn rcpt(&mut self, rest: &str) -> io::Result<()> {
        if self.from.is_none() {
            return self.reply(503, "5.5.1 out of order").await;
        }
        let refused = self.shared.fault(|fault| matches!(fault, Fault::RefuseRecipient(_)));
        if let Some(Fault::RefuseRecipient(code)) = refused {
            return self.reply(code, "no such mailbox").await;
        }
        match path(rest, "TO:").filter(|address| address.contains('@')) {
            Some(address) => {
                self.to.push(address);
                self.reply(250, "2.1.5 ok").await
            }
            None => {
                self.shared.violation(format!("RCPT {rest}"));
                self.reply(501, "5.5.4 not a path").await
            }
        }
    }

    async fn data(&mut self) -> io::Result<Next> {
        if self.to.is_empty() {
            self.reply(503, "5.5.1 no valid recipients").await?;
            return Ok(Next::Continue);
        }
        if let Some(Fault::RefuseData(code)) =
            self.shared.fault(|fault| matches!(fault, Fault::RefuseData(_)))
        {
            self.reset();
            self.reply(code, "refused").await?;
            return Ok(Next::Continue);
        }
        self.reply(354, "go on").await?;
        if self.shared.fault(|fault| *fault == Fault::BreakInContent).is_some() {
            return Ok(Next::Close);
        }
        let Some(content) = self.content().await? else { return Ok(Next::Close) };
        let mail = Mail {
            helo: self.helo.clone().unwrap_or_default(),
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            content,
            encrypted: self.encrypted,
            user: self.user.clone(),
        };
        let after = self.shared.fault(|fault| {
            use Fault::{BreakAfterwards, Hang, LoseAndBreak, RefuseContent, TakeAndBreak};
            matches!(fault, RefuseContent(_) | TakeAndBreak | LoseAndBreak | BreakAfterwards | Hang)
        });
        match after {
            Some(Fault::RefuseContent(code)) => {
                self.reply(code, "content refused").await?;
                return Ok(Next::Continue);
            }
            Some(Fault::LoseAndBreak) => return Ok(Next::Close),
            Some(Fault::Hang) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                return Ok(Next::Close);
            }
            _ => {}
        }
        self.check(&mail);
        let mut number = 0;
        self.shared.mails.send_modify(|mails| {
            mails.push(mail);
            number = mails.len();
        });
        if after == Some(Fault::TakeAndBreak) {
            return Ok(Next::Close);
        }
        self.reply(250, &format!("2.0.0 taken as {number}")).await?;
        Ok(if after == Some(Fault::BreakAfterwards) { Next::Close } else { Next::Continue })
    }

    /// Reads to the lone dot, undoing the doubled ones.
    async fn content(&mut self) -> io::Result<Option<String>> {
        let mut content = String::new();
        loop {
            let Some(line) = self.line(CONTENT_LINE_BYTES + 1).await? else { return Ok(None) };
            if line == ".\r\n" {
                return Ok(Some(content));
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
    }

    /// What RFC 5322 demands of a message.
    fn check(&self, mail: &Mail) {
        for name in ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version"] {
            let count = mail
                .content
                .split("\r\n\r\n")
                .next()
                .unwrap_or_default()
                .split("\r\n")
                .filter(|line| {
                    line.to_ascii_lowercase().starts_with(&format!("{}:", name.to_ascii_lowercase()))
                })
                .count();
            if count != 1 {
                self.shared.violation(format!("{count} headers {name}"));
            }
        }
        if !mail.content.is_ascii() {
            self.shared.violation("8BITMIME was not offered");
        }
    }

    async fn line(&mut self, limit: usize) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if !line.ends_with(b"\r\n") || line.iter().filter(|byte| **byte == b'\r').count() != 1 {
            self.shared.violation("a line must end with CR LF, and neither may stand alone");
        }
        if line.len() > limit {
            self.shared.violation(format!("a line of {} bytes", line.len()));
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    async fn reply(&mut self, code: u16, text: &str) -> io::Result<()> {
        self.write(format!("{code} {text}\r\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }
}

/// `FROM:<address>`, with parameters after it.
fn path(rest: &str, prefix: &str) -> Option<String> {
    let found = rest.get(..prefix.len())?;
    let (address, _parameters) = rest.get(prefix.len()..)?.strip_prefix('<')?.split_once('>')?;
    found.eq_ignore_ascii_case(prefix).then(|| address.to_owned())
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&BASE64_STANDARD.decode(text).unwrap_or_default()).into_owned()
}
