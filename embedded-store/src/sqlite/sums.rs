//! A checksum in every page of a database file.
//!
//! SQLite keeps none of its own: a page that the disk returns changed is served as it is, and one whose
//! pointers are changed hides rows. So our files are opened through a VFS around the default one. It writes
//! into the last 8 bytes of a page, which SQLite is told to leave free, the XXH3 of the rest (seeded with the
//! place of the page, so that a page in the place of another is seen too), and checks it whenever a page is
//! read. SQLite's own log has checksums in its frames, which its recovery checks; a page gets its sum when it
//! is moved from the log into the file. 4 KiB take about 0.2 µs.
//!
//! Other programs read these files as ever (`sqlite3 -readonly`). What another program *writes* into one has
//! no sum, and reads as damage here.

#![allow(unsafe_code, reason = "a VFS is a table of C functions")]

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::Once;

use rusqlite::{Connection, OpenFlags, ffi};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The name under which SQLite knows it.
const NAME: &std::ffi::CStr = c"platform-sums";

/// Bytes at the end of a page.
const SUM_BYTES: usize = 8;

/// Where the head of a file says how many bytes at the end of a page are left free.
const RESERVED_AT: usize = 20;

/// Opens a database whose pages have sums; a file that is made now gets them.
pub(crate) fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    register();
    let connection = Connection::open_with_flags_and_vfs(path, flags, NAME)?;
    let mut reserved = SUM_BYTES as c_int;
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

/// Whether a file was written without sums: by a version before there were any.
pub(super) fn are_missing(path: &Path) -> bool {
    use std::io::Read;
    let mut head = [0; RESERVED_AT + 1];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.starts_with(b"SQLite format 3\0") && head.last() == Some(&0)
}

fn sum_of(page: &[u8], offset: i64) -> [u8; SUM_BYTES] {
    xxh3_64_with_seed(page, 0x706c_6174_666f_726d ^ offset.cast_unsigned()).to_le_bytes()
}

/// Whether this much at this place is a page: nothing else of a database is read or written like that.
fn is_page(size: c_int, offset: i64) -> bool {
    size >= 512 && size.cast_unsigned().is_power_of_two() && offset % i64::from(size) == 0
}

/// What SQLite holds for an open file; the file of the VFS within stands behind it.
#[repr(C)]
struct OurFile {
    head: ffi::sqlite3_file,
    has_pages: bool,
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
        (*ours).has_pages = flags & ffi::SQLITE_OPEN_MAIN_DB != 0;
        let room = (*within).szOsFile as usize;
        let Some(open) = (*within).xOpen.filter(|_| room <= ROOM) else { return ffi::SQLITE_CANTOPEN };
        std::ptr::write_bytes(inner(file).cast::<u8>(), 0, room);
        let opened = open(within, name, inner(file), flags, out_flags);
        if !(*inner(file)).pMethods.is_null() {
            (*ours).head.pMethods = &raw const METHODS;
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

/// Whether it is the file of a database itself, not its log.
///
/// # Safety
/// `file` is open.
unsafe fn has_pages(file: *mut ffi::sqlite3_file) -> bool {
    // SAFETY: `open_file` has set it.
    unsafe { (*file.cast::<OurFile>()).has_pages }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let done = pass!(file, xRead, buffer, size, offset);
    // SAFETY: the file is open.
    if !is_page(size, offset) || !unsafe { has_pages(file) } {
        return done;
    }
    match done {
        ffi::SQLITE_OK => {
            // SAFETY: SQLite gave a buffer of this size, and it was just filled.
            let page = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size as usize) };
            match page.split_last_chunk::<SUM_BYTES>() {
                Some((content, sum)) if sum_of(content, offset) == *sum => ffi::SQLITE_OK,
                _ => ffi::SQLITE_IOERR_DATA,
            }
        }
        // SQLite would take what is missing for zeros.
        ffi::SQLITE_IOERR_SHORT_READ => ffi::SQLITE_IOERR_DATA,
        other => other,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    if !is_page(size, offset) || !unsafe { has_pages(file) } {
        return pass!(file, xWrite, buffer, size, offset);
    }
    // SAFETY: SQLite gave a buffer of this size.
    let mut page = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size as usize) }.to_vec();
    if let Some((content, sum)) = page.split_last_chunk_mut::<SUM_BYTES>() {
        *sum = sum_of(content, offset);
    }
    pass!(file, xWrite, page.as_ptr().cast(), size, offset)
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

passed!(close, xClose);
passed!(truncate, xTruncate, size: ffi::sqlite3_int64);
passed!(sync, xSync, flags: c_int);
passed!(size, xFileSize, out: *mut ffi::sqlite3_int64);
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
