//! SQLite's write-ahead log as its readers see it: whether anything was committed since a look.
//!
//! Beginning and ending a snapshot costs a tenth of a fetch, most of it in locks. A snapshot that is
//! still the newest need not end. Whether it is stands in the first bytes of the log's index, which
//! every connection of every process has in shared memory (SQLite's file format, "The WAL-Index File
//! Format"): any commit changes them.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ffi};

/// 64-bit words of one copy of the index's header.
const WORDS: usize = 6;
/// Bytes of a part of the index, as SQLite asks for them.
const REGION_BYTES: c_int = 32 * 1024;

/// The header of the log's index at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalState([u64; WORDS]);

impl WalState {
    /// Pages in the log: the number of its last valid frame, 16 bytes from the beginning.
    pub(super) fn pages(&self) -> u32 {
        let bytes = self.0.get(2).copied().unwrap_or(0).to_ne_bytes();
        bytes.first_chunk().copied().map_or(0, u32::from_ne_bytes)
    }
}

/// A look at the log's index through an open connection. Not to be used past that connection's end:
/// whoever holds one holds the connection beside it.
pub(super) struct WalIndex(NonNull<AtomicU64>);

#[expect(unsafe_code, reason = "the memory is shared between threads and processes, and only read, atomically")]
// SAFETY: see above.
unsafe impl Send for WalIndex {}

impl WalIndex {
    /// Where a connection sees the index; `None` where there is none, as before its first read.
    #[expect(unsafe_code, reason = "SQLite hands out the memory through the methods of its file alone")]
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
        let mut region: *mut c_void = std::ptr::null_mut();
        // SAFETY: the connection is open, and `FILE_POINTER` writes a pointer to its main file, which
        // lives as long as it does. Mapping the first region again answers where it is mapped; as it
        // must not grow the file, it has no other effect.
        unsafe {
            let asked = ffi::sqlite3_file_control(
                connection.handle(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_FILE_POINTER,
                (&raw mut file).cast(),
            );
            if asked != ffi::SQLITE_OK {
                return None;
            }
            let methods = file.as_ref()?.pMethods.as_ref()?;
            let map = methods.xShmMap.filter(|_| methods.iVersion >= 2)?;
            if map(file, 0, REGION_BYTES, 0, (&raw mut region).cast()) != ffi::SQLITE_OK {
                return None;
            }
        }
        NonNull::new(region.cast()).map(Self)
    }

    /// The header as it is now. While it is being changed this is a mixture, which equals no other.
    #[expect(unsafe_code, reason = "the memory is SQLite's")]
    pub(super) fn state(&self) -> WalState {
        let word = |at: usize| {
            // SAFETY: the region has 32 KiB, begins at a page, and stays mapped while any connection of
            // this process to the database is open. SQLite writes it with stores of its own, so that a
            // word may be torn; it is compared and nothing else is made of it.
            unsafe { self.0.add(at).as_ref() }.load(Ordering::Relaxed)
        };
        let state = WalState(std::array::from_fn(word));
        // What is read after this is no older than the header.
        std::sync::atomic::fence(Ordering::Acquire);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_any_connection_is_seen_and_a_read_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("test.db")).unwrap();
        let (one, other) = (open(), open());
        one.execute_batch("pragma journal_mode = wal; create table t (x)").unwrap();
        let count = |connection: &Connection| {
            connection.query_row("select count(*) from t", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        count(&other);
        let index = WalIndex::of(&other).unwrap();

        let before = index.state();
        count(&one);
        count(&other);
        assert_eq!(index.state(), before);

        one.execute_batch("insert into t values (1)").unwrap();
        let after = index.state();
        assert_ne!(after, before);
        assert!(after.pages() > before.pages() && after.pages() < 100, "{}", after.pages());
    }
}
