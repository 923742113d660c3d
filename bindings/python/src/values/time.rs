//! Points in time: `datetime`, always with a time zone.

use platform_core::kernel::{Error, Timestamp};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDelta, PyDeltaAccess, PyTzInfo};

use crate::error::raise;
use crate::typed::Typed;

const DAY_US: u64 = 86_400_000_000;
const SECOND_US: u64 = 1_000_000;

/// A `datetime` in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Timestamp);

impl Typed for Time {
    fn output() -> String {
        "datetime".to_owned()
    }
}

/// 1970-01-01T00:00:00Z.
fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyDateTime>> {
    static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();
    let epoch = EPOCH.get_or_try_init(py, || {
        let utc = PyTzInfo::utc(py)?.to_owned();
        PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc)).map(Bound::unbind)
    })?;
    Ok(epoch.bind(py))
}

impl<'py> IntoPyObject<'py> for Time {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let micros = self.0.as_micros();
        let part = |amount: u64| i32::try_from(amount).unwrap_or(i32::MAX);
        let (days, rest) = (part(micros / DAY_US), micros % DAY_US);
        let after = PyDelta::new(py, days, part(rest / SECOND_US), part(rest % SECOND_US), false)?;
        epoch(py)?.add(after)
    }
}

impl FromPyObject<'_, '_> for Time {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Time> {
        let py = object.py();
        let time = object.cast::<PyDateTime>()?;
        if time.call_method0("utcoffset")?.is_none() {
            return Err(PyTypeError::new_err(
                "a time needs its zone: datetime.now(timezone.utc), not datetime.now()",
            ));
        }
        let after = time.sub(epoch(py)?)?;
        let after = after.cast::<PyDelta>()?;
        let (days, seconds) = (i64::from(after.get_days()), i64::from(after.get_seconds()));
        let micros = (days * 86_400 + seconds) * 1_000_000 + i64::from(after.get_microseconds());
        u64::try_from(micros).map(|micros| Time(Timestamp::from_micros(micros))).map_err(|_| {
            raise(py, &Error::invalid("request.invalid_time", "a time is from 1970 to 9999-12-30"))
        })
    }
}
