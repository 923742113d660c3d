//! The key-encryption key: outside the data folder, so that a copy of the data alone opens nothing.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use platform_core::kernel::{Error, Result};
use platform_core::ports::keys::KeyEncryptionKey;

use crate::folder::sync_folder;

/// The environment variable that holds the key in base 64, in place of the file.
pub const KEY_VARIABLE: &str = "PLATFORM_KEK";

/// The file beside a data folder: `data` → `data.key`.
pub fn key_path(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_else(|| "platform".as_ref()).to_owned();
    name.push(".key");
    // `data/..` and `.` have no name of their own: then the key lies beside the resolved folder.
    match data.file_name() {
        Some(_) => data.with_file_name(name),
        None => data.canonicalize().unwrap_or_else(|_| data.to_owned()).with_extension("key"),
    }
}

/// The key of a data folder: from the environment, else from its file, which is made (mode 0600) when
/// it is not there and the folder holds nothing yet.
///
/// # Errors
/// `keys.invalid` when what is there is not 32 bytes in base 64; `keys.missing` when the folder holds
/// data and its key is gone; `keys.not_readable`; `keys.exposed` when others may read the file.
pub fn load_key(data: &Path) -> Result<KeyEncryptionKey> {
    load_key_of(data, data)
}

/// The key of a data folder, whose content is still in another folder.
pub(crate) fn load_key_of(data: &Path, content: &Path) -> Result<KeyEncryptionKey> {
    if let Ok(text) = std::env::var(KEY_VARIABLE) {
        return parse(&text);
    }
    let path = key_path(data);
    let failed = |error| {
        Error::unavailable("keys.not_readable", "the key file cannot be read or written")
            .with("path", path.display())
            .because(error)
    };
    match File::open(&path) {
        Ok(mut file) => {
            check_private(&file, &path)?;
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(failed)?;
            parse(&text)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if content.join("keys.db").exists() {
                return Err(Error::precondition(
                    "keys.missing",
                    "the folder holds data, but its key file is gone: put it back or set PLATFORM_KEK",
                )
                .with("path", path.display()));
            }
            make(&path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

pub(crate) fn parse(text: &str) -> Result<KeyEncryptionKey> {
    let invalid = || Error::precondition("keys.invalid", "a key-encryption key is 32 bytes in base 64");
    let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| invalid())?;
    bytes.try_into().map(KeyEncryptionKey).map_err(|_| invalid())
}

fn make(path: &Path) -> std::io::Result<KeyEncryptionKey> {
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
    sync_folder(folder)?;
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
    fn the_key_is_made_once_private_and_beside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let key = load_key(&data).unwrap();
        assert_eq!(load_key(&data).unwrap().0, key.0);
        let path = folder.path().join("data.key");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(load_key(&data).unwrap_err().code(), "keys.exposed");
        }
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("keys.db"), "x").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(load_key(&data).unwrap_err().code(), "keys.missing");
    }
}
