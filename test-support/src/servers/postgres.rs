//! A PostgreSQL server.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Server, free_port, new_folder};

/// Where Debian's packages put it: a folder for each major version.
const INSTALLED: &str = "/usr/lib/postgresql";

/// The server does not run as root: then it runs as the user that the package makes.
const USER: &str = "postgres";

/// A PostgreSQL server that ends with this process, with the superuser `postgres` without a password.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Server>,
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// One with these settings beside the defaults (`[("fsync", "off")]`).
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Postgres> {
        let (programs, folder, port) = (newest(Path::new(INSTALLED))?, new_folder("postgres")?, free_port()?);
        let data = folder.join("data");
        if is_root() {
            done(Command::new("chown").arg(USER).arg(&folder))?;
        }
        let mut make = as_user(&programs.join("initdb"));
        make.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ]);
        done(make.arg(&data))?;
        let mut lines =
            format!("listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n");
        lines.push_str("max_connections = 500\n");
        settings.iter().for_each(|(name, value)| lines.push_str(&format!("{name} = '{value}'\n")));
        let configuration = data.join("postgresql.auto.conf");
        std::fs::write(&configuration, lines)?;
        let mut postgres = Postgres { server: None, programs, folder, port, databases: AtomicU32::default() };
        postgres.run()?;
        Ok(postgres)
    }

    /// One that speaks TLS only, with a certificate for `localhost`, which is in the file that is returned.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_with_tls() -> io::Result<(Postgres, PathBuf)> {
        let mut postgres = Postgres::start(&[])?;
        let data = postgres.folder.join("data");
        let made =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
        let certificate = data.join("server.crt");
        let key = data.join("server.key");
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        std::fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n")?;
        let configuration = std::fs::read_to_string(data.join("postgresql.auto.conf"))?;
        std::fs::write(data.join("postgresql.auto.conf"), format!("{configuration}ssl = on\n"))?;
        if is_root() {
            done(Command::new("chown").arg(USER).args([&certificate, &key]))?;
        }
        done(Command::new("chmod").arg("600").arg(&key))?;
        postgres.restart()?;
        Ok((postgres, certificate))
    }

    /// The one that all tests of this process share, each with databases of its own. It does not sync: what is tested
    /// with it is anything but the server's own durability.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn shared() -> io::Result<&'static Postgres> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        let settings = [("fsync", "off"), ("full_page_writes", "off"), ("autovacuum", "off")];
        let shared = SHARED.get_or_init(|| Postgres::start(&settings).map_err(|error| error.to_string()));
        shared.as_ref().map_err(|error| io::Error::other(error.clone()))
    }

    /// The address of a new, empty database.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_database(&self) -> io::Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut create = Command::new(self.programs.join("createdb"));
        create.args(["--host=127.0.0.1", "--username=postgres", &format!("--port={}", self.port)]);
        done(create.arg(&name))?;
        Ok(format!("postgres://postgres@127.0.0.1:{}/{name}", self.port))
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a crash does, and starts it over the same data.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        self.run()
    }

    /// Ends it at once, as a crash does. [`Postgres::restart`] starts it again.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> io::Result<()> {
        self.server.take().map_or(Ok(()), Server::end)
    }

    fn run(&mut self) -> io::Result<()> {
        let started = as_user(&self.programs.join("postgres"));
        let mut arguments: Vec<String> =
            started.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        arguments.extend(["-D".to_owned(), self.folder.join("data").to_string_lossy().into_owned()]);
        let program = PathBuf::from(started.get_program());
        let server = Server::run(self.folder.clone(), "QUIT", &program, &arguments)?;
        let port = format!("--port={}", self.port);
        let mut is_ready = Command::new(self.programs.join("pg_isready"));
        is_ready.args(["--host=127.0.0.1", "--quiet", &port]);
        self.server.insert(server).wait_until(|| is_ready.status().is_ok_and(|status| status.success()))
    }
}

/// The folder of the newest major version.
fn newest(installed: &Path) -> io::Result<PathBuf> {
    let versions = std::fs::read_dir(installed).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("PostgreSQL is not installed ({}): {error}", installed.display()),
        )
    })?;
    let number =
        |path: &Path| path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    let found = versions.flatten().map(|entry| entry.path()).max_by_key(|path| number(path).unwrap_or(0_u32));
    found.map(|path| path.join("bin")).ok_or_else(|| io::Error::other("PostgreSQL is not installed"))
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&match std::fs::metadata("/proc/self") {
        Ok(of_this_process) => of_this_process,
        Err(_) => return false,
    }) == 0
}

/// A program as the user that may run it.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--init-groups"]).arg(program);
    command.current_dir("/");
    command
}

/// Runs a command to its end.
fn done(command: &mut Command) -> io::Result<()> {
    let Output { status, stdout, stderr } = command.output()?;
    if status.success() {
        return Ok(());
    }
    let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    Err(io::Error::other(format!("{:?}: {status}\n{said}{complained}", command.get_program())))
}
