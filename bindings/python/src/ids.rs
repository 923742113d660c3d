//! Ids as bytes, for arrays and databases: a text says what it is the id of, the 16 bytes are a UUID.

use platform_core::kernel::{Error, RawId};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;

/// The 16 bytes of an id: a UUID, ordered by time.
///
/// >>> import uuid
/// >>> uuid.UUID(bytes=id_bytes(ada.id)).version
/// 7
#[pyfunction]
pub(crate) fn id_bytes<'py>(py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyBytes>> {
    let raw = id.rsplit_once('_').and_then(|(_, digits)| RawId::from_base32(digits));
    raw.map(|raw| PyBytes::new(py, &raw.0)).ok_or_else(|| raise(py, &invalid()))
}

/// The id of 16 bytes: ``kind`` is what stands before its ``_`` (``account``, ``transfer``, …).
///
/// >>> id_text("user", id_bytes(ada.id)) == ada.id
/// True
#[pyfunction]
pub(crate) fn id_text(py: Python<'_>, kind: &str, raw: &[u8]) -> PyResult<String> {
    let is_kind = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match <[u8; 16]>::try_from(raw) {
        Ok(raw) if is_kind => Ok(format!("{kind}_{}", RawId(raw).to_base32())),
        _ => Err(raise(py, &invalid())),
    }
}

fn invalid() -> Error {
    Error::invalid("request.invalid_id", "an id is a word, _ and 26 base32 characters; or 16 bytes")
}
