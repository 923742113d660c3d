//! The audit log of a data folder, from outside of the running platform.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform_core::audit::{self, Audit, AuditConfig, Checkpoint, Report, Sink, VerifierKey};
use platform_core::kernel::{Context, Error, Result};
use platform_core::ports::Database;
use platform_core::ports::keys::EnvelopeKeys;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::store::{Store, Stores};

use crate::key_file::load_key_of;
use crate::stores::holds;
use crate::{EmbeddedStores, SystemRuntime};

/// Recomputes the audit log of a data folder, also while a server holds the folder. With `trusted` the
/// checkpoint must be signed by that key.
///
/// # Errors
/// As [`audit::verify()`]; `audit.not_found` when the folder has no log. That the log is not what it was
/// is no error: it is the report.
pub async fn verify_audit(data: &Path, trusted: Option<&VerifierKey>) -> Result<Report> {
    audit::verify(&*look(data).await?, trusted).await
}

/// Writes the audit log of a data folder as files that others can check (C2SP tlog-tiles), also while a
/// server holds the folder. Into a folder that has an older export of the same log, what is new is added.
///
/// # Errors
/// As [`audit::export()`]; `audit.export_failed` when a file cannot be written.
pub async fn export_audit(data: &Path, to: &Path) -> Result<Checkpoint> {
    let store = look(data).await?;
    fs::create_dir_all(to).map_err(|cause| failed(to, cause))?;
    audit::export(&*store, &mut Files { root: to.to_owned() }).await
}

/// Opens a new origin for the audit log of a folder that was restored and is not in use: what the old
/// origin signed after the backup is not here. Returns the new verifier key; `None` when the folder has
/// no log yet.
///
/// # Errors
/// `store.locked` when a process has the folder open; those of the store and of the keys.
pub async fn reorigin_audit(data: &Path, config: AuditConfig) -> Result<Option<VerifierKey>> {
    reorigin_prepared(data, data, config).await
}

/// The same in a folder that is to take the place of `data`, whose key it has.
pub(crate) async fn reorigin_prepared(
    prepared: &Path,
    data: &Path,
    config: AuditConfig,
) -> Result<Option<VerifierKey>> {
    if !holds(prepared, audit::STORE) {
        return Ok(None);
    }
    let key = load_key_of(data, prepared)?;
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
    let stores = EmbeddedStores::open(prepared)?;
    let keys = Arc::new(EnvelopeKeys::open(&key, &stores, Arc::clone(&runtime)).await?);
    let store = stores.open(&audit::schema()).await?;
    let audit = Audit::over(Database { store, runtime, keys }, config).await?;
    audit.reorigin(&Context::system()).await.map(Some)
}

async fn look(data: &Path) -> Result<Arc<dyn Store>> {
    if !holds(data, audit::STORE) {
        return Err(
            Error::not_found("audit.not_found", "the folder has no audit log").with("path", data.display())
        );
    }
    EmbeddedStores::read_only(data).open(&audit::schema()).await
}

/// Files under a folder: each whole or not there.
struct Files {
    root: PathBuf,
}

impl Sink for Files {
    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let to = self.root.join(path);
        self.replace(&to, bytes).map_err(|cause| failed(&to, cause))
    }
}

impl Files {
    fn replace(&self, to: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let beside = folder.join(".writing");
        fs::write(&beside, bytes)?;
        fs::rename(&beside, to)
    }
}

fn failed(path: &Path, cause: std::io::Error) -> Error {
    Error::unavailable("audit.export_failed", "the audit log cannot be written as files")
        .with("path", path.display())
        .because(cause)
}
