//! Typed ids: strings, with a `NewType` for each.

use std::str::FromStr;

use platform_core::kernel::{
    AccountId, DeadLetterId, EventId, IdError, NotificationId, SessionId, TransferId, UserId,
};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::raise;
use crate::typed::Typed;

/// An id of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id<T>(pub(crate) T);

/// What its `NewType` is called.
pub(crate) trait NamedId {
    const NAME: &'static str;
}

macro_rules! ids {
    ($($id:ident),*) => {
        $(impl NamedId for $id {
            const NAME: &'static str = stringify!($id);
        })*

        /// Every type of id: the stubs take them from the package.
        pub(crate) const IDS: &[&str] = &[$(stringify!($id)),*];
    };
}

ids!(AccountId, DeadLetterId, EventId, NotificationId, SessionId, TransferId, UserId);

impl<T: NamedId> Typed for Id<T> {
    fn output() -> String {
        T::NAME.to_owned()
    }
}

impl<'py, T: std::fmt::Display> IntoPyObject<'py> for Id<T> {
    type Target = PyString;
    type Output = Bound<'py, PyString>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        Ok(PyString::new(py, &self.0.to_string()))
    }
}

impl<T: FromStr<Err = IdError>> FromPyObject<'_, '_> for Id<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Id<T>> {
        let text = object.cast::<PyString>()?;
        text.to_cow()?.parse().map(Id).map_err(|error: IdError| raise(object.py(), &error.into()))
    }
}
