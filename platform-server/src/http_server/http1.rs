//! HTTP/1 with a client: one request after the other, all in the connection's own task.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Frame};
use parking_lot::Mutex;
use platform_core::kernel::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::date;
use super::incoming::{ClientBody, Source};
use super::{BoxError, ServerBody, Watch};
use crate::app::{App, Peer};
use crate::http1::{
    ClientRequest, Framing, Input, Length, Part, RequestReader, Sending, is_hop_by_hop, write_field,
    write_status_line,
};

/// Bytes of requests that wait behind the one at work; then nothing more is read.
const PIPELINED_BYTES: usize = 16 * 1024;
/// How long a client is heard out that sends what nobody reads: a connection that is closed at once may take the
/// answer with it (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// What it may send meanwhile.
const LINGER_BYTES: u64 = 4 * 1024 * 1024;

/// What passes over a connection. The body of a request reads from it while the answer is written to it.
struct Io<S> {
    /// Gone when the connection is over, whoever has a body of it still.
    stream: Option<S>,
    input: Input,
    /// What is left of the request's body.
    framing: Framing,
    /// What is to be written before the client sends the body.
    asking: &'static [u8],
    is_body_wanted: bool,
    /// Who waits for the body.
    reader: Option<Waker>,
}

/// What an answer has to know of its request.
#[derive(Clone, Copy)]
struct Asked {
    version: Version,
    is_head: bool,
    is_kept: bool,
}

/// Serves requests until the client goes or lets no other follow, or the server stops.
pub(super) async fn serve<S>(
    stream: S,
    input: Input,
    app: Arc<App>,
    peer: Arc<Peer>,
    is_stopping: &AtomicBool,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = Arc::new(Mutex::new(Io {
        stream: Some(stream),
        input,
        framing: Framing::Length(0),
        asking: b"",
        is_body_wanted: false,
        reader: None,
    }));
    let mut sending = Sending::default();
    loop {
        let (asked, response) = match next(&io, &peer.watch, is_stopping).await {
            None => return,
            Some(Ok(request)) => {
                let asked = Asked {
                    version: request.parts.version,
                    is_head: request.parts.method == Method::HEAD,
                    is_kept: request.is_kept,
                };
                let request = begin(&io, request);
                let answer = pin!(Arc::clone(&app).answer(request, Arc::clone(&peer)));
                let Some(response) = unless_gone(&io, answer).await else { return };
                (asked, response)
            }
            Some(Err(error)) => {
                let asked = Asked { version: Version::HTTP_11, is_head: false, is_kept: false };
                (asked, app.refuse(error, &peer))
            }
        };
        match send(&io, &mut sending, response, asked, is_stopping).await {
            Some(true) => io.lock().input.rest(),
            Some(false) => return close(&io).await,
            None => return,
        }
    }
}

/// The next request; `None` when there is none.
async fn next<S: AsyncRead + Unpin>(
    io: &Mutex<Io<S>>,
    watch: &Watch,
    is_stopping: &AtomicBool,
) -> Option<Result<ClientRequest, Error>> {
    let mut reader = RequestReader::default();
    poll_fn(|cx| {
        let io = &mut *io.lock();
        loop {
            if let Some(read) = reader.read(&mut io.input.buffer).transpose() {
                return Poll::Ready(Some(read));
            }
            if !reader.is_fresh() {
                watch.head_begins();
            } else if is_stopping.load(Relaxed) {
                return Poll::Ready(None);
            }
            let Some(stream) = &mut io.stream else { return Poll::Ready(None) };
            match ready!(io.input.poll_read(Pin::new(stream), cx)) {
                Ok(0) | Err(_) => return Poll::Ready(None),
                Ok(_) => {}
            }
        }
    })
    .await
}

/// Lets the request's body come.
fn begin<S>(io: &Arc<Mutex<Io<S>>>, request: ClientRequest) -> Request<ClientBody>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if request.framing.is_over() {
        return Request::from_parts(request.parts, ClientBody::nothing());
    }
    {
        let mut io = io.lock();
        io.framing = request.framing;
        io.asking = if request.expects_continue { b"HTTP/1.1 100 Continue\r\n\r\n" } else { b"" };
        io.is_body_wanted = true;
    }
    Request::from_parts(request.parts, ClientBody::from_source(Arc::clone(io) as Arc<dyn Source>))
}

/// The outcome, or `None` when the client goes before.
async fn unless_gone<S: AsyncRead + Unpin, T>(
    io: &Mutex<Io<S>>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => io.lock().poll_gone(cx).map(|()| None),
    })
    .await
}

