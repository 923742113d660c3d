//! Asking.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use platform_core::kernel::{Error, Result};

use super::socket::Reach;
use super::{Reply, Request};

/// Asks the server that has a data folder open, and waits until it has done what it was asked.
///
/// # Errors
/// `control.unreachable` when no server answers.
pub(crate) fn ask(data: &Path, request: &Request) -> Result<Reply> {
    let unreachable = |error: std::io::Error| {
        Error::unavailable("control.unreachable", "the server that has the data folder open does not answer")
            .with("path", data.display())
            .because(error)
    };
    let reach = Reach::of(data).map_err(unreachable)?;
    let mut connection = UnixStream::connect(reach.path()).map_err(unreachable)?;
    let mut line = serde_json::to_vec(request)
        .map_err(|error| Error::invalid("control.invalid_request", "a path is no text").because(error))?;
    line.push(b'\n');
    connection.write_all(&line).map_err(unreachable)?;
    let mut reply = String::new();
    BufReader::new(connection).read_line(&mut reply).map_err(unreachable)?;
    serde_json::from_str(&reply)
        .map_err(|error| unreachable(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}
