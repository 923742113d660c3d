//! The project's own commands.
//!
//! `cargo xtask test` passes everything that must hold before a change lands: format, lints, each
//! domain built alone, a thousand seeds of the simulation, the Python module with its tests, all tests. It
//! installs what the tests need and the machine lacks. `cargo xtask peers` installs what the benches measure beside ours.

mod kafka;
mod python;

use std::process::{Command, ExitCode};

/// Each domain alone, with the domains that it needs: so a phone carries only what it uses.
const DOMAINS: [&str; 7] = ["users", "auth", "flags", "gateway", "transactions", "notifications", "audit"];

/// Programs that the tests start, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 5] = [
    ("curl", "curl"),
    ("sqlite3", "sqlite3"),
    ("python3", "python3"),
    ("initdb", "postgresql"),
    ("redis-server", "redis-server"),
];

/// Where Debian's packages put programs that are on nobody's path: PostgreSQL's, a folder for each version.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// Programs that the benches measure beside ours.
const PEERS: [(&str, &str); 2] = [("redis-server", "redis-server"), ("nginx", "nginx-light")];

/// The simulation runs a million commands, so what it runs is optimised. With a profile of its own everything
/// that we depend on would be built once more; so it is shared with all other tests.
const OPTIMISED: [&str; 2] =
    ["profile.dev.package.platform-core.opt-level=2", "profile.dev.package.simulation.opt-level=2"];

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "test" => install(&PROGRAMS).and_then(|()| kafka::kafka()).and_then(|()| test()),
        "peers" => install(&PEERS),
        "kafka" => kafka::kafka(),
        "features" => features(),
        "python" => python::python(&std::env::args().skip(2).collect::<Vec<_>>()),
        "faults" => faults(&std::env::args().skip(2).collect::<Vec<_>>()),
        "simulate" => simulate(&std::env::args().skip(2).collect::<Vec<_>>()),
        _ => Err(
            "usage: cargo xtask test | kafka | features | python [stubs | OPTIONS OF PYTEST] | simulate [OPTIONS] | \
                  faults [TIMES [FROM]] | peers"
                .to_owned(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    features()?;
    simulate(&["--seeds", "1000", "--planted"].map(str::to_owned))?;
    python::python(&[])?;
    // The runner's own summary lines come last.
    cargo(&["test", "--workspace", "--exclude", "benches", "--all-features", "--no-fail-fast"])
}

/// A thousand fresh seeds, or what the options say; and all that ever failed, unless it is one seed's turn.
fn simulate(options: &[String]) -> Result<(), String> {
    let known = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulation/seeds.txt");
    let mut arguments = vec!["run", "--package", "simulation", "--features", "planted-faults"];
    for optimised in OPTIMISED {
        arguments.extend(["--config", optimised]);
    }
    arguments.push("--");
    arguments.extend(options.iter().map(String::as_str));
    if options.is_empty() {
        arguments.extend(["--seeds", "1000"]);
    }
    if !options.iter().any(|option| option == "--print") {
        arguments.extend(["--known", known]);
    }
    cargo(&arguments)
}

/// The sweeps over failing disks, so many times as many seeds as in CI, from a seed on (fresh ones by default).
fn faults(options: &[String]) -> Result<(), String> {
    let fresh = std::time::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_secs()).to_string();
    let times = options.first().map_or("10", String::as_str);
    let from = options.get(1).unwrap_or(&fresh);
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.env("DISK_FAULTS", times).env("DISK_FAULTS_FROM", from);
    run(command.args(["test", "--package", "disk-faults", "--tests", "--no-fail-fast", "--", "--nocapture"]))
}

fn features() -> Result<(), String> {
    for domain in DOMAINS {
        cargo(&["check", "--package", "platform-core", "--no-default-features", "--features", domain])?;
    }
    Ok(())
}

/// Installs the programs that are missing, where Debian's package manager is there to do it.
fn install(programs: &[(&str, &str)]) -> Result<(), String> {
    let missing: Vec<&str> =
        programs.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    install_packages(&missing)
}

fn install_packages(packages: &[&str]) -> Result<(), String> {
    if !is_there("apt-get") {
        return Err(format!("please install: {}", packages.join(" ")));
    }
    run(Command::new("apt-get").arg("update").arg("--quiet=2"))?;
    run(Command::new("apt-get").args(["install", "--yes", "--quiet=2"]).args(packages))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir(POSTGRESQL).into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .chain(versions.map(|version| version.path().join("bin")))
        .any(|folder| folder.join(program).is_file())
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    run(Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())).args(arguments))
}

fn run(command: &mut Command) -> Result<(), String> {
    eprintln!("» {command:?}");
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}
