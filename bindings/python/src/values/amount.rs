//! Amounts: `decimal.Decimal`, never a float.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyInt, PyString, PyType};

use crate::typed::Typed;

/// An amount as the core writes and reads it: a decimal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal(pub(crate) String);

impl Typed for Decimal {
    fn output() -> String {
        "Decimal".to_owned()
    }

    fn input() -> String {
        "Decimal | int | str".to_owned()
    }
}

fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "decimal", "Decimal")
}

impl<'py> IntoPyObject<'py> for Decimal {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        class(py)?.call1((self.0,))
    }
}

impl FromPyObject<'_, '_> for Decimal {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Decimal> {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Decimal(text.to_cow()?.into_owned()));
        }
        let is_integer = object.is_instance_of::<PyInt>() && !object.is_instance_of::<PyBool>();
        if is_integer {
            return Ok(Decimal(object.str()?.to_cow()?.into_owned()));
        }
        if !object.is_instance(class(object.py())?)? {
            return Err(PyTypeError::new_err(
                "an amount is a Decimal, an int or a decimal text; a float is not exact",
            ));
        }
        // "f": without an exponent.
        let text = object.call_method1("__format__", ("f",))?.extract::<String>()?;
        Ok(Decimal(without_trailing_zeros(&text).to_owned()))
    }
}

/// A number of Python's is a value: its zeros behind the last digit mean nothing (0.50 × 2.5 is 1.250).
fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}
