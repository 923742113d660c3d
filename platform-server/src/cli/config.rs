//! `config check` and `config show`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, print, shown};
use crate::assemble::check;
use crate::config::Loaded;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Reads every layer and says whether the result can be used
    Check,
    /// Shows every setting; secrets are not shown
    Show {
        /// Also where each value came from
        #[arg(long)]
        origin: bool,
    },
}

pub(super) fn run(command: ConfigCommand, loaded: &Loaded) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Check => {
            check(&loaded.config).map_err(Failure::of_configuration)?;
            print(["ok"])?;
        }
        ConfigCommand::Show { origin } => print(shown(loaded, origin))?,
    }
    Ok(ExitCode::SUCCESS)
}
