//! The body of a client's request, as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::BoxError;

/// The body of a client's request.
pub struct ClientBody(Kind);

enum Kind {
    Nothing,
    Http1(Arc<dyn Source>),
    Http2(Incoming),
}

/// A connection that brings a body.
pub(super) trait Source: Send + Sync {
    /// The next part of it.
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;

    /// Whether all of it was taken.
    fn is_over(&self) -> bool;

    /// Bytes that are left, if that is known.
    fn left(&self) -> Option<u64>;

    /// Nobody wants the rest.
    fn leave(&self);
}

impl ClientBody {
    /// There is none.
    pub(super) fn nothing() -> ClientBody {
        ClientBody(Kind::Nothing)
    }

    /// The one that comes over this connection.
    pub(super) fn from_source(source: Arc<dyn Source>) -> ClientBody {
        ClientBody(Kind::Http1(source))
    }

    /// One of hyper's.
    pub(super) fn from_hyper(incoming: Incoming) -> ClientBody {
        ClientBody(Kind::Http2(incoming))
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Kind::Http1(source) = &self.0 {
            source.leave();
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Nothing => Poll::Ready(None),
            Kind::Http1(source) => source.poll_frame(cx),
            Kind::Http2(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Nothing => true,
            Kind::Http1(source) => source.is_over(),
            Kind::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Nothing => SizeHint::with_exact(0),
            Kind::Http1(source) => source.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Http2(incoming) => incoming.size_hint(),
        }
    }
}
