//! What no facade does on purpose: a call that takes its time, and one that panics. For the tests.

use std::time::Duration;

use platform_core::users::{Email, NewProfile};
use pyo3::prelude::*;

use crate::platform::Platform;
use crate::values::Name;

pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_wait, module)?)?;
    module.add_function(wrap_pyfunction!(_panic, module)?)
}

/// Waits some seconds and then makes a profile.
#[pyfunction]
fn _wait(py: Python<'_>, platform: &Platform, seconds: f64, email: Name<Email>) -> PyResult<()> {
    platform.view.wait(py, None, move |platform, context| async move {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let new = NewProfile { id: None, email: email.0, name: None };
        platform.users().create(&context, &new).await.map(drop)
    })
}

/// Panics, at once or after it has waited.
#[pyfunction]
#[allow(clippy::panic, reason = "it is what the test asks for")]
fn _panic(py: Python<'_>, platform: &Platform, text: String, is_late: bool) -> PyResult<()> {
    platform.view.wait(py, None, move |_, _| async move {
        if is_late {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{text}")
    })
}
