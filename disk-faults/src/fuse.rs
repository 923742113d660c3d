//! Everything else on a disk under test: a file system in user space. Each folder at its top is a disk.
//!
//! Its files stand in memory, in the image of their disk. The kernel keeps the locks, and its cache in front
//! of the reads, which it drops when a file is opened.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::image::{Image, Inode};
use crate::plan::{Fault, Operation};

/// A mounted file system.
pub struct Mount {
    point: PathBuf,
    disks: Disks,
    /// Unmounts when it is dropped.
    session: Option<BackgroundSession>,
}

/// A disk in the file system; taken out when it is dropped.
pub struct Mounted {
    disks: Disks,
    number: usize,
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub disk: Arc<Disk>,
}

type Disks = Arc<Mutex<Vec<Option<Arc<Disk>>>>>;

impl Mount {
    /// Mounts it on an empty folder.
    ///
    /// # Errors
    /// When this machine does not let us: no `/dev/fuse`, no permission.
    pub fn new(point: &Path) -> io::Result<Mount> {
        let disks = Disks::default();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("disk-faults".to_owned()), MountOption::NoAtime];
        let session = fuser::spawn_mount(Faulty { disks: Arc::clone(&disks) }, point, &config)?;
        Ok(Mount { point: point.to_owned(), disks, session: Some(session) })
    }

    /// A disk with these files on it.
    pub fn disk(&self, image: Image) -> Mounted {
        let disk = Arc::new(Disk::new(image));
        let mut disks = self.disks.lock();
        disks.push(Some(Arc::clone(&disk)));
        let number = disks.len() - 1;
        let path = self.point.join(number.to_string());
        Mounted { disks: Arc::clone(&self.disks), number, path, disk }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also with files open, as after a failed test: what waits for an answer then gets an error.
        let _ = rustix::mount::unmount(&self.point, rustix::mount::UnmountFlags::FORCE);
        let _ = rustix::mount::unmount(&self.point, rustix::mount::UnmountFlags::DETACH);
        self.session = None;
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(place) = self.disks.lock().get_mut(self.number) {
            *place = None;
        }
    }
}

/// How long the kernel may remember: nothing changes behind its back.
const REMEMBERED: Duration = Duration::from_secs(3600);

struct Faulty {
    disks: Disks,
}

/// A disk and what is meant on it.
struct Place {
    number: u64,
    disk: Arc<Disk>,
    inode: Inode,
}

/// Shared memory of SQLite: no part of what is stored.
fn is_volatile(name: &str) -> bool {
    name.ends_with("-shm")
}

fn text(name: &OsStr) -> Result<&str, Errno> {
    name.to_str().ok_or(Errno::EINVAL)
}

fn errno(fault: Fault) -> Errno {
    match fault {
        Fault::Full | Fault::Short => Errno::ENOSPC,
        Fault::Error | Fault::SyncKept | Fault::SyncDropped => Errno::EIO,
    }
}

