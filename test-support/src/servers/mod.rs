//! Real servers for tests, on loopback, each with a folder of its own that is thrown away.
//!
//! A server ends with the process that started it, however that ends: it is watched by a shell that waits for the end of
//! a pipe.

mod kafka;
mod postgres;
mod proxy;
mod redis;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

pub use kafka::Kafka;
pub use postgres::Postgres;
pub use proxy::{Proxy, Rule};
pub use redis::Redis;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(60);

/// Runs a server, and ends it by a signal once its own input has ended; then the folder goes, unless a line `keep` came.
const WATCHED: &str = r#"
folder=$1; signal=$2; shift 2
"$@" >>"$folder/server.log" 2>&1 </dev/null &
server=$!
echo "$server" >"$folder/server.pid"
order=$(cat)
kill "-$signal" "$server" 2>/dev/null
wait "$server" 2>/dev/null
[ "$order" = keep ] || rm -rf "$folder"
"#;

/// A program that runs as long as this is held, over a folder that goes with it unless it is kept.
#[derive(Debug)]
pub(crate) struct Server {
    shell: Child,
    pipe: Option<ChildStdin>,
    folder: PathBuf,
}

impl Server {
    /// Runs a program; `signal` is what ends it at once.
    pub(crate) fn run(
        folder: PathBuf,
        signal: &str,
        program: &Path,
        arguments: &[String],
    ) -> io::Result<Server> {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHED, "watch"]).arg(&folder).arg(signal).arg(program).args(arguments);
        // Not in our process group: an interrupted test run ends it by the pipe.
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pipe = shell.stdin.take();
        Ok(Server { shell, pipe, folder })
    }

    /// Waits until it is ready.
    pub(crate) fn wait_until(&self, mut is_ready: impl FnMut() -> bool) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            if is_ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.failure("it is not ready in time"))
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: &str) -> io::Result<()> {
        let number = std::fs::read_to_string(self.folder.join("server.pid"))?;
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(number.trim()).status()?;
        if sent.success() { Ok(()) } else { Err(self.failure("it takes no signal")) }
    }

    /// Ends it, and keeps the folder for the next one.
    pub(crate) fn end(mut self) -> io::Result<()> {
        if let Some(pipe) = &mut self.pipe {
            pipe.write_all(b"keep")?;
        }
        Ok(())
    }

    /// What the server wrote, with what went wrong.
    pub(crate) fn failure(&self, what: &str) -> io::Error {
        let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        io::Error::other(format!("{what}; it says:\n{log}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It ends by the end of its pipe. Who waits for it leaves no folder behind.
        let _ = self.shell.wait();
    }
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// An empty folder for a server, which whoever runs it may write.
pub(crate) fn new_folder(name: &str) -> io::Result<PathBuf> {
    let number =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |at| at.as_nanos());
    let folder = std::env::temp_dir().join(format!("platform-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
