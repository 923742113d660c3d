//! Bodies: what we send, and reading what we are sent within limits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, SizeHint};
use platform_core::kernel::{Error, Result};

use super::Watch;
use super::allowance::{Allowance, incomplete};
use super::memory::{BodyLimits, Share};
use crate::proxy::ProxiedBody;

/// An error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of a piece of an answer over HTTP/2: one frame. A peer that shuts its window holds one piece and
/// what it is cut from, and is seen not to take more.
const PIECE: usize = 16 * 1024;

/// The body of a response, and what is to happen when it has been sent.
pub struct ServerBody {
    content: Content,
    on_end: Option<Box<dyn OnEnd>>,
    pieces: Option<Pieces>,
}

/// How a body is cut into pieces.
struct Pieces {
    watch: Arc<Watch>,
    /// Tells it from the other answers of the connection.
    answer: u64,
    /// What was read and not handed over yet.
    rest: Bytes,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.watch.piece_went(self.answer);
    }
}

/// Told when a response has been sent, or given up.
pub trait OnEnd: Send + Sync {
    /// The response is over. `complete` is false when the peer went away or the source failed.
    fn end(self: Box<Self>, complete: bool);
}

enum Content {
    Full(Full<Bytes>),
    Boxed(axum::body::Body),
    Proxied(ProxiedBody),
}

impl ServerBody {
    /// A body in memory.
    pub fn full(bytes: Bytes) -> ServerBody {
        ServerBody::of(Content::Full(Full::new(bytes)))
    }

    /// A body of axum's.
    pub fn boxed(body: axum::body::Body) -> ServerBody {
        ServerBody::of(Content::Boxed(body))
    }

    /// The body of an upstream's response.
    pub(crate) fn proxied(body: ProxiedBody) -> ServerBody {
        ServerBody::of(Content::Proxied(body))
    }

    fn of(content: Content) -> ServerBody {
        ServerBody { content, on_end: None, pieces: None }
    }

    /// The same body, in pieces when the connection counts them.
    #[must_use]
    pub(crate) fn watched(mut self, watch: &Arc<Watch>, answer: u64) -> ServerBody {
        if watch.counts_pieces() {
            self.pieces = Some(Pieces { watch: Arc::clone(watch), answer, rest: Bytes::new() });
        }
        self
    }

