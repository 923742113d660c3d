//! `Platform.events`: what has happened, as an iterator that waits for more.
//!
//! What is read ahead waits in a buffer, from which an event is taken only by who gets it: neither Ctrl-C nor a cancelled
//! task loses one. The subscription belongs to the open platform, which ends it when it closes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::Platform;
use platform_core::backbone::{Delivered, Subscriber};
use platform_core::kernel::{self, Context, Error, EventId, Result};
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::call::Call;
use crate::error::raise;
use crate::record::record;
use crate::values::{Id, Json, Time};
use crate::view::View;

/// How many events are read ahead, at most.
const AHEAD: usize = 64;

record! {
    /// Something that has happened. What is personal in it is sealed.
    Event(it: kernel::Event) {
        /// Its id.
        id: Id<EventId> = Id(it.id);
        /// ``domain.what_happened``.
        event_type: String = it.event_type.clone();
        /// What it is about: an id.
        subject: String = it.subject.clone();
        /// Events of one key come in their order.
        key: String = it.key.clone();
        /// When it happened.
        time: Time = Time(it.time);
        /// Who caused it: ``user:ID``, ``service:NAME``, ``anonymous`` or ``system``.
        actor: String = it.actor.to_string();
        /// The request.
        correlation_id: String = it.correlation_id.to_string();
        /// The event that caused it.
        causation_id: Option<Id<EventId>> = it.causation_id.map(Id);
        /// The store whose commit published it.
        store: String = it.store.to_string();
        /// Where it stands in that store: as text it sorts.
        position: String = it.position.to_string();
        /// What happened.
        data: Json = Json(it.data.to_value());
    }
}

/// What is subscribed to.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) stores: Vec<String>,
}

/// A subscription, and what was read ahead.
pub(crate) struct Stream {
    wanted: Wanted,
    source: tokio::sync::Mutex<Option<Subscriber>>,
    ahead: Mutex<Ahead>,
    /// Turns true when it is over.
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct Ahead {
    events: VecDeque<Delivered>,
    /// Taken, and done when the next is asked for.
    at_hand: Option<Delivered>,
}

impl Stream {
    pub(crate) fn new(wanted: Wanted) -> Arc<Stream> {
        let over = watch::Sender::new(false);
        Arc::new(Stream { wanted, source: tokio::sync::Mutex::default(), ahead: Mutex::default(), over })
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Whoever waits for an event is told that there will be none.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Ends it and gives back all that it holds of the platform.
    pub(crate) async fn close(&self) {
        self.end();
        self.source.lock().await.take();
    }

    /// Subscribes, unless it has.
    async fn open(&self, platform: &Platform, context: &Context) -> Result<()> {
        let mut source = self.source.lock().await;
        if source.is_none() && !self.is_over() {
            let Wanted { name, stores } = &self.wanted;
            *source = Some(platform.subscribe(context, name.as_deref(), stores).await?);
        }
        Ok(())
    }

    /// Waits until an event is there to be taken, or there will be none.
    async fn fill(&self, platform: &Platform, context: &Context) -> Result<()> {
        self.open(platform, context).await?;
        let mut over = self.over.subscribe();
        let mut source = self.source.lock().await;
        let Some(subscriber) = source.as_mut().filter(|_| !*over.borrow()) else { return Ok(()) };
        if !self.ahead.lock().events.is_empty() {
            return Ok(());
        }
        self.finish(subscriber).await?;
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => {}
            delivered = subscriber.next(AHEAD) => self.ahead.lock().events.extend(delivered?),
        }
        Ok(())
    }

    /// Says what was taken to be done.
    async fn finish(&self, subscriber: &mut Subscriber) -> Result<()> {
        let at_hand = self.ahead.lock().at_hand.clone();
        if let Some(at_hand) = at_hand {
            subscriber.done(&at_hand).await?;
            let mut ahead = self.ahead.lock();
            ahead.at_hand = None;
        }
        Ok(())
    }

    /// Says what was taken to be done, now.
    async fn done(&self) -> Result<()> {
        let mut source = self.source.lock().await;
        match source.as_mut() {
            Some(subscriber) => self.finish(subscriber).await,
            None => Err(Error::conflict("events.closed", "the subscription is closed")),
        }
    }

