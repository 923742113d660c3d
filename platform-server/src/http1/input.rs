//! What a connection has brought.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are read at once: most messages are smaller.
const READ_BYTES: usize = 8 * 1024;
/// The same when one read after the other is full.
const MOST_READ_BYTES: usize = 128 * 1024;
/// Less room than this is not worth a read.
const LEAST_READ_BYTES: usize = 4 * 1024;

/// What was read and is not understood yet.
pub(crate) struct Input {
    pub(crate) buffer: BytesMut,
    /// How much is read at once.
    read_bytes: usize,
}

impl Default for Input {
    fn default() -> Input {
        Input { buffer: BytesMut::new(), read_bytes: READ_BYTES }
    }
}

impl Input {
    /// Reads more; 0 at the end.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < LEAST_READ_BYTES {
            self.buffer.reserve(self.read_bytes);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let read = ready!(pin!(stream.get_mut().read_buf(&mut self.buffer)).poll(cx))?;
        if read == room {
            self.read_bytes = MOST_READ_BYTES.min(self.read_bytes * 2);
        }
        Poll::Ready(Ok(read))
    }

    /// Nobody uses the connection for now: what large messages have taken is given back.
    pub(crate) fn rest(&mut self) {
        if self.read_bytes > READ_BYTES && self.buffer.is_empty() {
            *self = Input::default();
        }
    }
}
