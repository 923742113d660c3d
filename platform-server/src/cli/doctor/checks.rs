//! The checks.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use embedded_store::{KEY_VARIABLE, check_stores, key_path};

use super::super::descriptors;
use super::Finding::{self, Bad, Doubtful, Good};
use crate::config::Config;
use crate::http_server::Tls;

/// 2026-01-01: no machine that runs this is older.
const EARLIEST: u64 = 1_767_225_600;
/// How long a mail server may take to say its name.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn clock(_: &Config) -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if now > EARLIEST {
        Good("the clock is set".to_owned())
    } else {
        Bad(
            "the clock is before 2026".to_owned(),
            "set it: tokens and audit entries carry its time".to_owned(),
        )
    }
}

pub(super) fn file_descriptors(config: &Config) -> Finding {
    let wanted = descriptors::needed(config.server.connections);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .and_then(|line| line.split_whitespace().nth(4)?.parse::<u64>().ok());
    match open {
        Some(open) if open < wanted => Doubtful(
            format!(
                "{open} open files are allowed, {wanted} are needed for server.connections = {}",
                config.server.connections
            ),
            format!("ulimit -n {wanted}, or LimitNOFILE= in the unit, or fewer server.connections"),
        ),
        Some(open) => Good(format!("{open} open files are allowed")),
        None => Good("the limit of open files is not known here".to_owned()),
    }
}

pub(super) fn data_folder(config: &Config) -> Finding {
    let data = &config.storage.data;
    let advice =
        format!("make {} a folder that this user may write, or name another with --data", data.display());
    if !data.exists() {
        let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return match parent.metadata() {
            Ok(found) if found.is_dir() && !found.permissions().readonly() => {
                Good(format!("{} will be made at the first start", data.display()))
            }
            _ => Bad(format!("{} cannot be made", data.display()), advice),
        };
    }
    let probe = data.join(".doctor");
    match fs::write(&probe, b"x").and_then(|()| fs::remove_file(&probe)) {
        Ok(()) => Good(format!("{} can be written", data.display())),
        Err(error) => Bad(format!("{} cannot be written: {error}", data.display()), advice),
    }
}

pub(super) fn data_folder_is_private(config: &Config) -> Finding {
    let data = &config.storage.data;
    let Ok(found) = data.metadata() else { return Good("there are no data yet".to_owned()) };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Good("nobody else may enter the data folder".to_owned())
    } else {
        Doubtful(
            format!("others may enter {} (mode {mode:o})", data.display()),
            format!("chmod 700 {}", data.display()),
        )
    }
}

pub(super) fn key(config: &Config) -> Finding {
    let data = &config.storage.data;
    let path = key_path(data);
    if std::env::var_os(KEY_VARIABLE).is_some() {
        return Good(format!("the key is in {KEY_VARIABLE}"));
    }
    let Ok(found) = path.metadata() else {
        let is_new = !data.exists() || fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
        return if is_new {
            Good(format!("the key {} will be made at the first start", path.display()))
        } else {
            Bad(
                format!("the key {} is gone: nothing that is sealed can be read", path.display()),
                format!("put it back from where you keep it, or set {KEY_VARIABLE}"),
            )
        };
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Good(format!("only its owner may read the key {}", path.display()))
    } else {
        Bad(
            format!("others may read the key {} (mode {mode:o})", path.display()),
            format!("chmod 600 {}", path.display()),
        )
    }
}

pub(super) fn databases(config: &Config) -> Finding {
    let data = &config.storage.data;
    let found = match check_stores(data) {
        Ok(found) => found,
        Err(_) => return Good("there are no databases yet".to_owned()),
    };
    let advice = "stop the server, keep a copy of the folder, and restore the last backup";
    match found.iter().find_map(|(name, found)| Some((name, found.as_ref().err()?))) {
        None => Good(format!("{} databases are sound", found.len())),
        Some((name, error)) => Bad(format!("{name} is damaged: {error}"), advice.to_owned()),
    }
}

pub(super) fn certificates(config: &Config) -> Finding {
    let (Some(chain), Some(key)) = (&config.server.tls_certificates, &config.server.tls_key) else {
        return if config.server.listen.ip().is_loopback() {
            Good("no TLS, and only this machine can connect".to_owned())
        } else {
            Doubtful(
                format!("{} takes connections from outside without TLS", config.server.listen),
                "set server.tls_certificates and server.tls_key, or stand behind something that ends TLS"
                    .to_owned(),
            )
        };
    };
    match Tls::from_files(chain, key) {
        Ok(_) => Good("certificates and key belong together".to_owned()),
        Err(error) => Bad(
            format!("TLS cannot start: {error}"),
            "PEM files: the chain, leaf first, and its private key".to_owned(),
        ),
    }
}

pub(super) fn listener(config: &Config) -> Finding {
    let listen = config.server.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Good(format!("{listen} is free")),
        Err(_) if answers(listen) => Good(format!("a server answers at {listen}")),
        Err(error) => {
            Bad(format!("cannot listen on {listen}: {error}"), "name another with --listen".to_owned())
        }
    }
}

fn answers(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}

pub(super) fn mail(config: &Config) -> Finding {
    let advice = "set notifications.smtp_url to smtp://host:port of a mail server; until then mail waits and is tried again";
    // Only host and port are shown: the rest may be a password.
    let url = config.notifications.smtp_url.expose();
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:25") };
    let greeting = || -> std::io::Result<String> {
        let address = address.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut start = [0; 3];
        stream.read_exact(&mut start)?;
        Ok(String::from_utf8_lossy(&start).into_owned())
    };
    match greeting() {
        Ok(code) if code == "220" => Good(format!("a mail server answers at {address}")),
        Ok(code) => Doubtful(format!("{address} says {code} and not 220"), advice.to_owned()),
        Err(error) => Doubtful(format!("no mail server at {address}: {error}"), advice.to_owned()),
    }
}

pub(super) fn sender(config: &Config) -> Finding {
    let from = &config.notifications.from;
    let address = from.rsplit_once('<').map_or(from.as_str(), |(_, rest)| rest.trim_end_matches('>'));
    match address.split_once('@') {
        Some((local, domain))
            if !local.is_empty() && domain.contains('.') && !domain.ends_with(".localdomain") =>
        {
            Good(format!("mail is sent as {from}"))
        }
        _ => Doubtful(
            format!("mail is sent as {from}, which other mail servers refuse"),
            "set notifications.from to an address of yours".to_owned(),
        ),
    }
}
