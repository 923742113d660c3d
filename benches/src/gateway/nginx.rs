//! nginx as the peer and as the upstream.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server of nginx's in one process; killed when dropped.
pub(super) struct Nginx(Child);

impl Nginx {
    /// Answers every request at `listen` with these bytes.
    pub(super) fn answering(folder: &Path, listen: &str, body: &str) -> Nginx {
        let server = format!("server {{ listen {listen}; location / {{ return 200 \"{body}\"; }} }}");
        Nginx::start(folder, "upstream", &server, listen)
    }

    /// Proxies every request at `listen` to `upstream`, over connections that are kept.
    pub(super) fn proxying(folder: &Path, listen: &str, upstream: &str) -> Nginx {
        let server = format!(
            "upstream up {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}
             server {{ listen {listen}; location / {{ proxy_pass http://up; proxy_http_version 1.1;
             proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; }} }}"
        );
        Nginx::start(folder, "proxy", &server, listen)
    }

    fn start(folder: &Path, name: &str, http: &str, listen: &str) -> Nginx {
        let (config, log) = (folder.join(format!("{name}.conf")), folder.join(format!("{name}.log")));
        let text = format!(
            "daemon off; master_process off; error_log {log} warn; pid {folder}/{name}.pid;
             events {{ worker_connections 1024; }}
             http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/{name}-body;
             proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/{name}-fastcgi;
             uwsgi_temp_path {folder}/{name}-uwsgi; scgi_temp_path {folder}/{name}-scgi; {http} }}",
            log = log.display(),
            folder = folder.display(),
        );
        fs::write(&config, text).expect("a configuration");
        let path = std::env::var("PATH").unwrap_or_default();
        let started = Command::new("nginx")
            .env("PATH", format!("{path}:/usr/sbin"))
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn();
        let nginx = Nginx(started.expect("nginx, from `cargo xtask peers`"));
        await_listening(listen.parse().expect("an address"));
        nginx
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn await_listening(address: SocketAddr) {
    let begin = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{address} listens");
        std::thread::sleep(Duration::from_millis(20));
    }
}
