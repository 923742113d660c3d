//! The rows of a structured array.

use platform_core::kernel::{TransferId, limits};
use platform_core::transactions::ledger::state::{Action, NewTransfer};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PySlice, PyType};

use super::layout::Layout;
use crate::error::raise;

/// Transfers as they stand in the rows, with the ids that they have.
pub(crate) struct Table(Vec<(Option<TransferId>, Action)>);

impl Table {
    /// Reads an array: its memory is copied once, by Python's own `memoryview` (which knows its bounds and its
    /// strides, and is there in every version of the stable interface), and read without the interpreter's lock.
    ///
    /// # Errors
    /// `TypeError` for a wrong shape or type; as [`Layout::rows`].
    pub(super) fn read(array: &Borrowed<'_, '_, PyAny>) -> PyResult<Table> {
        let py = array.py();
        let layout = Layout::read(&array.getattr("dtype")?)?;
        if array.hasattr("mask")? {
            return Err(PyTypeError::new_err("transfers of a masked array: take what is not masked first"));
        }
        let view = memoryview(py)?.call1((array,))?;
        if view.getattr("ndim")?.extract::<usize>()? != 1 {
            return Err(PyTypeError::new_err("transfers are an array of one dimension"));
        }
        // One more than may be: the ledger says so.
        let most = isize::try_from(limits::LEDGER_PAGE_TRANSFERS).unwrap_or(isize::MAX).saturating_add(1);
        let view = view.get_item(PySlice::new(py, 0, most, 1))?;
        let copy = view.call_method0("tobytes")?.cast_into::<PyBytes>()?;
        let bytes = copy.as_bytes();
        py.detach(|| layout.rows(bytes)).map(Table).map_err(|error| raise(py, &error))
    }

    /// As the ledger takes them.
    pub(super) fn transfers(self, new_id: impl Fn() -> TransferId) -> Vec<NewTransfer> {
        let made = |(id, action): (Option<TransferId>, Action)| NewTransfer {
            id: id.unwrap_or_else(&new_id),
            action,
        };
        self.0.into_iter().map(made).collect()
    }
}

fn memoryview(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "builtins", "memoryview")
}
