//! What the machine's disk can do: the floor under every durable number.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use crate::row::{Measured, Row, median};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "fdatasync",
    what: "one fdatasync after appending 4 KiB (median of 2,000)",
    run: || Measured::alone(fdatasync_us(2_000), "µs"),
}];

/// Microseconds of one fdatasync after appending 4 KiB: the median of so many.
#[allow(clippy::expect_used)]
pub(crate) fn fdatasync_us(count: usize) -> f64 {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the project");
    let mut file = File::create(folder.path().join("file")).expect("a file");
    let samples = (0..count).map(|_| {
        file.write_all(&[7; 4096]).expect("written");
        let begin = Instant::now();
        file.sync_data().expect("synced");
        begin.elapsed().as_secs_f64() * 1e6
    });
    median(samples.collect::<Vec<_>>())
}
