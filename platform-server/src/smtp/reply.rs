//! Replies of a mail server (RFC 5321, 4.2).

use std::fmt;
use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Bytes of one line: twice what RFC 5321, 4.5.3.1.5 allows.
const LINE_BYTES: u64 = 1_024;
/// Lines of one reply: servers offer some twenty extensions.
const LINES: usize = 100;

/// A reply: a code and its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// 200 to 599.
    pub(crate) code: u16,
    /// The lines, without code.
    pub(crate) lines: Vec<String>,
}

impl Reply {
    /// 2xx, and 3xx where the dialogue goes on.
    pub(super) fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 5xx.
    pub(super) fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// The code, with the enhanced one (RFC 3463) when there is one: `550 5.1.1`. The text of a reply may name
    /// the recipient, so it goes nowhere.
    pub(crate) fn status(&self) -> Status<'_> {
        let enhanced =
            self.lines.first().and_then(|line| line.split(' ').next()).filter(|word| is_enhanced(word));
        Status { code: self.code, enhanced }
    }
}

/// How [`Reply::status`] prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status<'a> {
    code: u16,
    enhanced: Option<&'a str>,
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.enhanced.map_or(Ok(()), |enhanced| write!(f, " {enhanced}"))
    }
}

fn is_enhanced(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    let number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(number)
}

/// Reads one reply.
///
/// # Errors
/// `UnexpectedEof` when the connection ends, `InvalidData` when it is no reply.
pub(crate) async fn read_reply(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Reply> {
    let mut reply = Reply { code: 0, lines: Vec::new() };
    loop {
        let mut line = Vec::new();
        (&mut *stream).take(LINE_BYTES).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (code, more, text) = parse_line(&line).ok_or_else(|| invalid("not a reply"))?;
        if reply.code != 0 && reply.code != code {
            return Err(invalid("the lines of a reply differ in their code"));
        }
        reply.code = code;
        reply.lines.push(text);
        if !more {
            return Ok(reply);
        }
        if reply.lines.len() == LINES {
            return Err(invalid("a reply without end"));
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// `250-text`, `250 text`, `250`: code, whether more lines follow, text.
fn parse_line(line: &[u8]) -> Option<(u16, bool, String)> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (code, rest) = line.split_at_checked(3)?;
    let code: u16 = std::str::from_utf8(code)
        .ok()
        .filter(|code| code.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()?;
    let (more, text) = match rest.split_first() {
        None => (false, rest),
        Some((b' ', text)) => (false, text),
        Some((b'-', text)) => (true, text),
        Some(_) => return None,
    };
    (200..600).contains(&code).then(|| (code, more, String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> io::Result<Reply> {
        read_reply(&mut text.as_bytes()).await
    }

    #[tokio::test]
    async fn replies_of_one_and_of_many_lines_are_read() {
        let reply = read("250-one\r\n250-\r\n250 three\r\nrest").await.unwrap();
        assert_eq!(reply, Reply { code: 250, lines: vec!["one".into(), "".into(), "three".into()] });
        assert_eq!(read("354\r\n").await.unwrap().code, 354);
    }

    #[tokio::test]
    async fn a_status_shows_codes_and_no_text() {
        let status = async |text: &str| read(text).await.unwrap().status().to_string();
        assert_eq!(status("550 5.1.1 ada@example.org does not exist\r\n").await, "550 5.1.1");
        assert_eq!(status("550 ada@example.org does not exist\r\n").await, "550");
        assert_eq!(status("450 4.x.1 later\r\n").await, "450");
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error() {
        for bad in ["25\r\n", "hello\r\n", "650 x\r\n", "250x\r\n", "250-a\r\n251 b\r\n", "250 no end"] {
            assert_eq!(read(bad).await.unwrap_err().kind(), io::ErrorKind::InvalidData, "{bad}");
        }
        assert_eq!(read("").await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read("250-a\r\n").await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let long = format!("250 {}\r\n", "x".repeat(2_000));
        assert!(read(&long).await.is_err());
        assert!(read(&"250-x\r\n".repeat(200)).await.is_err());
    }
}
