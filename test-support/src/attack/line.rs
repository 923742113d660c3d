//! A connection of an attacker.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of what the server says that are kept.
const KEPT: usize = 64 * 1024;

/// A connection, and the beginning of what came over it.
pub struct Line {
    stream: TcpStream,
    heard: Vec<u8>,
    is_closed: bool,
}

impl Line {
    pub(super) fn new(stream: TcpStream) -> Line {
        // What is small is to go out at once.
        let _ = stream.set_nodelay(true);
        Line { stream, heard: Vec::new(), is_closed: false }
    }

    /// Says something; false when the other end does not listen any more.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> bool {
        if self.stream.write_all(bytes).await.is_err() {
            self.is_closed = true;
        }
        !self.is_closed
    }

    /// Says as much as fits without waiting; false when the other end does not listen any more.
    pub(super) fn try_say(&mut self, bytes: &[u8]) -> bool {
        if let Err(error) = self.stream.try_write(bytes)
            && error.kind() != std::io::ErrorKind::WouldBlock
        {
            self.is_closed = true;
        }
        !self.is_closed
    }

    /// Listens for so long, or until the other end closes; false when it has.
    pub(super) async fn hear(&mut self, span: Duration) -> bool {
        let _ = tokio::time::timeout(span, async { while self.hear_some().await {} }).await;
        !self.is_closed
    }

    /// Listens until the beginning of an answer is there, at most so long: its status, or how it ended.
    pub(super) async fn answer(&mut self, span: Duration) -> String {
        let _ =
            tokio::time::timeout(span, async { while self.status().is_none() && self.hear_some().await {} })
                .await;
        match self.status() {
            Some(status) => status.to_owned(),
            None if self.is_closed => "closed".to_owned(),
            None => "no answer".to_owned(),
        }
    }

    async fn hear_some(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        match self.stream.read(&mut buffer).await {
            Ok(read) if read > 0 => {
                let kept = buffer.get(..read.min(KEPT.saturating_sub(self.heard.len())));
                self.heard.extend_from_slice(kept.unwrap_or_default());
            }
            _ => self.is_closed = true,
        }
        !self.is_closed
    }

    /// Takes what has been heard.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    /// The status of the first answer.
    fn status(&self) -> Option<&str> {
        let line = self.heard.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        std::str::from_utf8(line).ok()
    }
}
