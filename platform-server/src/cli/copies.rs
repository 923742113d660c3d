//! `backup` and `restore`.

use std::path::Path;
use std::process::ExitCode;

use embedded_store::{Manifest, SystemRuntime, backup, reorigin_audit, restore};
use platform_core::audit::AuditConfig;
use platform_core::ports::runtime::Runtime;

use super::{Failure, print};
use crate::config::Config;

/// Copies the data folder; a server may be running on it.
pub(super) fn take(config: &Config, into: &Path) -> Result<ExitCode, Failure> {
    let manifest =
        in_runtime(async { Ok(backup(&config.storage.data, into, SystemRuntime::current().now())?) })?;
    print([
        format!("backed up {} to {}", config.storage.data.display(), into.display()),
        described(&manifest),
    ])?;
    Ok(ExitCode::SUCCESS)
}

/// Puts a backup in the place of the data folder, and begins a new origin of the audit log: what it held
/// after the backup is gone, and nobody shall take the two for one log.
pub(super) fn put_back(config: &Config, from: &Path) -> Result<ExitCode, Failure> {
    let data = &config.storage.data;
    let (restored, key) = in_runtime(async {
        let restored = restore(from, data, SystemRuntime::current().now())?;
        let key = reorigin_audit(data, AuditConfig::default()).await?;
        Ok((restored, key))
    })?;
    print([format!("restored {} from {}", data.display(), from.display()), described(&restored.manifest)])?;
    if let Some(key) = key {
        print([format!("new audit origin, its key: {key}")])?;
    }
    if let Some(kept) = &restored.kept {
        print([format!("what was there before is kept in {}", kept.display())])?;
    }
    if restored.kept_keys {
        print(["the keys in use were kept: what was erased since the backup stays erased"])?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(manifest: &Manifest) -> String {
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    format!(
        "taken {}, {} files, {bytes} bytes, sha256 {}",
        manifest.taken_at,
        manifest.files.len(),
        manifest.content_sha256
    )
}

/// Runs what needs tokio.
pub(super) fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(work)
}
