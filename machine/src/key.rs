//! The key-encryption key: outside the data, so that a copy of the data alone opens nothing.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use platform_core::kernel::{Error, Result};
use platform_core::ports::keys::KeyEncryptionKey;

/// The environment variable that holds the key in base 64, in place of a file.
pub const VARIABLE: &str = "PLATFORM_KEK";

/// The key in the environment, if there is one.
///
/// # Errors
/// `keys.invalid`.
pub fn from_environment() -> Result<Option<KeyEncryptionKey>> {
    std::env::var(VARIABLE).ok().map(|text| parse(&text)).transpose()
}

/// The key in a file, if there is one.
///
/// # Errors
/// `keys.invalid` when it is not 32 bytes in base 64; `keys.exposed` when others may read it; `keys.not_readable`.
pub fn read(path: &Path) -> Result<Option<KeyEncryptionKey>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(not_readable(path, error)),
    };
    check_private(&file, path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| not_readable(path, error))?;
    parse(&text).map(Some)
}

/// Makes a key, and a file for it that nobody else may read.
///
/// # Errors
/// `keys.not_readable`, also when the file is there already.
pub fn make(path: &Path) -> Result<KeyEncryptionKey> {
    written(path).map_err(|error| not_readable(path, error))
}

/// Reads a key.
///
/// # Errors
/// `keys.invalid` when it is not 32 bytes in base 64.
pub fn parse(text: &str) -> Result<KeyEncryptionKey> {
    let invalid = || Error::precondition("keys.invalid", "a key-encryption key is 32 bytes in base 64");
    let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| invalid())?;
    bytes.try_into().map(KeyEncryptionKey).map_err(|_| invalid())
}

fn not_readable(path: &Path, error: std::io::Error) -> Error {
    Error::unavailable("keys.not_readable", "the key file cannot be read or written")
        .with("path", path.display())
        .because(error)
}

fn written(path: &Path) -> std::io::Result<KeyEncryptionKey> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(std::io::Error::other)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{}", BASE64_STANDARD.encode(key))?;
    file.sync_all()?;
    // The name, too, is to outlive a loss of power.
    File::open(folder)?.sync_all()?;
    Ok(KeyEncryptionKey(key))
}

#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map(|metadata| metadata.permissions().mode() & 0o777).unwrap_or_default();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::precondition("keys.exposed", "others may read the key file: chmod 600 it")
        .with("path", path.display())
        .with("mode", format!("{mode:o}")))
}

#[cfg(not(unix))]
fn check_private(_file: &File, _path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner").join("key");
        assert!(read(&path).unwrap().is_none());
        let key = make(&path).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().0, key.0);
        assert_eq!(make(&path).unwrap_err().code(), "keys.not_readable");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(read(&path).unwrap_err().code(), "keys.exposed");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(parse("short").unwrap_err().code(), "keys.invalid");
        assert_eq!(parse(&BASE64_STANDARD.encode([1; 31])).unwrap_err().code(), "keys.invalid");
        assert_eq!(parse(&format!("{}\n", BASE64_STANDARD.encode([1; 32]))).unwrap().0, [1; 32]);
    }
}
