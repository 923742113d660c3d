//! Raw bytes.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::typed::Typed;

/// Bytes that Python reads in place (`memoryview`, `numpy.frombuffer`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Typed for Bytes {
    const IS_HIDDEN: bool = true;

    fn output() -> String {
        "bytes".to_owned()
    }
}

impl<'py> IntoPyObject<'py> for Bytes {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0))
    }
}
