//! Lists: iterators that read page after page, or one page at a time.

use std::sync::Arc;

use platform_core::Platform;
use platform_core::kernel::{BoxFuture, Context, Cursor, Page, PageRequest, Result};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::call::Call;
use crate::error::raise;
use crate::view::View;

/// A page whose items are not yet Python's.
type Items = Box<dyn FnOnce(Python<'_>) -> PyResult<Vec<Py<PyAny>>> + Send>;

type Fetch = Arc<dyn Fn(Platform, Context, PageRequest) -> BoxFuture<'static, Result<Fetched>> + Send + Sync>;

/// What one request brought.
pub(crate) struct Fetched {
    items: Items,
    number: usize,
    next: Option<Cursor>,
}

/// A list of the core: what its pages are read by.
#[derive(Clone)]
pub(crate) struct List {
    view: View,
    fetch: Fetch,
}

impl Fetched {
    pub(crate) fn of<T, P>(page: Page<T>) -> Fetched
    where
        P: From<T> + for<'py> IntoPyObject<'py>,
        T: Send + 'static,
    {
        let items = page.items;
        let number = items.len();
        let convert =
            move |py: Python<'_>| items.into_iter().map(|item| P::from(item).into_py_any(py)).collect();
        Fetched { items: Box::new(convert), number, next: page.next_cursor }
    }

    fn next_request(&self) -> Option<PageRequest> {
        self.next.clone().map(|cursor| PageRequest { limit: None, cursor: Some(cursor) })
    }
}

impl List {
    pub(crate) fn new(
        view: &View,
        fetch: impl Fn(Platform, Context, PageRequest) -> BoxFuture<'static, Result<Fetched>>
        + Send
        + Sync
        + 'static,
    ) -> List {
        List { view: view.clone(), fetch: Arc::new(fetch) }
    }

    fn wait(&self, py: Python<'_>, request: PageRequest) -> PyResult<Fetched> {
        self.view.wait(py, None, |platform, context| (self.fetch)(platform, context, request))
    }

    fn call(
        &self,
        request: PageRequest,
    ) -> impl FnOnce(Platform, Context) -> BoxFuture<'static, Result<Fetched>> + Send + Sync + 'static {
        let fetch = Arc::clone(&self.fetch);
        move |platform, context| fetch(platform, context, request)
    }
}

impl<'py> IntoPyObject<'py> for Fetched {
    type Target = PageOf;
    type Output = Bound<'py, PageOf>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PageOf>> {
        let items = PyList::new(py, (self.items)(py)?)?.unbind();
        Bound::new(py, PageOf { items, next_cursor: self.next.map(|cursor| cursor.to_string()) })
    }
}

fn request(py: Python<'_>, limit: Option<usize>, cursor: Option<&str>) -> PyResult<PageRequest> {
    let cursor = cursor.map(str::parse).transpose().map_err(|error| raise(py, &error))?;
    Ok(PageRequest { limit, cursor })
}

/// One page of a list.
#[pyclass(frozen, generic, name = "Page", module = "platform_core")]
pub(crate) struct PageOf {
    /// The items.
    #[pyo3(get)]
    items: Py<PyList>,
    /// Where the next page begins; `None` on the last.
    #[pyo3(get)]
    next_cursor: Option<String>,
}

#[pymethods]
impl PageOf {
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.items.bind(py).try_iter()?.into_any())
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.items.bind(py).len()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let cursor = self.next_cursor.clone().into_bound_py_any(py)?.repr()?;
        Ok(format!("Page(items={}, next_cursor={cursor})", self.items.bind(py).repr()?))
    }
}

/// A list: iterate over it, which reads page after page, or ask for one page.
#[pyclass(frozen, generic, module = "platform_core")]
pub(crate) struct Pages(pub(crate) List);

#[pymethods]
impl Pages {
    fn __iter__(&self) -> PagesIterator {
        PagesIterator(Walk::new(&self.0))
    }

