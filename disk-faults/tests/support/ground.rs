//! Where the disks under test are: behind SQLite's VFS, or mounted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk_faults::fuse::{Mount, Mounted};
use disk_faults::{Disk, Image, vfs};

use super::sweep::tell;
use super::temporary::{MOUNTED, Temporary};

/// Where disks are made.
pub(crate) enum Ground {
    Vfs { folder: Temporary, next: AtomicU64 },
    Fuse { mount: Mount, folder: Temporary, next: AtomicU64 },
}

/// A disk, as long as it is used.
pub(crate) struct Session {
    pub(crate) path: PathBuf,
    pub(crate) disk: Arc<Disk>,
    mounted: Option<Mounted>,
}

/// A plain folder, removed with its last user.
pub(crate) struct Plain(pub(crate) PathBuf);

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Ground {
    pub(crate) fn vfs() -> Ground {
        Ground::Vfs { folder: Temporary::new(), next: AtomicU64::new(0) }
    }

    /// `None`, told on standard error, when this machine mounts no file systems in user space.
    pub(crate) fn fuse(test: &str) -> Option<Ground> {
        let folder = Temporary::new();
        let point = folder.path().join(MOUNTED);
        std::fs::create_dir(&point).unwrap();
        match Mount::new(&point) {
            Ok(mount) => Some(Ground::Fuse { mount, folder, next: AtomicU64::new(0) }),
            Err(error) => {
                tell(&format!("not run: {test}: this machine mounts no file system in user space ({error})"));
                None
            }
        }
    }

    fn name(&self) -> PathBuf {
        let (Ground::Vfs { folder, next } | Ground::Fuse { folder, next, .. }) = self;
        folder.path().join(format!("plain-{}", next.fetch_add(1, Ordering::Relaxed)))
    }

    /// A disk with these files.
    pub(crate) fn disk(&self, image: &Image) -> Session {
        match self {
            Ground::Vfs { .. } => {
                let path = self.name();
                image.write_to(&path).unwrap();
                let disk = Arc::new(Disk::new(image.clone()));
                vfs::watch(&path, &disk);
                Session { path, disk, mounted: None }
            }
            Ground::Fuse { mount, .. } => {
                let mounted = mount.disk(image.clone());
                let (path, disk) = (mounted.path.clone(), Arc::clone(&mounted.disk));
                Session { path, disk, mounted: Some(mounted) }
            }
        }
    }

    /// These files on the plain file system.
    pub(crate) fn plain(&self, image: &Image) -> Plain {
        let path = self.name();
        image.write_to(&path).unwrap();
        Plain(path)
    }

    /// An empty folder on the plain file system.
    pub(crate) fn empty(&self) -> Plain {
        self.plain(&Image::default())
    }
}

impl Session {
    /// What the process has synced by itself, past SQLite, when it has opened a file: seen only by a file system.
    pub(crate) fn made(&self) {
        if self.mounted.is_none() {
            self.disk.with(|image| {
                for (name, inode) in image.list(Image::ROOT) {
                    if name.ends_with(".db") {
                        image.sync(inode);
                    }
                }
                image.sync_folder(Image::ROOT);
            });
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.mounted.is_none() {
            vfs::forget(&self.path);
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
