//! Names that the core checks: of roles, permissions, flags, routes; addresses.

use std::fmt::Display;
use std::str::FromStr;

use platform_core::kernel::Error;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::raise;
use crate::typed::Typed;

/// A text with rules of its own: a plain `str` in Python.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name<T>(pub(crate) T);

impl<T> From<T> for Name<T> {
    fn from(name: T) -> Name<T> {
        Name(name)
    }
}

impl<T> Typed for Name<T> {
    fn output() -> String {
        "str".to_owned()
    }
}

impl<'py, T: Display> IntoPyObject<'py> for Name<T> {
    type Target = PyString;
    type Output = Bound<'py, PyString>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        Ok(PyString::new(py, &self.0.to_string()))
    }
}

impl<T: FromStr<Err = Error>> FromPyObject<'_, '_> for Name<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Name<T>> {
        let text = object.cast::<PyString>()?;
        text.to_cow()?.parse().map(Name).map_err(|error| raise(object.py(), &error))
    }
}
