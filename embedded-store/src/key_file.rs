//! The key-encryption key: outside the data folder, so that a copy of the data alone opens nothing.

use std::path::{Path, PathBuf};

use machine::key;
use platform_core::kernel::{Error, Result};
use platform_core::ports::keys::KeyEncryptionKey;

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
    let path = key_path(data);
    if let Some(key) = key::from_environment()? {
        return Ok(key);
    }
    if let Some(key) = key::read(&path)? {
        return Ok(key);
    }
    if content.join("keys.db").exists() {
        return Err(Error::precondition(
            "keys.missing",
            "the folder holds data, but its key file is gone: put it back or set PLATFORM_KEK",
        )
        .with("path", path.display()));
    }
    key::make(&path)
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
