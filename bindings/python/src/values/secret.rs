//! Secrets: strings that no `repr` shows.

use platform_core::kernel;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::typed::Typed;

/// A password or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) kernel::Secret);

impl Secret {
    pub(crate) fn new(text: &str) -> Secret {
        Secret(kernel::Secret::new(text))
    }
}

impl Typed for Secret {
    const IS_HIDDEN: bool = true;

    fn output() -> String {
        "str".to_owned()
    }
}

impl<'py> IntoPyObject<'py> for Secret {
    type Target = PyString;
    type Output = Bound<'py, PyString>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        Ok(PyString::new(py, self.0.expose()))
    }
}

impl FromPyObject<'_, '_> for Secret {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Secret> {
        Ok(Secret::new(&object.cast::<PyString>()?.to_cow()?))
    }
}
