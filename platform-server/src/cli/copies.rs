//! `backup` and `restore`.

use std::path::Path;
use std::process::ExitCode;

use embedded_store::{Manifest, SystemRuntime, backup, restore};
use platform_core::audit::AuditConfig;
use platform_core::ports::runtime::Runtime;

use super::{Failure, print};
use crate::config::Config;
use crate::control::{Reply, Request, ask};

/// Copies the data folder; a server may be running on it.
pub(super) fn take(config: &Config, into: &Path) -> Result<ExitCode, Failure> {
    let data = &config.storage.data;
    let manifest = in_runtime(async {
        match backup(data, into, SystemRuntime::current().now()) {
            Err(error) if error.code() == "backup.in_use" => taken_by_server(data, into),
            taken => Ok(taken?),
        }
    })?;
    print([
        format!("backed up {} to {}", config.storage.data.display(), into.display()),
        described(&manifest),
    ])?;
    Ok(ExitCode::SUCCESS)
}

/// The server that has the folder open copies it: stores on fjall are its own.
fn taken_by_server(data: &Path, into: &Path) -> Result<Manifest, Failure> {
    let into = std::path::absolute(into)?;
    match ask(data, &Request::Backup { into: into.clone() })? {
        Reply::BackedUp(manifest) if Manifest::read(&into)? == manifest => Ok(manifest),
        Reply::BackedUp(_) => {
            Err(Failure::new(format!("{}: it is not what the server has made", into.display())))
        }
        Reply::Failed(message) => Err(Failure::new(message)),
        Reply::Copied => Err(Failure::new("the server answered something else")),
    }
}

/// Puts a backup in the place of the data folder, and begins a new origin of the audit log: what it held
/// after the backup is gone, and nobody shall take the two for one log.
pub(super) fn put_back(config: &Config, from: &Path) -> Result<ExitCode, Failure> {
    let data = &config.storage.data;
    let restored = in_runtime(async {
        Ok(restore(from, data, AuditConfig::default(), SystemRuntime::current().now()).await?)
    })?;
    print([format!("restored {} from {}", data.display(), from.display()), described(&restored.manifest)])?;
    if let Some(key) = &restored.audit_key {
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
