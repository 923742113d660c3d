//! The files of SQLite, through a VFS around the default one: pages get a checksum ([`sums`]), those that are read
//! from a log are compared with its own ([`frames`]), and what is written to a log between two fsyncs is one
//! write ([`gathered`]).

#![allow(unsafe_code, reason = "a VFS is a table of C functions")]

mod frames;
mod gathered;
pub(crate) mod sums;

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::Once;

use rusqlite::{Connection, OpenFlags, ffi};

use self::frames::{FRAME_HEAD, Frame, SUM, Unsummed};
use self::gathered::Gathered;

/// The name under which SQLite knows it.
const NAME: &std::ffi::CStr = c"platform";

/// Opens a database whose pages have sums; a file that is made now gets them.
pub(crate) fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    register();
    let connection = Connection::open_with_flags_and_vfs(path, flags, NAME)?;
    let mut reserved = sums::SUM_BYTES as c_int;
    // SAFETY: the handle is that of an open connection, which nobody else has; the operation takes an int.
    let done = unsafe {
        let reserved = (&raw mut reserved).cast::<c_void>();
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_RESERVE_BYTES,
            reserved,
        )
    };
    if done == ffi::SQLITE_OK {
        Ok(connection)
    } else {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(done), None))
    }
}

/// From now on what this connection writes to its log is gathered until the fsync of the commit: only for a
/// connection whose every commit has one (`synchronous = FULL`), since others would look for it earlier.
pub(super) fn gather(connection: &Connection) -> rusqlite::Result<()> {
    let mut log = std::ptr::null_mut::<ffi::sqlite3_file>();
    // SAFETY: the handle is that of an open connection, which nobody else has; the operation gives a pointer to a
    // file, which lives until the connection is closed. It is ours if it has our methods, and then it is open.
    let done = unsafe {
        let operation = ffi::SQLITE_FCNTL_JOURNAL_POINTER;
        let asked = ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            operation,
            (&raw mut log).cast::<c_void>(),
        );
        if asked == ffi::SQLITE_OK && !log.is_null() && std::ptr::eq((*log).pMethods, &raw const METHODS) {
            let mut length = 0;
            let sized = size(log, &raw mut length);
            if let (ffi::SQLITE_OK, Kind::Log(Log { held: held @ None, .. })) = (sized, kind(log)) {
                *held = Some(Gathered::of(length));
            }
            sized
        } else {
            asked
        }
    };
    if done == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(done), None))
    }
}

/// What SQLite holds for an open file; the file of the VFS within stands behind it.
#[repr(C)]
struct OurFile {
    head: ffi::sqlite3_file,
    kind: Kind,
}

/// What a file is.
enum Kind {
    /// The database itself.
    Pages,
    /// Its log.
    Log(Log),
    Other,
}

/// What is known of a log.
#[derive(Default)]
struct Log {
    /// What is gathered for it, if anything is.
    held: Option<Gathered>,
    unsummed: Unsummed,
}

/// Where the file of the VFS within stands: behind ours, aligned for everything.
const BEHIND: usize = std::mem::size_of::<OurFile>().next_multiple_of(16);
/// Room for it; SQLite's own on Linux takes 120 bytes.
const ROOM: usize = 1_024;

fn register() {
    static ONCE: Once = Once::new();
    // SAFETY: SQLite initialises itself here; a default VFS exists then. The new one is leaked, so it lives as
    // long as SQLite may use it. What is copied from the default one are functions that do not look at which VFS
    // they are called for; those that do are ours.
    ONCE.call_once(|| unsafe {
        ffi::sqlite3_initialize();
        let within = ffi::sqlite3_vfs_find(std::ptr::null());
        if within.is_null() {
            return;
        }
        let mut ours = *within;
        ours.iVersion = ours.iVersion.min(2);
        ours.szOsFile = (BEHIND + ROOM) as c_int;
        ours.pNext = std::ptr::null_mut();
        ours.zName = NAME.as_ptr();
        ours.xOpen = Some(open_file);
        ours.xDelete = Some(delete);
        ours.xAccess = Some(access);
        ours.xFullPathname = Some(full_path);
        ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0);
    });
}

