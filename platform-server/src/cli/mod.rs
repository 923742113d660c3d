//! The command line.

mod audit;
mod config;
mod copies;
mod descriptors;
mod doctor;
mod serve;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Loaded, Sources, load};

/// Seven backend services in one binary and one folder.
#[derive(Debug, Parser)]
#[command(name = "platform", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// The folder that holds everything
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file; platform.toml in the working directory when it exists
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one setting: SECTION.KEY=VALUE
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the gateway and all domains
    Serve {
        /// Address and port
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
    },
    /// Checks or exports the audit log, also while a server runs
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Checks or shows the configuration
    Config {
        #[command(subcommand)]
        command: config::ConfigCommand,
    },
    /// Looks for everything that can be wrong on this machine, and says what to do
    Doctor,
    /// Copies the data folder, also while a server runs on it
    Backup {
        /// A new folder
        #[arg(value_name = "DIR")]
        into: PathBuf,
    },
    /// Puts a backup in the place of the data folder, which is kept beside it
    Restore {
        /// The backup
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
}

/// A command that failed: what to print and how to exit.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The command could not do what it should: exit code 1.
    pub fn new(message: impl fmt::Display) -> Failure {
        Failure { message: message.to_string(), code: 1 }
    }

    /// A wrong configuration: exit code 2, as for wrong arguments.
    fn of_configuration(error: impl fmt::Display) -> Failure {
        Failure { message: format!("configuration: {error}"), code: 2 }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::of_configuration(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::new(error)
    }
}

impl From<platform_core::kernel::Error> for Failure {
    fn from(error: platform_core::kernel::Error) -> Failure {
        Failure::new(format!("{error:?}"))
    }
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(code) => code,
        Err(failure) => {
            // When even stderr is closed, the exit code is all that can be said.
            let _ = writeln!(std::io::stderr(), "error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let listen = match &cli.command {
        Command::Serve { listen } => listen.clone(),
        _ => None,
    };
    let loaded = load(&sources(&cli.common, listen)?)?;
    match cli.command {
        Command::Serve { .. } => serve::serve(&loaded),
        Command::Audit { command } => audit::run(command, &loaded),
        Command::Config { command } => config::run(command, &loaded),
        Command::Doctor => doctor::run(&loaded),
        Command::Backup { into } => copies::take(&loaded.config, &into),
        Command::Restore { from } => copies::put_back(&loaded.config, &from),
    }
}

fn sources(common: &Common, listen: Option<String>) -> Result<Sources, Failure> {
    let mut flags = Vec::new();
    for pair in &common.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| Failure {
            message: format!("--set {pair}: expected SECTION.KEY=VALUE"),
            code: 2,
        })?;
        flags.push(("--set".to_owned(), key.trim().to_owned(), value.to_owned()));
    }
    if let Some(data) = &common.data {
        flags.push(("--data".to_owned(), "storage.data".to_owned(), data.display().to_string()));
    }
    if let Some(listen) = listen {
        flags.push(("--listen".to_owned(), "server.listen".to_owned(), listen));
    }
    // A variable that is not Unicode cannot be one of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Sources { file: common.config.clone(), environment, flags })
}

/// Prints lines to stdout, as far as somebody reads them (`… | head`).
fn print(lines: impl IntoIterator<Item = impl fmt::Display>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let printed =
        lines.into_iter().try_for_each(|line| writeln!(stdout, "{line}")).and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

/// The settings as `config show` and `doctor` print them.
fn shown(loaded: &Loaded, with_origin: bool) -> Vec<String> {
    loaded
        .each()
        .map(
            |(key, value, origin)| {
                if with_origin { format!("{key} = {value}  # {origin}") } else { format!("{key} = {value}") }
            },
        )
        .collect()
}
