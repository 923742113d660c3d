//! The socket, and how to reach it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

const NAME: &str = "control.sock";
/// The longest path of a socket: 104 bytes where it is shortest (macOS), with its end.
const PATH_BYTES: usize = 103;
/// Connections that may wait.
const BACKLOG: u32 = 8;

/// Listens; the file is removed with the value.
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// In a data folder that this process has open: a socket that is there is from a server that has ended.
    pub(crate) fn listen(data: &Path) -> io::Result<Socket> {
        let path = data.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let reach = Reach::of(data)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(reach.path())?;
        // Nobody can connect before it listens.
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Socket { listener: socket.listen(BACKLOG)?, path })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // What is left is removed by the next server.
        let _ = fs::remove_file(&self.path);
    }
}

/// A path that is short enough for a socket, however long that of the folder is.
pub(super) struct Reach {
    path: PathBuf,
    /// What the path goes through.
    _folder: Option<File>,
}

impl Reach {
    pub(super) fn of(data: &Path) -> io::Result<Reach> {
        let path = data.join(NAME);
        if path.as_os_str().as_bytes().len() <= PATH_BYTES {
            return Ok(Reach { path, _folder: None });
        }
        // On Linux an open folder has a short name; elsewhere the long path is refused by the system.
        let folder = File::open(data)?;
        let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
        let path = if short.exists() { short.join(NAME) } else { path };
        Ok(Reach { path, _folder: Some(folder) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