    /// One page: at most ``limit`` items (1 to 500; 50 when nothing is said), from where ``cursor`` says on.
    #[pyo3(signature = (*, limit = None, cursor = None))]
    fn page<'py>(
        &self,
        py: Python<'py>,
        limit: Option<usize>,
        cursor: Option<&str>,
    ) -> PyResult<Bound<'py, PageOf>> {
        self.0.wait(py, request(py, limit, cursor)?)?.into_pyobject(py)
    }
}

/// A list: ``async for`` over it reads page after page; or ask for one page.
#[pyclass(frozen, generic, module = "platform_core")]
pub(crate) struct AsyncPages(pub(crate) List);

#[pymethods]
impl AsyncPages {
    fn __aiter__(&self) -> AsyncPagesIterator {
        AsyncPagesIterator(Arc::new(parking_lot::Mutex::new(Walk::new(&self.0))))
    }

    /// One page: at most ``limit`` items (1 to 500; 50 when nothing is said), from where ``cursor`` says on.
    #[pyo3(signature = (*, limit = None, cursor = None))]
    fn page(&self, py: Python<'_>, limit: Option<usize>, cursor: Option<&str>) -> PyResult<Call> {
        Ok(self.0.view.call("page", false, None, self.0.call(request(py, limit, cursor)?)))
    }
}

/// Where an iteration stands.
struct Walk {
    list: List,
    /// Of the page at hand, the next one last.
    items: Vec<Py<PyAny>>,
    /// What to ask for next; `None` when the last page is here.
    next: Option<PageRequest>,
}

impl Walk {
    fn new(list: &List) -> Walk {
        Walk { list: list.clone(), items: Vec::new(), next: Some(PageRequest::default()) }
    }

    fn take(&mut self, py: Python<'_>, fetched: Fetched) -> PyResult<()> {
        let next = fetched.next_request();
        self.items = (fetched.items)(py)?;
        self.items.reverse();
        self.next = next;
        Ok(())
    }
}

#[pyclass(module = "platform_core._platform_core")]
pub(crate) struct PagesIterator(Walk);

#[pymethods]
impl PagesIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        loop {
            if let Some(item) = self.0.items.pop() {
                return Ok(item);
            }
            // A page may be empty although more follow.
            let Some(request) = self.0.next.clone() else { return Err(PyStopIteration::new_err(())) };
            let fetched = self.0.list.wait(py, request)?;
            self.0.take(py, fetched)?;
        }
    }
}

#[pyclass(frozen, module = "platform_core._platform_core")]
pub(crate) struct AsyncPagesIterator(Arc<parking_lot::Mutex<Walk>>);

#[pymethods]
impl AsyncPagesIterator {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(&self) -> Call {
        let (view, list) = {
            let walk = self.0.lock();
            (walk.list.view.clone(), walk.list.clone())
        };
        let walk = Arc::clone(&self.0);
        view.call("__anext__", true, None, move |platform, context| async move {
            let mut request = {
                let walk = walk.lock();
                walk.next.clone().filter(|_| walk.items.is_empty())
            };
            let mut fetched = None;
            while let Some(next) = request.take() {
                let page = (list.fetch)(platform.clone(), context.clone(), next).await?;
                if page.number == 0 {
                    // A page may be empty although more follow.
                    request = page.next_request();
                }
                fetched = Some(page);
            }
            Ok(Next { walk, fetched })
        })
    }
}

/// The next item, once there is an interpreter to take it.
struct Next {
    walk: Arc<parking_lot::Mutex<Walk>>,
    fetched: Option<Fetched>,
}

impl<'py> IntoPyObject<'py> for Next {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut walk = self.walk.lock();
        if let Some(fetched) = self.fetched {
            walk.take(py, fetched)?;
        }
        walk.items.pop().map(|item| item.into_bound(py)).ok_or_else(|| PyStopAsyncIteration::new_err(()))
    }
}
