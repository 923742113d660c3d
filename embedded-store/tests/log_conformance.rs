//! The log passes the suite of the port.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use embedded_store::FjallLog;
use platform_core::kernel::Result;
use platform_core::ports::log::EventLog;
use platform_core::ports::log::conformance::Place;
use platform_core::ports::runtime::Runtime;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }
}

impl Place for Folder {
    fn log(&self, runtime: Arc<dyn Runtime>) -> Result<Arc<dyn EventLog>> {
        Ok(Arc::new(FjallLog::open(&self.0.path().join("log"), runtime)?))
    }
}

platform_core::log_conformance!(Folder::new());
