//! `audit verify` and `audit export`: also while a server holds the folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use embedded_store::{export_audit, verify_audit};
use platform_core::audit::{Report, VerifierKey};

use super::{Failure, print};
use crate::config::Loaded;

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
            report(&runtime.block_on(verify_audit(data, trusted.as_ref()))?)
        }
        AuditCommand::Export { to } => {
            let checkpoint = runtime.block_on(export_audit(data, &to))?;
            print([
                format!("exported {} entries to {}", checkpoint.size, to.display()),
                format!("origin {}", checkpoint.origin),
                format!("root {}", checkpoint.root),
            ])?;
            Ok(ExitCode::SUCCESS)
        }
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