    fn take(&self) -> Option<kernel::Event> {
        let mut ahead = self.ahead.lock();
        let next = ahead.events.pop_front().filter(|_| !self.is_over())?;
        let event = next.event.clone();
        ahead.at_hand = Some(next);
        Some(event)
    }
}

/// What has happened, as it happens: see ``Platform.events``. It is an iterator and a context manager.
#[pyclass(frozen, module = "platform_core")]
pub(crate) struct Events {
    view: View,
    stream: Arc<Stream>,
}

impl Events {
    pub(crate) fn begin(py: Python<'_>, view: &View, wanted: Wanted) -> PyResult<Events> {
        let stream = Stream::new(wanted);
        view.core().keep(&stream).map_err(|error| raise(py, &error))?;
        let events = Events { view: view.clone(), stream: Arc::clone(&stream) };
        view.wait(py, None, |platform, context| async move { stream.open(&platform, &context).await })?;
        Ok(events)
    }
}

#[pymethods]
impl Events {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Event> {
        loop {
            if self.stream.is_over() {
                return Err(PyStopIteration::new_err(()));
            }
            if let Some(event) = self.stream.take() {
                return Ok(Event(event));
            }
            let stream = Arc::clone(&self.stream);
            self.view.wait(
                py,
                None,
                |platform, context| async move { stream.fill(&platform, &context).await },
            )?;
        }
    }

    /// Says that the event at hand is done, and all before it. Otherwise they are when the next is asked for, at the latest
    /// after 64 of them.
    ///
    /// Raises ``ConflictError`` (``events.closed``).
    fn done(&self, py: Python<'_>) -> PyResult<()> {
        let stream = Arc::clone(&self.stream);
        self.view.wait(py, None, |_, _| async move { stream.done().await })
    }

    /// Ends the iteration, also one that waits in another thread. Once more does nothing; a platform that is closed has
    /// ended it.
    fn close(&self) {
        over(&self.view, &self.stream);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyAny>) {
        self.close();
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        over(&self.view, &self.stream);
    }
}

/// What has happened, as it happens: see ``AsyncPlatform.events``. It is an asynchronous iterator and context manager.
#[pyclass(frozen, module = "platform_core")]
pub(crate) struct AsyncEvents {
    view: View,
    stream: Arc<Stream>,
}

impl AsyncEvents {
    pub(crate) fn begin(py: Python<'_>, view: &View, wanted: Wanted) -> PyResult<AsyncEvents> {
        let stream = Stream::new(wanted);
        view.core().keep(&stream).map_err(|error| raise(py, &error))?;
        Ok(AsyncEvents { view: view.clone(), stream })
    }
}

#[pymethods]
impl AsyncEvents {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(&self) -> Call {
        let stream = Arc::clone(&self.stream);
        if stream.is_over() {
            // As a call that ends at once: the platform may be closed.
            return Call::ended("__anext__");
        }
        self.view.call("__anext__", true, None, move |platform, context| async move {
            stream.fill(&platform, &context).await?;
            Ok(Next(stream))
        })
    }

    /// As ``Events.done``.
    fn done(&self) -> Call {
        let stream = Arc::clone(&self.stream);
        self.view.call("done", false, None, move |_, _| async move { stream.done().await })
    }

    /// As ``Events.close``. It is not awaited.
    fn close(&self) {
        over(&self.view, &self.stream);
    }

    fn __aenter__(slf: Py<Self>) -> Call {
        let (view, stream) = (slf.get().view.clone(), Arc::clone(&slf.get().stream));
        view.call("__aenter__", false, None, move |platform, context| async move {
            stream.open(&platform, &context).await?;
            Ok(slf)
        })
    }

    #[pyo3(signature = (*_error))]
    fn __aexit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> Call {
        self.close();
        Call::ready("__aexit__", py.None())
    }
}

impl Drop for AsyncEvents {
    fn drop(&mut self) {
        over(&self.view, &self.stream);
    }
}

/// Ends a stream. Of a platform that is closed it has ended; in a child of a fork its locks may be held for ever.
fn over(view: &View, stream: &Arc<Stream>) {
    let core = view.core();
    if core.is_closed() {
        return;
    }
    stream.end();
    let stream = Arc::clone(stream);
    // What waits ends first, and then nothing of the subscription is left.
    core.handle().spawn(async move { stream.close().await });
}

/// The next event, once there is an interpreter to take it.
struct Next(Arc<Stream>);

impl<'py> IntoPyObject<'py> for Next {
    type Target = Event;
    type Output = Bound<'py, Event>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, Event>> {
        match self.0.take() {
            Some(event) => Bound::new(py, Event(event)),
            None if self.0.is_over() => Err(PyStopAsyncIteration::new_err(())),
            None => {
                let error =
                    Error::conflict("events.shared", "two tasks iterate over one subscription at once");
                Err(raise(py, &error))
            }
        }
    }
}
