//! What fuzz targets reach behind the facade of this domain.

use std::borrow::Cow;

use super::pattern;

/// A path pattern in its canonical shape.
///
/// # Errors
/// What is wrong with it.
pub fn shape(path: &str) -> Result<String, &'static str> {
    pattern::shape(path)
}

/// The name in a `Host` header.
pub fn host_name(authority: &str) -> Cow<'_, str> {
    pattern::host_name(authority)
}
