//! Fields of a change: what is not given stays, `None` removes.

use pyo3::prelude::*;
use pyo3::types::PyEllipsis;

use crate::typed::Typed;

/// What a change does to a field. The default in Python is `...`: the field stays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Keep<T> {
    /// It stays.
    Unset,
    /// It becomes this.
    Set(T),
}

impl<T> Keep<T> {
    /// As the core's merge patches have it.
    pub(crate) fn into_option(self) -> Option<T> {
        match self {
            Keep::Unset => None,
            Keep::Set(value) => Some(value),
        }
    }
}

impl<T: Typed> Typed for Keep<T> {
    fn output() -> String {
        T::output()
    }

    fn input() -> String {
        T::input()
    }
}

impl<'py, T: for<'a> FromPyObject<'a, 'py>> FromPyObject<'_, 'py> for Keep<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Keep<T>> {
        if object.is_instance_of::<PyEllipsis>() {
            return Ok(Keep::Unset);
        }
        object.to_owned().extract::<T>().map(Keep::Set).map_err(Into::into)
    }
}
