//! The binary `platform`.

use std::process::ExitCode;

fn main() -> ExitCode {
    platform_server::cli::run()
}
