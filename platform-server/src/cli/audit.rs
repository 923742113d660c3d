//! `audit verify` and `audit export`: also while a server holds the folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use embedded_store::{export_audit, verify_audit};
use platform_core::audit::{self, Report, VerifierKey};
use platform_core::kernel::Result;

use super::{Failure, print};
use crate::config::Loaded;
use crate::control::{Reply, Request, ask};

/// What can be done with the audit log of a folder.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Recomputes the whole audit log and names the first bad entry
    Verify {
        /// The verifier key that must have signed the checkpoint; that of the folder when absent
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Writes the audit log as files of C2SP tlog-tiles, with the verifier key
    Export {
        /// The folder to write to
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
}

pub(super) fn run(command: AuditCommand, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let data = &loaded.config.storage.data;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        AuditCommand::Verify { key } => {
            let trusted = key.map(|key| key.parse::<VerifierKey>()).transpose()?;
            report(
                &runtime.block_on(with_log(data, async |data| verify_audit(data, trusted.as_ref()).await))?,
            )
        }
        AuditCommand::Export { to } => {
            let checkpoint = runtime.block_on(with_log(data, async |data| export_audit(data, &to).await))?;
            print([
                format!("exported {} entries to {}", checkpoint.size, to.display()),
                format!("origin {}", checkpoint.origin),
                format!("root {}", checkpoint.root),
            ])?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads the log of a folder; that of a store on fjall that a server has open, from a copy that the server
/// makes beside the folder.
async fn with_log<T>(data: &Path, read: impl AsyncFn(&Path) -> Result<T>) -> Result<T, Failure> {
    match read(data).await {
        Err(error) if error.code() == "store.locked" => {}
        done => return Ok(done?),
    }
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(format!(".audit-{}", std::process::id()));
    let copy = Copy(std::path::absolute(data)?.with_file_name(name));
    let request = Request::CopyStore { store: audit::STORE.to_owned(), into: copy.0.clone() };
    match ask(data, &request)? {
        Reply::Copied => Ok(read(&copy.0).await?),
        Reply::Failed(message) => Err(Failure::new(message)),
        Reply::BackedUp(_) => Err(Failure::new("the server answered something else")),
    }
}

/// A folder that is removed with the value.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // It is not there when the copy failed early.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn report(report: &Report) -> Result<ExitCode, Failure> {
    let mut lines = vec![
        format!("origin {}", report.origin),
        format!("verifier {}", report.verifier),
        format!("entries {}, signed {}", report.entries, report.signed),
    ];
    lines.extend(report.root.map(|root| format!("root {root}")));
    if report.holds() {
        lines.push("the audit log holds".to_owned());
        print(lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    lines.extend(
        report.first_bad.as_ref().map(|bad| format!("first bad entry {}: {}", bad.index, bad.reason)),
    );
    if !report.checkpoint_holds {
        lines.push("the checkpoint is missing, or is not signed by this key over these entries".to_owned());
    }
    print(lines)?;
    Err(Failure::new("the audit log is not what was appended and signed"))
}
