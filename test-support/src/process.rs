//! The real binary as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Client;

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `platform serve`. It is killed when dropped.
pub struct Process {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The one-time token, while there is no administrator.
    pub setup_token: Option<String>,
    /// From the start of the process until it printed where it listens.
    pub ready_after: Duration,
}

impl Process {
    /// Starts `program serve --data DATA --listen 127.0.0.1:0`, with further environment, and waits
    /// until it listens.
    ///
    /// # Panics
    /// When it does not: with everything that it printed.
    #[allow(clippy::panic, clippy::expect_used)]
    pub fn start(program: &Path, data: &Path, environment: &[(&str, &str)]) -> Process {
        let begin = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("its log");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut setup_token = None;
        while let Some(Ok(line)) = lines.next() {
            if let Some(token) = line.strip_prefix("setup token: ") {
                setup_token = Some(token.to_owned());
            }
            if let Some(address) = line.strip_prefix("listening on http://") {
                let ready_after = begin.elapsed();
                let address = address.parse().expect("an address");
                // Whatever it prints later must not block it.
                std::thread::spawn(move || lines.for_each(drop));
                assert!(ready_after < PATIENCE, "it took {ready_after:?}");
                return Process { child, log: Some(log), address, setup_token, ready_after };
            }
        }
        let status = child.wait().expect("a status");
        panic!("the server ended with {status}:\n{}", log.join().unwrap_or_default());
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:") * 1024
    }

    /// Bytes of memory that it held at most since it began, or since [`Process::forget_peak`].
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:") * 1024
    }

    /// From now on only what comes is the peak.
    #[allow(clippy::expect_used)]
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("a Linux system");
    }

    /// A number of its status.
    #[allow(clippy::expect_used)]
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a Linux system");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    #[allow(clippy::expect_used)]
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ended");
    }

    /// SIGTERM, and waits until it has drained; its exit status was success, and this is its log.
    ///
    /// # Panics
    /// When it ends with another status.
    #[allow(clippy::expect_used)]
    pub fn stop(mut self) -> String {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
        let status = self.child.wait().expect("it ended");
        let log = self.log.take().map(|log| log.join().unwrap_or_default()).unwrap_or_default();
        assert!(status.success(), "it ended with {status}:\n{log}");
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
