//! SQLite on a disk under test: a VFS around SQLite's own, which becomes the default of the process. Files
//! in a registered folder are watched; all others, shared memory and locks are passed through.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, OnceLock};

use parking_lot::Mutex;
use rusqlite::ffi;

use crate::disk::Disk;
use crate::image::{Image, Inode};
use crate::plan::{Fault, Operation};

/// The folders that are watched.
static DISKS: Mutex<BTreeMap<PathBuf, Arc<Disk>>> = Mutex::new(BTreeMap::new());

/// SQLite's own VFS, and ours; they live as long as the process.
struct Both {
    base: *mut ffi::sqlite3_vfs,
}

// SAFETY: SQLite's VFS objects are immutable after their registration and made to be used by many threads.
unsafe impl Send for Both {}
// SAFETY: as above.
unsafe impl Sync for Both {}

static BOTH: OnceLock<Both> = OnceLock::new();

/// Watches the databases that stand directly in a folder. Whoever opens them must do so by this path.
pub fn watch(folder: &Path, disk: &Arc<Disk>) {
    register();
    DISKS.lock().insert(folder.to_owned(), Arc::clone(disk));
}

/// Passes the files of a folder through from their next opening on.
pub fn forget(folder: &Path) {
    DISKS.lock().remove(folder);
}

fn register() {
    static ONCE: Once = Once::new();
    // SAFETY: SQLite initialises itself here; the default VFS exists then and is never freed. The new VFS and
    // its name are leaked, so they live as long as SQLite may use them.
    ONCE.call_once(|| unsafe {
        ffi::sqlite3_initialize();
        let base = ffi::sqlite3_vfs_find(std::ptr::null());
        BOTH.get_or_init(|| Both { base });
        let mut ours = *base;
        ours.iVersion = 2;
        ours.szOsFile = (BEHIND + (*base).szOsFile as usize) as c_int;
        ours.pNext = std::ptr::null_mut();
        ours.zName = c"disk-faults".as_ptr();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        ours.xAccess = Some(access);
        ours.xFullPathname = Some(full_path);
        ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
    });
}

fn base() -> *mut ffi::sqlite3_vfs {
    BOTH.get().map_or(std::ptr::null_mut(), |both| both.base)
}

/// A file on a disk under test.
struct Watched {
    disk: Arc<Disk>,
    inode: Inode,
    /// Made by this opening, so that its first fsync is one of its folder too, as SQLite has it.
    is_new: bool,
    is_log: bool,
}

/// What SQLite holds for an open file; the file of its own VFS stands behind it.
#[repr(C)]
struct OurFile {
    head: ffi::sqlite3_file,
    /// Null: passed through.
    watched: *mut Watched,
}

/// Where the file of SQLite's own VFS stands: behind ours, aligned for everything.
const BEHIND: usize = std::mem::size_of::<OurFile>().next_multiple_of(16);

