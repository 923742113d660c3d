//! Bodies: what we send, and reading what we are sent within limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, SizeHint};
use platform_core::kernel::{Error, Result};

use super::allowance::{Allowance, incomplete};
use crate::proxy::ProxiedBody;

/// An error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The longest pause within a body.
const PAUSE: Duration = Duration::from_secs(10);
/// The time for a whole body: 2 MiB at 70 kB/s.
const WHOLE: Duration = Duration::from_secs(30);

/// The body of a response, and what is to happen when it has been sent.
pub struct ServerBody {
    content: Content,
    on_end: Option<Box<dyn OnEnd>>,
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
        ServerBody { content: Content::Full(Full::new(bytes)), on_end: None }
    }

    /// A body of axum's.
    pub fn boxed(body: axum::body::Body) -> ServerBody {
        ServerBody { content: Content::Boxed(body), on_end: None }
    }

    /// The body of an upstream's response.
    pub(crate) fn proxied(body: ProxiedBody) -> ServerBody {
        ServerBody { content: Content::Proxied(body), on_end: None }
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
        match &mut self.content {
            Content::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Content::Boxed(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Proxied(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(body) => body.is_end_stream(),
            Content::Boxed(body) => body.is_end_stream(),
            Content::Proxied(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(body) => body.size_hint(),
            Content::Boxed(body) => body.size_hint(),
            Content::Proxied(body) => body.size_hint(),
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

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// `request.body_too_large`, `request.timeout`, `request.incomplete_body`.
pub async fn read_body<B>(headers: &HeaderMap, body: B, limit: usize) -> Result<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    read_within(headers, body, limit, WHOLE).await
}

async fn read_within<B>(headers: &HeaderMap, mut body: B, limit: usize, whole: Duration) -> Result<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut allowance = Allowance::of(headers, limit as u64)?;
    // Not by the headers: over HTTP/2 a body needs none.
    let is_empty = body.is_end_stream();
    let slow = |_| Error::invalid("request.timeout", "the body came too slowly");
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = tokio::time::timeout(PAUSE, body.frame()).await.map_err(slow)? {
            let frame = frame.map_err(|_| incomplete())?;
            allowance.take(&frame)?;
            let Ok(data) = frame.into_data() else { continue };
            match &first {
                None => first = Some(data),
                Some(_) => rest.extend_from_slice(&data),
            }
        }
        let first = first.unwrap_or_default();
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    };
    // A timer is not worth it for nothing.
    if is_empty {
        return reading.await;
    }
    tokio::time::timeout(whole, reading).await.map_err(slow)?
}

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
        let reading = read_within(&headers, drip, 1 << 20, Duration::from_millis(50));
        let read = tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap();
        assert_eq!(read.unwrap_err().code(), "request.timeout");
    }

    #[tokio::test]
    async fn a_body_is_read_whole_and_never_beyond_its_limit() {
        let headers = HeaderMap::new();
        assert_eq!(read_body(&headers, Chunks(vec![b"ab", b"cd", b"e"]), 5).await.unwrap(), "abcde");
        assert_eq!(read_body(&headers, Chunks(vec![]), 5).await.unwrap(), "");
        let error = read_body(&headers, Chunks(vec![b"ab", b"cd", b"ef"]), 5).await.unwrap_err();
        assert_eq!(error.code(), "request.body_too_large");
        let mut declared = HeaderMap::new();
        declared.insert(header::CONTENT_LENGTH, "6".parse().unwrap());
        assert_eq!(
            read_body(&declared, Chunks(vec![]), 5).await.unwrap_err().code(),
            "request.body_too_large"
        );
    }
}
