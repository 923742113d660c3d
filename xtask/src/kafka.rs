//! `cargo xtask kafka`: the Kafka server of the tests, out of Maven Central, once.

use std::path::PathBuf;
use std::process::Command;

use crate::{install, install_packages, run};

/// What it consists of.
const PARTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../test-support/kafka/pom.xml");

/// Where `test-support` looks for it, below the home folder: outside the target folder, so that it stays.
const FOLDER: &str = ".cache/platform-tests/kafka";

/// The programs that get it and run it, and those that build its driver.
const PROGRAMS: [(&str, &str); 5] = [
    ("java", "default-jre-headless"),
    ("mvn", "maven"),
    ("make", "make"),
    ("cc", "gcc"),
    ("pkg-config", "pkg-config"),
];

/// Copies the jars, unless those that are there are the ones that are asked for.
pub(crate) fn kafka() -> Result<(), String> {
    install(&PROGRAMS)?;
    if !has_openssl() {
        install_packages(&["libssl-dev"])?;
    }
    let home = std::env::var_os("HOME").ok_or("no home folder")?;
    let folder = PathBuf::from(home).join(FOLDER);
    let parts = std::fs::read_to_string(PARTS).map_err(|error| format!("{PARTS}: {error}"))?;
    let note = folder.join("pom.xml");
    if std::fs::read_to_string(&note).is_ok_and(|there| there == parts) {
        return Ok(());
    }
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(told)?;
    }
    let mut copy = Command::new("mvn");
    copy.args(["--quiet", "--batch-mode", "--file", PARTS, "dependency:copy-dependencies"]);
    run(copy
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", folder.join("lib").display())))?;
    // Last: what was broken off begins anew.
    std::fs::write(note, parts).map_err(told)
}

/// Whether the driver can be built with TLS.
fn has_openssl() -> bool {
    Command::new("pkg-config").args(["--exists", "openssl"]).status().is_ok_and(|status| status.success())
}
