//! Awaited calls: a coroutine for asyncio.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use parking_lot::Mutex;
use platform_core::kernel::Result;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::core::Core;
use crate::error::{closed, panicked, raise};
use crate::wait::{Work, poll_once};

/// A result that becomes a Python object on the thread of the event loop.
pub(crate) type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// What begins with the first `await`: it gets the means to say that it has ended, or has ended already.
type Begin = Box<
    dyn FnOnce(Python<'_>, &dyn Fn() -> PyResult<Completion>) -> PyResult<Option<Result<Answer>>>
        + Send
        + Sync,
>;

type Slot = Arc<Mutex<Option<Result<Answer>>>>;

/// A call that is awaited. It begins with the `await`; when its task is cancelled nobody waits any more, but the
/// call goes on to its end.
#[pyclass(module = "platform_core._platform_core")]
pub(crate) struct Call {
    name: &'static str,
    state: State,
}

enum State {
    New(Begin),
    Waiting { slot: Slot, future: Py<PyAny> },
    Over,
}

/// Ends a call from any thread.
pub(crate) struct Completion {
    slot: Slot,
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
}

impl Completion {
    /// Leaves the outcome for whoever awaits it; [`Completion::wake`] has to follow.
    pub(crate) fn leave(&self, outcome: Result<Answer>) {
        *self.slot.lock() = Some(outcome);
    }

    /// Wakes the event loop.
    pub(crate) fn wake(self, py: Python<'_>) {
        static WAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let woken = WAKE
            .get_or_try_init(py, || Ok(py.import("platform_core._wake")?.getattr("wake")?.unbind()))
            .and_then(|wake| self.event_loop.call_method1(py, "call_soon_threadsafe", (wake, &self.future)));
        // The loop is closed: nobody awaits anything there.
        drop(woken);
    }
}

impl Call {
    /// A call of the core. `is_recalled`: it is answered from memory nearly always, and is tried at once.
    pub(crate) fn of_core<T>(
        name: &'static str,
        core: Arc<Core>,
        is_recalled: bool,
        work: impl FnOnce() -> Result<Work<T>> + Send + Sync + 'static,
    ) -> Call
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        Call::new(
            name,
            Box::new(move |py, completion| {
                let mut work = work().map_err(|error| raise(py, &error))?;
                if is_recalled && let Some(outcome) = poll_once(&mut work, core.handle()) {
                    return Ok(Some(outcome.map(answer)));
                }
                let completion = completion()?;
                // Not the core itself: a runtime cannot end within one of its tasks.
                let delivery = core.delivery().ok_or_else(|| raise(py, &closed()))?;
                core.handle().spawn(async move {
                    let outcome = AssertUnwindSafe(work).catch_unwind().await;
                    completion.leave(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))).map(answer));
                    // Its thread ends with the last sender.
                    let _ = delivery.send(completion);
                });
                Ok(None)
            }),
        )
    }

    /// Work for a thread of its own.
    pub(crate) fn of_thread<T>(
        name: &'static str,
        job: impl FnOnce() -> Result<T> + Send + Sync + 'static,
    ) -> Call
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        Call::new(
            name,
            Box::new(move |_, completion| {
                let completion = completion()?;
                std::thread::Builder::new().name("platform-call".to_owned()).spawn(move || {
                    let outcome = std::panic::catch_unwind(AssertUnwindSafe(job));
                    completion.leave(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))).map(answer));
                    // No interpreter any more, nobody who waits.
                    let _ = Python::try_attach(|py| completion.wake(py));
                })?;
                Ok(None)
            }),
        )
    }

    /// What is there already.
    pub(crate) fn ready(name: &'static str, value: Py<PyAny>) -> Call {
        Call::new(name, Box::new(move |_, _| Ok(Some(Ok(answer(value))))))
    }

    /// The end of an asynchronous iteration.
    pub(crate) fn ended(name: &'static str) -> Call {
        Call::new(name, Box::new(|_, _| Err(PyStopAsyncIteration::new_err(()))))
    }

    fn new(name: &'static str, begin: Begin) -> Call {
        Call { name, state: State::New(begin) }
    }

    /// One step of the coroutine: begins the call, or looks what became of it. `Err(StopIteration)` is the answer.
    fn step(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::New(begin) => {
                let event_loop = running_loop(py)?;
                let future = event_loop.call_method0("create_future")?.unbind();
                let slot = Slot::default();
                let completion = || {
                    Ok(Completion {
                        slot: Arc::clone(&slot),
                        event_loop: event_loop.clone().unbind(),
                        future: future.clone_ref(py),
                    })
                };
                match begin(py, &completion)? {
                    Some(outcome) => Err(stop(py, outcome)),
                    None => {
                        let iterator = future.call_method0(py, "__await__")?;
                        let yielded = iterator.call_method1(py, "send", (py.None(),))?;
                        self.state = State::Waiting { slot, future: iterator };
                        Ok(yielded)
                    }
                }
            }
            State::Waiting { slot, future } => {
                let sent = future.call_method1(py, "send", (py.None(),));
                self.resume(py, slot, future, sent)
            }
            State::Over => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
        }
    }

    fn resume(
        &mut self,
        py: Python<'_>,
        slot: Slot,
        future: Py<PyAny>,
        sent: PyResult<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        match sent {
            Ok(yielded) => {
                self.state = State::Waiting { slot, future };
                Ok(yielded)
            }
            Err(ended) if ended.is_instance_of::<PyStopIteration>(py) => {
                let outcome = slot.lock().take();
                match outcome {
                    Some(outcome) => Err(stop(py, outcome)),
                    None => Err(PyRuntimeError::new_err("the call was woken without an outcome")),
                }
            }
            Err(cancelled) => Err(cancelled),
        }
    }
}

#[pymethods]
impl Call {
    #[getter]
    fn __name__(&self) -> &'static str {
        self.name
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.name
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    fn send(&mut self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    #[pyo3(signature = (*exception))]
    fn throw(&mut self, py: Python<'_>, exception: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<Py<PyAny>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Waiting { slot, future } => {
                let sent = future.bind(py).call_method1("throw", exception).map(Bound::unbind);
                self.resume(py, slot, future, sent)
            }
            State::New(_) | State::Over => {
                let first = exception.get_item(0)?;
                let thrown =
                    if first.is_instance_of::<pyo3::types::PyType>() { first.call0()? } else { first };
                Err(PyErr::from_value(thrown))
            }
        }
    }

    fn close(&mut self) {
        self.state = State::Over;
    }

    fn __repr__(&self) -> String {
        format!("<coroutine {}>", self.name)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if matches!(self.state, State::New(_)) {
            let text = format!("coroutine '{}' was never awaited\0", self.name);
            let _ = Python::try_attach(|py| {
                let text = std::ffi::CStr::from_bytes_with_nul(text.as_bytes()).unwrap_or_default();
                // Where warnings are errors there is nobody who could catch it.
                let _ = PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), text, 1);
            });
        }
    }
}

/// The way in which a coroutine returns.
fn stop(py: Python<'_>, outcome: Result<Answer>) -> PyErr {
    match outcome {
        Ok(answer) => answer(py).map_or_else(|error| error, |value| PyStopIteration::new_err((value,))),
        Err(error) => raise(py, &error),
    }
}

fn answer<T>(value: T) -> Answer
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    Box::new(move |py| value.into_py_any(py))
}

fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING
        .get_or_try_init(py, || PyResult::Ok(py.import("asyncio")?.getattr("get_running_loop")?.unbind()))?;
    running.bind(py).call0()
}