    /// The same body, with what is to happen at its end.
    #[must_use]
    pub fn on_end(mut self, on_end: Box<dyn OnEnd>) -> ServerBody {
        self.on_end = Some(on_end);
        self
    }
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match &mut this.pieces {
            None => this.content.poll(cx),
            Some(pieces) => {
                pieces.watch.piece_went(pieces.answer);
                let polled =
                    if pieces.rest.is_empty() { this.content.poll(cx) } else { Poll::Ready(pieces.next()) };
                polled.map(|frame| frame.map(|frame| frame.map(|frame| pieces.cut(frame))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
            && match &self.content {
                Content::Full(body) => body.is_end_stream(),
                Content::Boxed(body) => body.is_end_stream(),
                Content::Proxied(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let of_content = match &self.content {
            Content::Full(body) => body.size_hint(),
            Content::Boxed(body) => body.size_hint(),
            Content::Proxied(body) => body.size_hint(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(of_content.lower() + self.left());
        if let Some(upper) = of_content.upper() {
            hint.set_upper(upper + self.left());
        }
        hint
    }
}

impl ServerBody {
    /// Bytes that were read and not handed over yet.
    fn left(&self) -> u64 {
        self.pieces.as_ref().map_or(0, |pieces| pieces.rest.len() as u64)
    }
}

impl Content {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Content::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Content::Boxed(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Proxied(body) => Pin::new(body).poll_frame(cx),
        }
    }
}

impl Pieces {
    fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        Some(Ok(Frame::data(std::mem::take(&mut self.rest))))
    }

    /// What goes out now of a frame.
    fn cut(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        self.watch.piece_waits(self.answer);
        match frame.into_data() {
            Ok(mut data) => {
                if data.len() > PIECE {
                    self.rest = data.split_off(PIECE);
                }
                Frame::data(data)
            }
            Err(other) => other,
        }
    }
}

impl Drop for ServerBody {
    fn drop(&mut self) {
        let complete = self.is_end_stream();
        if let Some(on_end) = self.on_end.take() {
            on_end.end(complete);
        }
    }
}

/// Reads a whole body of at most `limit` bytes. What it takes of the memory for bodies is free again when the
/// share is dropped.
///
/// # Errors
/// `request.body_too_large`, `request.timeout`, `request.incomplete_body`, `server.overloaded`.
pub(crate) async fn read_body<B>(
    headers: &HeaderMap,
    mut body: B,
    limit: usize,
    limits: &BodyLimits,
) -> Result<(Bytes, Share)>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut allowance = Allowance::of(headers, limit as u64)?;
    // Not by the headers: over HTTP/2 a body needs none. A timer is not worth it for nothing.
    if body.is_end_stream() {
        return Ok((Bytes::new(), limits.share()));
    }
    let slow = |_| Error::invalid("request.timeout", "the body came too slowly");
    let pause = PAUSE.min(limits.whole);
    let reading = async {
        let mut share = limits.share();
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(frame) = tokio::time::timeout(pause, body.frame()).await.map_err(slow)? {
            let frame = frame.map_err(|_| incomplete())?;
            allowance.take(&frame)?;
            let Ok(data) = frame.into_data() else { continue };
            share.grow(data.len())?;
            if first.is_empty() && whole.is_empty() {
                first = data;
                continue;
            }
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
        Ok((if whole.is_empty() { first } else { whole.freeze() }, share))
    };
    tokio::time::timeout(limits.whole, reading).await.map_err(slow)?
}

/// The longest pause within a body.
const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;
    use std::convert::Infallible;

    struct Chunks(Vec<&'static [u8]>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.0.is_empty() {
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0.remove(0))))))
        }
    }

    /// A byte every five milliseconds, for ever.
    struct Drip(Pin<Box<tokio::time::Sleep>>);

    impl Body for Drip {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            std::task::ready!(self.0.as_mut().poll(context));
            self.0 = Box::pin(tokio::time::sleep(Duration::from_millis(5)));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_that_drips_is_given_up() {
        let drip = Drip(Box::pin(tokio::time::sleep(Duration::ZERO)));
        let headers = HeaderMap::new();
        let limits = BodyLimits::new(Duration::from_millis(50), 0);
        let reading = read_body(&headers, drip, 1 << 20, &limits);
        let read = tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap();
        assert_eq!(read.unwrap_err().code(), "request.timeout");
    }

    #[tokio::test]
    async fn a_body_is_read_whole_and_never_beyond_its_limit() {
        let (none, limits) = (HeaderMap::new(), BodyLimits::default());
        let read = async |headers: &HeaderMap, chunks: &[&'static [u8]]| {
            read_body(headers, Chunks(chunks.to_vec()), 5, &limits).await.map(|(body, _)| body)
        };
        assert_eq!(read(&none, &[b"ab", b"cd", b"e"]).await.unwrap(), "abcde");
        assert_eq!(read(&none, &[]).await.unwrap(), "");
        let error = read(&none, &[b"ab", b"cd", b"ef"]).await.unwrap_err();
        assert_eq!(error.code(), "request.body_too_large");
        let mut declared = HeaderMap::new();
        declared.insert(header::CONTENT_LENGTH, "6".parse().unwrap());
        assert_eq!(read(&declared, &[]).await.unwrap_err().code(), "request.body_too_large");
    }

    #[tokio::test]
    async fn large_bodies_share_a_memory_and_small_ones_need_none() {
        const LARGE: &[u8] = &[b' '; 20_000];
        let (headers, limits) = (HeaderMap::new(), BodyLimits::new(Duration::from_secs(1), 30_000));
        let read =
            async |body: &'static [u8]| read_body(&headers, Chunks(vec![body]), 1 << 20, &limits).await;
        let first = read(LARGE).await.unwrap();
        assert_eq!(read(LARGE).await.err().unwrap().code(), "server.overloaded");
        assert_eq!(read(b"small").await.unwrap().0, "small");
        drop(first);
        assert!(read(LARGE).await.is_ok());
    }
}
