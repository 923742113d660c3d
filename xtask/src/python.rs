//! `cargo xtask python`: the Python module, built for development into an environment of its own, and its tests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{install_packages, is_there, run};

/// Where everything of the module lies.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bindings/python");

/// Builds the module and runs its tests, with what is asked of pytest; `stubs` writes the type stubs instead.
pub(crate) fn python(options: &[String]) -> Result<(), String> {
    let environment = Environment::make()?;
    environment.install_module()?;
    if options.first().is_some_and(|option| option == "stubs") {
        return environment.write_stubs();
    }
    // Not from the folder of the sources: what is tested is what was installed.
    let mut tests = environment.python();
    run(tests
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "--rootdir", MODULE])
        .args(options)
        .arg(tests_folder()))
}

/// A virtual environment in the target folder, with the tools of `requirements-test.txt`.
struct Environment {
    target: PathBuf,
}

impl Environment {
    fn make() -> Result<Environment, String> {
        if !is_there("python3") || !has_venv() {
            install_packages(&["python3", "python3-venv"])?;
        }
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
        let target = std::path::absolute(target).map_err(|error| error.to_string())?;
        let environment = Environment { target: target.join("python") };
        let is_made = environment.program("python").is_file();
        if !is_made {
            run(Command::new("python3").args(["-m", "venv"]).arg(environment.folder()))?;
        }
        let requirements = Path::new(MODULE).join("requirements-test.txt");
        let mut install = environment.pip();
        run(install.arg("--requirement").arg(requirements))?;
        Ok(environment)
    }

    /// Builds the wheel with the profile of all other tests, in the workspace's target folder, and installs it.
    fn install_module(&self) -> Result<(), String> {
        let wheels = self.target.join("wheels");
        if wheels.exists() {
            std::fs::remove_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
        }
        let manifest = Path::new(MODULE).join("Cargo.toml");
        let mut build = Command::new(self.program("maturin"));
        build.args(["build", "--quiet", "--locked", "--profile", "dev", "--compatibility", "linux"]);
        build.arg("--manifest-path").arg(manifest).arg("--out").arg(&wheels);
        run(build.arg("--interpreter").arg(self.program("python")))?;
        let built = std::fs::read_dir(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
        let built: Vec<OsString> = built.flatten().map(|entry| entry.path().into_os_string()).collect();
        run(self.pip().args(["--no-deps", "--force-reinstall"]).args(built))
    }

    fn write_stubs(&self) -> Result<(), String> {
        let path = Path::new(MODULE).join("python/platform_core/_platform_core.pyi");
        let print = "import sys; from platform_core import _platform_core as native; sys.stdout.write(native._stubs())";
        let done = self.python().args(["-c", print]).output().map_err(|error| error.to_string())?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned());
        }
        std::fs::write(&path, done.stdout).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn folder(&self) -> PathBuf {
        self.target.join("environment")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder().join("bin").join(name)
    }

    fn python(&self) -> Command {
        let mut command = Command::new(self.program("python"));
        command.current_dir(&self.target).env_remove("PYTHONPATH").env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn pip(&self) -> Command {
        let mut command = self.python();
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        command
    }
}

fn tests_folder() -> PathBuf {
    Path::new(MODULE).join("tests")
}

/// Whether the interpreter can make an environment: on Debian that is a package of its own.
fn has_venv() -> bool {
    let mut ask = Command::new("python3");
    ask.args(["-c", "import ensurepip, venv"]).output().is_ok_and(|done| done.status.success())
}