fn attributes(ino: INodeNo, is_folder: bool, size: u64) -> FileAttr {
    FileAttr {
        ino,
        size,
        blocks: size.div_ceil(512),
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: if is_folder { FileType::Directory } else { FileType::RegularFile },
        perm: if is_folder { 0o700 } else { 0o600 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Place {
    fn global(&self, inode: Inode) -> INodeNo {
        INodeNo((self.number + 1) << 32 | inode)
    }

    fn attributes(&self, inode: Inode) -> Result<FileAttr, Errno> {
        self.disk.with(|image| {
            let is_folder = image.is_folder(inode).ok_or(Errno::ENOENT)?;
            let size = image.content(inode).map_or(0, crate::Content::length);
            Ok(attributes(self.global(inode), is_folder, size))
        })
    }

    fn is_volatile(&self) -> bool {
        self.disk.state().volatile.contains(&self.inode)
    }

    /// Counts a call, and answers what is to fail.
    fn begin(&self, operation: Operation) -> Result<(), Errno> {
        match self.disk.begin(operation).1 {
            None => Ok(()),
            Some(fault) => Err(errno(fault)),
        }
    }

    fn create(&self, name: &OsStr, is_folder: bool) -> Result<FileAttr, Errno> {
        let name = text(name)?;
        if !is_volatile(name) {
            self.begin(Operation::Create)?;
        }
        let inode = self.disk.with(|image| image.create(self.inode, name, is_folder));
        if is_volatile(name) {
            self.disk.state().volatile.insert(inode);
        }
        self.attributes(inode)
    }

    fn remove(&self, name: &OsStr, is_folder: bool) -> Result<(), Errno> {
        let name = text(name)?;
        let inode = self.disk.with(|image| image.find(self.inode, name)).ok_or(Errno::ENOENT)?;
        if is_folder && self.disk.with(|image| !image.list(inode).is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        if !is_volatile(name) {
            self.begin(Operation::Delete)?;
        }
        self.disk.with(|image| image.remove(self.inode, name));
        Ok(())
    }

    /// How many bytes were written.
    fn write(&self, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        if self.is_volatile() {
            self.disk.with(|image| image.write(self.inode, offset, data));
            return Ok(data.len() as u32);
        }
        let (mut state, fault) = self.disk.begin(Operation::Write);
        let count = match fault {
            None => data.len(),
            Some(Fault::Short) => data.len().div_ceil(2),
            Some(fault) => return Err(errno(fault)),
        };
        state.image.write(self.inode, offset, data.get(..count).unwrap_or_default());
        Ok(count as u32)
    }

    fn set_length(&self, length: u64) -> Result<(), Errno> {
        if !self.is_volatile() {
            self.begin(Operation::Truncate)?;
        }
        self.disk.with(|image| image.set_length(self.inode, length));
        Ok(())
    }

    fn sync(&self) -> Result<(), Errno> {
        let (mut state, fault) = self.disk.begin(Operation::Sync);
        match fault {
            None => state.image.sync(self.inode),
            Some(fault) => {
                let seed = state.seed();
                state.image.fail_sync(self.inode, fault == Fault::SyncDropped, seed);
                return Err(errno(fault));
            }
        }
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), Errno> {
        self.begin(Operation::SyncFolder)?;
        self.disk.with(|image| image.sync_folder(self.inode));
        Ok(())
    }
}

impl Faulty {
    fn place(&self, ino: INodeNo) -> Result<Place, Errno> {
        let number = (ino.0 >> 32).checked_sub(1).ok_or(Errno::EPERM)?;
        let disk = self.disks.lock().get(number as usize).cloned().flatten().ok_or(Errno::ENOENT)?;
        Ok(Place { number, disk, inode: ino.0 & 0xffff_ffff })
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let name = text(name)?;
        if parent == INodeNo::ROOT {
            let number = name.parse::<u64>().map_err(|_| Errno::ENOENT)?;
            let place = self.place(INodeNo((number + 1) << 32 | Image::ROOT))?;
            return place.attributes(Image::ROOT);
        }
        let place = self.place(parent)?;
        let inode = place.disk.with(|image| image.find(place.inode, name)).ok_or(Errno::ENOENT)?;
        place.attributes(inode)
    }

    fn attributes(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        if ino == INodeNo::ROOT {
            return Ok(attributes(ino, true, 0));
        }
        let place = self.place(ino)?;
        place.attributes(place.inode)
    }
}

fn entry(found: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match found {
        Ok(attributes) => reply.entry(&REMEMBERED, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Faulty {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.find(parent, name), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino) {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _changed: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let cut = |size| self.place(ino).and_then(|place| place.set_length(size));
        match size.map_or(Ok(()), cut).and_then(|()| self.attributes(ino)) {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        entry(self.place(parent).and_then(|place| place.create(name, true)), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.place(parent).and_then(|place| place.remove(name, false)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.place(parent).and_then(|place| place.remove(name, true)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || {
            let (place, target) = (self.place(parent)?, self.place(new_parent)?);
            let (name, new_name) = (text(name)?, text(new_name)?);
            if flags.contains(RenameFlags::RENAME_EXCHANGE) || place.number != target.number {
                return Err(Errno::EINVAL);
            }
            let there = place.disk.with(|image| image.find(target.inode, new_name).is_some());
            if there && flags.contains(RenameFlags::RENAME_NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            place.begin(Operation::Rename)?;
            place.disk.with(|image| image.rename((place.inode, name), (target.inode, new_name)));
            Ok(())
        };
        done(rename(), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.place(parent).and_then(|place| place.create(name, false)) {
            Ok(attributes) => {
                let (handle, flags) = (FileHandle(0), FopenFlags::empty());
                reply.created(&REMEMBERED, &attributes, Generation(0), handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = || {
            let place = self.place(ino)?;
            if !place.is_volatile() {
                place.begin(Operation::Read)?;
            }
            let bytes = place.disk.with(|image| {
                image.content(place.inode).map(|content| content.read(offset, u64::from(size)))
            });
            bytes.ok_or(Errno::EISDIR)
        };
        match read() {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.place(ino).and_then(|place| place.write(offset, data)) {
            Ok(count) => reply.written(count),
            Err(error) => reply.error(error),
        }
    }

    /// Not asked again: a process that is killed closes its files when nobody answers any more.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        done(self.place(ino).and_then(|place| place.sync()), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        done(self.place(ino).and_then(|place| place.sync_folder()), reply);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let place = match self.place(ino) {
            Ok(place) => place,
            Err(error) => return reply.error(error),
        };
        let found = place.disk.with(|image| {
            let names = image.list(place.inode).into_iter();
            names.map(|(name, inode)| (name, inode, image.is_folder(inode) == Some(true))).collect::<Vec<_>>()
        });
        for ((name, inode, is_folder), next) in found.into_iter().zip(1..).skip(offset as usize) {
            let kind = if is_folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(place.global(inode), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = 1 << 30;
        reply.statfs(blocks, blocks, blocks, 1 << 20, 1 << 20, 4096, 255, 4096);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let allocate = || {
            let place = self.place(ino)?;
            if mode != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
            let end = offset + length;
            let present =
                place.disk.with(|image| image.content(place.inode).map_or(0, crate::Content::length));
            if end > present { place.set_length(end) } else { Ok(()) }
        };
        done(allocate(), reply);
    }
}