/// Sends an answer. Whether another request may follow; `None` when the answer could not be sent.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    io: &Mutex<Io<S>>,
    sending: &mut Sending<ServerBody>,
    response: Response<ServerBody>,
    asked: Asked,
    is_stopping: &AtomicBool,
) -> Option<bool> {
    let (parts, body) = response.into_parts();
    let (length, said) = length(asked, &parts, &body);
    let is_kept = asked.is_kept
        && length != Length::UntilClose
        && !says_close(&parts.headers)
        && !is_stopping.load(Relaxed)
        && io.lock().may_go_on();
    sending.begin(Some(body), length, |out| write_head(out, asked.version, &parts, said, is_kept));
    let sent = poll_fn(|cx| {
        // The body is polled while nobody holds the connection: it may come from there.
        let polled = sending.poll(Pin::new(&mut Output(io)), cx);
        // What TLS has taken is not on its way yet.
        let flushed = Pin::new(&mut Output(io)).poll_flush(cx);
        match (polled, flushed) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(true),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(false),
            _ => io.lock().poll_gone(cx).map(|()| false),
        }
    });
    sent.await.then(|| is_kept && io.lock().framing.is_over())
}

/// How the length of an answer's body is told; and the length that is only said, where there is no body.
fn length(asked: Asked, parts: &Parts, body: &ServerBody) -> (Length, Option<u64>) {
    let said = || parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let exact = body.size_hint().exact();
    match parts.status {
        StatusCode::NO_CONTENT => (Length::Nothing, None),
        StatusCode::NOT_MODIFIED => (Length::Nothing, said()),
        _ if asked.is_head => (Length::Nothing, said().or(exact.filter(|length| *length > 0))),
        _ => match exact.or_else(said) {
            Some(length) => (Length::Exactly(length), None),
            None if asked.version == Version::HTTP_10 => (Length::UntilClose, None),
            None => (Length::Chunked, None),
        },
    }
}

/// Whether the fields `Connection` let no other request follow.
fn says_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn write_head(out: &mut Vec<u8>, version: Version, parts: &Parts, said: Option<u64>, is_kept: bool) {
    write_status_line(out, version, parts);
    let mut has_date = false;
    for (name, value) in &parts.headers {
        has_date |= name == header::DATE;
        if name != header::CONTENT_LENGTH && !is_hop_by_hop(name.as_str()) {
            write_field(out, name.as_str(), value.as_bytes());
        }
    }
    if !has_date {
        date::write(out);
    }
    if let Some(length) = said {
        write_field(out, "content-length", length.to_string().as_bytes());
    }
    if !is_kept {
        write_field(out, "connection", b"close");
    } else if version == Version::HTTP_10 {
        write_field(out, "connection", b"keep-alive");
    }
}

/// Closes a connection whose last answer was sent.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(io: &Mutex<Io<S>>) {
    let (stream, is_unread) = {
        let mut io = io.lock();
        let is_unread = !io.framing.is_over() || !io.input.buffer.is_empty();
        if let Some(reader) = io.reader.take() {
            reader.wake();
        }
        (io.stream.take(), is_unread)
    };
    let Some(mut stream) = stream else { return };
    let closing = async {
        let _ = stream.shutdown().await;
        if is_unread {
            let _ = tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, closing).await;
}

impl<S: AsyncRead + Unpin> Io<S> {
    /// Ready when the client has gone. It is not looked for while a body comes, whose reader finds out.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.framing.is_over() && self.input.buffer.len() < PIPELINED_BYTES {
            let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
            match ready!(self.input.poll_read(Pin::new(stream), cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Whether the body is read to its end, or will be: what is here of one that nobody wants is passed over.
    fn may_go_on(&mut self) -> bool {
        loop {
            if self.is_body_wanted || self.framing.is_over() {
                return true;
            }
            match self.framing.take(&mut self.input.buffer) {
                Ok(Part::Data(_) | Part::Trailers(_)) => {}
                Ok(Part::Missing | Part::End) | Err(_) => return self.framing.is_over(),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Source for Mutex<Io<S>> {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let io = &mut *self.lock();
        let polled = io.poll_part(cx);
        if polled.is_pending() && !io.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            io.reader = Some(cx.waker().clone());
        }
        Poll::Ready(match ready!(polled) {
            Ok(Part::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Part::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Part::Missing | Part::End) => None,
            Err(error) => Some(Err(error)),
        })
    }

    fn is_over(&self) -> bool {
        self.lock().framing.is_over()
    }

    fn left(&self) -> Option<u64> {
        self.lock().framing.left()
    }

    fn leave(&self) {
        let mut io = self.lock();
        (io.is_body_wanted, io.reader) = (false, None);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, BoxError>> {
        loop {
            match self.framing.take(&mut self.input.buffer)? {
                Part::Missing => {}
                part => return Poll::Ready(Ok(part)),
            }
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(ended().into())) };
            while !self.asking.is_empty() {
                let wrote = ready!(Pin::new(&mut *stream).poll_write(cx, self.asking))?;
                self.asking = self.asking.get(wrote..).unwrap_or_default();
            }
            let _ = Pin::new(&mut *stream).poll_flush(cx)?;
            if ready!(self.input.poll_read(Pin::new(stream), cx))? == 0 {
                return Poll::Ready(Err(ended().into()));
            }
        }
    }
}

fn ended() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// The side of a connection that is written to.
struct Output<'a, S>(&'a Mutex<Io<S>>);

impl<S: AsyncWrite + Unpin> Output<'_, S> {
    fn with<T>(&self, work: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut self.0.lock().stream {
            Some(stream) => work(Pin::new(stream)),
            None => Poll::Ready(Err(ended())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Output<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}
