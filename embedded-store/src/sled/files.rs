//! The fsyncs that sled leaves out.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use platform_core::kernel::{Error, Result};

use crate::folder::sync_folder;

/// The files of a store that is open.
pub(super) struct Files {
    log: File,
    blobs: PathBuf,
    /// The number of the newest large page that was synced. sled numbers them by their place in the log,
    /// and none is written while they are synced.
    newest: Mutex<Option<u64>>,
}

impl Files {
    /// Makes the names of the files durable.
    pub(super) fn open(store: &Path) -> Result<Files> {
        let open = || {
            File::open(store.join("conf"))?.sync_all()?;
            sync_folder(store)?;
            store.parent().map_or(Ok(()), sync_folder)?;
            File::open(store.join("db"))
        };
        let log = open().map_err(unsynced)?;
        Ok(Files { log, blobs: store.join("blobs"), newest: Mutex::default() })
    }

    /// Makes durable what sled has written.
    pub(super) fn sync(&self) -> Result<()> {
        self.log.sync_data().and_then(|()| self.sync_blobs()).map_err(unsynced)
    }

    fn sync_blobs(&self) -> io::Result<()> {
        let mut newest = self.newest.lock();
        let mut last = *newest;
        for file in std::fs::read_dir(&self.blobs)? {
            let file = file?;
            let number = file.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if number.is_none() || number <= *newest {
                continue;
            }
            match File::open(file.path()) {
                Ok(blob) => blob.sync_all()?,
                // sled has replaced the page in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            last = last.max(number);
        }
        if last > *newest {
            sync_folder(&self.blobs)?;
            *newest = last;
        }
        Ok(())
    }
}

fn unsynced(error: io::Error) -> Error {
    Error::unavailable("store.unavailable", "a file of the store cannot be synced").because(error)
}
