//! A Redis server.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Server, free_port, new_folder};

/// Where Debian's package puts it.
const INSTALLED: &str = "/usr/bin/redis-server";

/// A Redis server that ends with this process. It keeps nothing on disk: it is empty after a restart.
#[derive(Debug)]
pub struct Redis {
    server: Option<Server>,
    folder: PathBuf,
    settings: Vec<String>,
    port: u16,
    is_encrypted: bool,
}

impl Redis {
    /// One with these settings beside the defaults (`[("requirepass", "secret")]`).
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Redis> {
        Redis::started(new_folder("redis")?, settings, false)
    }

    /// One that is reached by TLS only, and the certificate to trust for `localhost`, as PEM.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn start_encrypted() -> io::Result<(Redis, String)> {
        let folder = new_folder("redis")?;
        let made =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
        let settings =
            [("tls-cert-file", &*certificate), ("tls-key-file", &*key), ("tls-auth-clients", "no")];
        Ok((Redis::started(folder.clone(), &settings, true)?, made.cert.pem()))
    }

    fn started(folder: PathBuf, settings: &[(&str, &str)], is_encrypted: bool) -> io::Result<Redis> {
        let settings = settings.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
        let settings = settings.collect();
        let mut redis = Redis { server: None, folder, settings, port: free_port()?, is_encrypted };
        redis.run()?;
        Ok(redis)
    }

    /// The one that all tests of this process share, each with a prefix of its own.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn shared() -> io::Result<&'static Redis> {
        static SHARED: OnceLock<Result<Redis, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Redis::start(&[]).map_err(|error| error.to_string()));
        shared.as_ref().map_err(|error| io::Error::other(error.clone()))
    }

    /// Its address.
    pub fn url(&self) -> String {
        match self.is_encrypted {
            true => format!("rediss://localhost:{}", self.port),
            false => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// A prefix of names that no other test of this process has.
    pub fn new_prefix(&self) -> String {
        static PREFIXES: AtomicU32 = AtomicU32::new(0);
        format!("test{}:", PREFIXES.fetch_add(1, Ordering::Relaxed))
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a crash does, and starts it empty.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        self.run()
    }

    /// Ends it at once, as a crash does. [`Redis::restart`] starts it again.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> io::Result<()> {
        self.server.take().map_or(Ok(()), Server::end)
    }

    fn run(&mut self) -> io::Result<()> {
        let folder = self.folder.to_string_lossy().into_owned();
        let mut arguments = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", &folder]
            .map(str::to_owned)
            .to_vec();
        let [used, unused] =
            if self.is_encrypted { ["--tls-port", "--port"] } else { ["--port", "--tls-port"] };
        arguments.extend([used, &self.port.to_string(), unused, "0"].map(str::to_owned));
        arguments.extend(self.settings.iter().cloned());
        let server = Server::run(self.folder.clone(), "KILL", Path::new(INSTALLED), &arguments)?;
        let address = (Ipv4Addr::LOCALHOST, self.port);
        self.server.insert(server).wait_until(|| TcpStream::connect(address).is_ok())
    }
}