/// The default VFS of this moment.
fn within() -> *mut ffi::sqlite3_vfs {
    // SAFETY: SQLite is initialised; a VFS lives as long as the process.
    unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) }
}

/// The file of the VFS within.
///
/// # Safety
/// `file` was given to [`open_file`].
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` has room for both.
    unsafe { file.cast::<u8>().add(BEHIND).cast() }
}

/// Calls a method of the file of the VFS within.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: the inner file was opened by its VFS, which has set its methods; the arguments are those that
        // SQLite gave for this very method.
        unsafe {
            let inner = inner($file);
            match (*(*inner).pMethods).$method {
                Some(method) => method(inner $(, $argument)*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}

unsafe extern "C" fn open_file(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let (ours, within) = (file.cast::<OurFile>(), within());
    // SAFETY: SQLite has allocated `szOsFile` bytes, which have room for both files; without methods nothing is
    // closed after a failure.
    unsafe {
        (*ours).head.pMethods = std::ptr::null();
        let room = (*within).szOsFile as usize;
        let Some(open) = (*within).xOpen.filter(|_| room <= ROOM) else { return ffi::SQLITE_CANTOPEN };
        std::ptr::write_bytes(inner(file).cast::<u8>(), 0, room);
        let opened = open(within, name, inner(file), flags, out_flags);
        if !(*inner(file)).pMethods.is_null() {
            let kind = if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
                Kind::Pages
            } else if flags & ffi::SQLITE_OPEN_WAL != 0 {
                Kind::Log(Log::default())
            } else {
                Kind::Other
            };
            std::ptr::write(ours, OurFile { head: ffi::sqlite3_file { pMethods: &raw const METHODS }, kind });
        }
        opened
    }
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    let within = within();
    // SAFETY: the arguments are SQLite's for this very method.
    unsafe { (*within).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(within, name, sync_folder)) }
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let within = within();
    // SAFETY: as in `delete`.
    unsafe { (*within).xAccess.map_or(ffi::SQLITE_IOERR, |access| access(within, name, flags, out)) }
}

unsafe extern "C" fn full_path(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    let within = within();
    // SAFETY: as in `delete`.
    unsafe { (*within).xFullPathname.map_or(ffi::SQLITE_IOERR, |full| full(within, name, size, out)) }
}

/// What a file is, with what is held for it.
///
/// # Safety
/// `file` is open, and nothing else looks at it meanwhile: SQLite uses a file from one thread at a time.
unsafe fn kind<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Kind {
    // SAFETY: `open_file` has set it.
    unsafe { &mut (*file.cast::<OurFile>()).kind }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    match unsafe { flush(file) } {
        ffi::SQLITE_OK => {}
        failed => return failed,
    }
    // SAFETY: the file is open.
    let frame = match unsafe { kind(file) } {
        Kind::Pages if sums::is_page(size as usize, offset) => None,
        Kind::Log(log) if log.unsummed.has_sum(offset) => match Frame::with_page(size as usize, offset) {
            Some(frame) => Some(frame),
            None => return pass!(file, xRead, buffer, size, offset),
        },
        _ => return pass!(file, xRead, buffer, size, offset),
    };
    match pass!(file, xRead, buffer, size, offset) {
        ffi::SQLITE_OK => {
            // SAFETY: SQLite gave a buffer of this size, and it was just filled.
            let page = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size as usize) };
            let is_whole = match frame {
                None => Ok(sums::is_whole(page, offset)),
                // SAFETY: the file is open.
                Some(frame) => unsafe { is_whole(file, frame, page) },
            };
            match is_whole {
                Ok(true) => ffi::SQLITE_OK,
                Ok(false) | Err(ffi::SQLITE_IOERR_SHORT_READ) => ffi::SQLITE_IOERR_DATA,
                Err(failed) => failed,
            }
        }
        // SQLite would take what is missing for zeros.
        ffi::SQLITE_IOERR_SHORT_READ => ffi::SQLITE_IOERR_DATA,
        other => other,
    }
}

/// Whether the page of a frame is the one that its head was made for.
///
/// # Safety
/// `file` is open.
unsafe fn is_whole(file: *mut ffi::sqlite3_file, frame: Frame, page: &[u8]) -> Result<bool, c_int> {
    let (mut head, mut before) = ([0; FRAME_HEAD], [0; SUM]);
    for (bytes, offset) in [(&mut head[..], frame.head), (&mut before[..], frame.sum_before)] {
        match pass!(file, xRead, bytes.as_mut_ptr().cast(), bytes.len() as c_int, offset) {
            ffi::SQLITE_OK => {}
            failed => return Err(failed),
        }
    }
    Ok(frames::is_whole(&head, before, page))
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gave a buffer of this size.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size as usize) };
    // SAFETY: the file is open.
    match unsafe { kind(file) } {
        Kind::Pages if sums::is_page(bytes.len(), offset) => {
            let page = sums::with_sum(bytes, offset);
            pass!(file, xWrite, page.as_ptr().cast(), size, offset)
        }
        Kind::Log(log) => {
            log.unsummed.writes(bytes.len(), offset);
            let Some(held) = &mut log.held else { return pass!(file, xWrite, buffer, size, offset) };
            if held.take(bytes, offset) {
                return ffi::SQLITE_OK;
            }
            // SAFETY: the file is open.
            let flushed = unsafe { flush(file) };
            // SAFETY: the file is open.
            if let (ffi::SQLITE_OK, Some(held)) = (flushed, unsafe { self::held(file) }) {
                // What is empty takes everything.
                held.take(bytes, offset);
            }
            flushed
        }
        _ => pass!(file, xWrite, buffer, size, offset),
    }
}

/// What is gathered for a file, if it is a log for which something is.
///
/// # Safety
/// As for [`kind`].
unsafe fn held<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Gathered> {
    // SAFETY: as above.
    match unsafe { kind(file) } {
        Kind::Log(log) => log.held.as_mut(),
        Kind::Pages | Kind::Other => None,
    }
}

/// Writes what is gathered for a log.
///
/// # Safety
/// `file` is open.
unsafe fn flush(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the file is open.
    let Some(held) = (unsafe { held(file) }) else { return ffi::SQLITE_OK };
    let written = held.write(|bytes, offset| {
        match pass!(file, xWrite, bytes.as_ptr().cast(), bytes.len() as c_int, offset) {
            ffi::SQLITE_OK => Ok(()),
            failed => Err(failed),
        }
    });
    written.err().unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let done = match unsafe { flush(file) } {
        ffi::SQLITE_OK => pass!(file, xSync, flags),
        failed => failed,
    };
    // SAFETY: the file is open.
    if let (ffi::SQLITE_OK, Kind::Log(log)) = (done, unsafe { kind(file) }) {
        log.unsummed.synced();
    }
    done
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let done = match unsafe { flush(file) } {
        ffi::SQLITE_OK => pass!(file, xTruncate, size),
        failed => failed,
    };
    // SAFETY: the file is open.
    if let (ffi::SQLITE_OK, Some(held)) = (done, unsafe { held(file) }) {
        held.resized(size);
    }
    done
}

unsafe extern "C" fn size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    match unsafe { flush(file) } {
        ffi::SQLITE_OK => pass!(file, xFileSize, out),
        failed => failed,
    }
}

/// What was gathered and not yet on the disk belongs to no commit.
unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let closed = pass!(file, xClose);
    // SAFETY: SQLite uses a file no more when it is closed.
    unsafe { *kind(file) = Kind::Other };
    closed
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // A part of a page has no sum.
    pass!(file, xDeviceCharacteristics) & !ffi::SQLITE_IOCAP_SUBPAGE_READ
}

/// A method that is passed through.
macro_rules! passed {
    ($name:ident, $method:ident $(, $argument:ident: $kind:ty)*) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> c_int {
            pass!(file, $method $(, $argument)*)
        }
    };
}

passed!(lock, xLock, level: c_int);
passed!(unlock, xUnlock, level: c_int);
passed!(is_reserved, xCheckReservedLock, out: *mut c_int);
passed!(control, xFileControl, operation: c_int, argument: *mut c_void);
passed!(sector_size, xSectorSize);
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