/// # Safety
/// `file` was opened by [`open`].
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` has room for both.
    unsafe { file.cast::<u8>().add(BEHIND).cast() }
}

/// # Safety
/// `file` was opened by [`open`] and is not closed; SQLite uses a file from one thread at a time.
unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Watched> {
    // SAFETY: `open` has set the pointer: null, or a box that `close` frees.
    unsafe { (*file.cast::<OurFile>()).watched.as_mut() }
}

/// Calls a method of the file of SQLite's own VFS.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: the inner file was opened by SQLite's own VFS, which has set its methods; the arguments are
        // those that SQLite gave for this very method.
        unsafe {
            let inner = inner($file);
            match (*(*inner).pMethods).$method {
                Some(method) => method(inner $(, $argument)*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}

/// The disk of a path, and the name on it.
fn disk_of(path: *const c_char) -> Option<(Arc<Disk>, String, PathBuf)> {
    if path.is_null() {
        return None;
    }
    // SAFETY: SQLite gives names that end with a zero.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    let disk = Arc::clone(DISKS.lock().get(path.parent()?)?);
    Some((disk, path.file_name()?.to_str()?.to_owned(), path.to_owned()))
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let ours = file.cast::<OurFile>();
    // SAFETY: SQLite has allocated `szOsFile` bytes; without methods nothing is closed after a failure.
    unsafe {
        (*ours).head.pMethods = std::ptr::null();
        (*ours).watched = std::ptr::null_mut();
    }
    let place = disk_of(name);
    let mut is_new = false;
    if let Some((disk, name, path)) = &place {
        is_new = !path.exists();
        if is_new && flags & ffi::SQLITE_OPEN_CREATE != 0 {
            let (_, fault) = disk.begin(Operation::Create);
            if fault.is_some() {
                return ffi::SQLITE_CANTOPEN;
            }
        }
        // What stood there before was removed without us.
        if is_new && disk.with(|image| image.find(Image::ROOT, name)).is_some() {
            disk.with(|image| image.remove(Image::ROOT, name));
        }
    }
    // SAFETY: the base VFS lives as long as the process; its file has its room behind ours, zeroed as it
    // expects it.
    let opened = unsafe {
        let inner = inner(file);
        std::ptr::write_bytes(inner.cast::<u8>(), 0, (*base()).szOsFile as usize);
        match (*base()).xOpen {
            Some(open) => open(base(), name, inner, flags, out_flags),
            None => ffi::SQLITE_CANTOPEN,
        }
    };
    if opened != ffi::SQLITE_OK {
        return opened;
    }
    let is_log = flags & ffi::SQLITE_OPEN_MAIN_DB == 0;
    let watched = place.and_then(|(disk, name, path)| {
        let inode = disk.with(|image| match image.find(Image::ROOT, &name) {
            Some(inode) => Some(inode),
            None if is_new => Some(image.create(Image::ROOT, &name, false)),
            None => image.adopt(&name, &path).ok(),
        })?;
        Some(Box::into_raw(Box::new(Watched { disk, inode, is_new, is_log })))
    });
    // SAFETY: as above; the methods are a static.
    unsafe {
        (*ours).watched = watched.unwrap_or(std::ptr::null_mut());
        (*ours).head.pMethods = &raw const METHODS;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    let place = disk_of(name);
    if let Some((disk, _, _)) = &place
        && disk.begin(Operation::Delete).1.is_some()
    {
        return ffi::SQLITE_IOERR_DELETE;
    }
    // SAFETY: the base VFS lives as long as the process; the arguments are SQLite's.
    let deleted = unsafe {
        match (*base()).xDelete {
            Some(delete) => delete(base(), name, sync_folder),
            None => ffi::SQLITE_IOERR_DELETE,
        }
    };
    if let (Some((disk, name, _)), ffi::SQLITE_OK) = (&place, deleted) {
        disk.with(|image| {
            image.remove(Image::ROOT, name);
            if sync_folder != 0 {
                image.sync_folder(Image::ROOT);
            }
        });
    }
    deleted
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: as in `delete`.
    unsafe { (*base()).xAccess.map_or(ffi::SQLITE_IOERR, |access| access(base(), name, flags, out)) }
}

unsafe extern "C" fn full_path(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: as in `delete`.
    unsafe { (*base()).xFullPathname.map_or(ffi::SQLITE_IOERR, |full| full(base(), name, size, out)) }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let closed = pass!(file, xClose);
    // SAFETY: the box came from `open`, and SQLite closes a file once.
    unsafe {
        let watched = std::mem::replace(&mut (*file.cast::<OurFile>()).watched, std::ptr::null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
    }
    closed
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    if let Some(watched) = unsafe { watched(file) }
        && watched.disk.begin(Operation::Read).1.is_some()
    {
        return ffi::SQLITE_IOERR_READ;
    }
    pass!(file, xRead, buffer, size, offset)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let Some(watched) = (unsafe { watched(file) }) else { return pass!(file, xWrite, buffer, size, offset) };
    let (mut state, fault) = watched.disk.begin(Operation::Write);
    let size = match fault {
        None => size,
        Some(Fault::Full) => return ffi::SQLITE_FULL,
        Some(Fault::Short) => (size + 1) / 2,
        Some(_) => return ffi::SQLITE_IOERR_WRITE,
    };
    let written = pass!(file, xWrite, buffer, size, offset);
    if written == ffi::SQLITE_OK {
        // SAFETY: SQLite gave a buffer of at least this size.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size as usize) };
        state.image.write(watched.inode, offset as u64, bytes);
    }
    if fault == Some(Fault::Short) { ffi::SQLITE_FULL } else { written }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let Some(watched) = (unsafe { watched(file) }) else { return pass!(file, xTruncate, size) };
    let (mut state, fault) = watched.disk.begin(Operation::Truncate);
    if fault.is_some() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    let done = pass!(file, xTruncate, size);
    if done == ffi::SQLITE_OK {
        state.image.set_length(watched.inode, size as u64);
    }
    done
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let Some(watched) = (unsafe { watched(file) }) else { return pass!(file, xSync, flags) };
    let (mut state, fault) = watched.disk.begin(Operation::Sync);
    let Some(fault) = fault else {
        let inode = watched.inode;
        state.image.sync(inode);
        // SQLite syncs the folder after the first fsync of a log that it has made.
        if std::mem::take(&mut watched.is_new) && watched.is_log {
            state.image.sync_folder(Image::ROOT);
        }
        return ffi::SQLITE_OK;
    };
    let seed = state.seed();
    let dropped = fault == Fault::SyncDropped;
    state.image.fail_sync(watched.inode, dropped, seed);
    if let Some(content) = state.image.content(watched.inode).filter(|_| dropped) {
        // All of it anew: what was dropped is not seen any more.
        let mut done = pass!(file, xTruncate, 0);
        for (offset, bytes) in content.runs() {
            done |= pass!(file, xWrite, bytes.as_ptr().cast(), bytes.len() as c_int, offset as i64);
        }
        done |= pass!(file, xTruncate, content.length() as i64);
        assert_eq!(done, ffi::SQLITE_OK, "the plain file system fails");
    }
    ffi::SQLITE_IOERR_FSYNC
}

/// A method that is passed through.
macro_rules! passed {
    ($name:ident, $method:ident $(, $argument:ident: $kind:ty)*) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> c_int {
            pass!(file, $method $(, $argument)*)
        }
    };
}

passed!(size, xFileSize, out: *mut ffi::sqlite3_int64);
passed!(lock, xLock, level: c_int);
passed!(unlock, xUnlock, level: c_int);
passed!(is_reserved, xCheckReservedLock, out: *mut c_int);
passed!(control, xFileControl, operation: c_int, argument: *mut c_void);
passed!(sector_size, xSectorSize);
passed!(characteristics, xDeviceCharacteristics);
passed!(shared_map, xShmMap, page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
passed!(shared_lock, xShmLock, offset: c_int, count: c_int, flags: c_int);
passed!(shared_unmap, xShmUnmap, delete: c_int);

unsafe extern "C" fn shared_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as in `pass!`.
    unsafe {
        let inner = inner(file);
        if let Some(barrier) = (*(*inner).pMethods).xShmBarrier {
            barrier(inner);
        }
    }
}

/// Version 2: with shared memory, without files mapped into memory.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(is_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shared_map),
    xShmLock: Some(shared_lock),
    xShmBarrier: Some(shared_barrier),
    xShmUnmap: Some(shared_unmap),
    xFetch: None,
    xUnfetch: None,
};
