//! Sets: any collection comes in, a `frozenset` goes out.

use std::collections::BTreeSet;

use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyString};

use crate::typed::Typed;

/// A set without an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set<T>(pub(crate) BTreeSet<T>);

impl<T: Typed> Typed for Set<T> {
    fn output() -> String {
        format!("frozenset[{}]", T::output())
    }

    fn input() -> String {
        format!("Collection[{}]", T::input())
    }
}

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Set<T> {
    type Target = PyFrozenSet;
    type Output = Bound<'py, PyFrozenSet>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        PyFrozenSet::new(py, self.0)
    }
}

impl<'py, T: Ord + for<'a> FromPyObject<'a, 'py>> FromPyObject<'_, 'py> for Set<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Set<T>> {
        // A text is a collection of its letters, which nobody means.
        if object.is_instance_of::<PyString>() {
            return Err(pyo3::exceptions::PyTypeError::new_err(
                "expected a collection of texts, not one text",
            ));
        }
        object
            .try_iter()?
            .map(|item| item?.extract::<T>().map_err(Into::into))
            .collect::<PyResult<_>>()
            .map(Set)
    }
}
