//! Where the public test vectors are: a folder beside the checkout.

use std::path::{Path, PathBuf};

/// `PLATFORM_TEST_DATA`, else `shared/data` next to the checkout or one level above; `None` without one.
pub(crate) fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("PLATFORM_TEST_DATA") {
        return Some(folder.into());
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    ["../shared/data", "../../shared/data"].iter().map(|path| checkout.join(path)).find(|path| path.is_dir())
}
