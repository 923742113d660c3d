//! Lists of results that come whole.

use std::marker::PhantomData;

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::typed::Typed;

/// Values of the core that become a list of records.
pub(crate) struct Many<C, R>(Vec<C>, PhantomData<fn() -> R>);

impl<C, R> From<Vec<C>> for Many<C, R> {
    fn from(values: Vec<C>) -> Many<C, R> {
        Many(values, PhantomData)
    }
}

impl<C, R: Typed> Typed for Many<C, R> {
    fn output() -> String {
        Vec::<R>::output()
    }
}

impl<'py, C, R: From<C> + IntoPyObject<'py>> IntoPyObject<'py> for Many<C, R> {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.into_iter().map(R::from))
    }
}
