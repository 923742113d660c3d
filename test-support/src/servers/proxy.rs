//! A proxy on loopback between a client and a server, which loses what it is told to.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// What the proxy does with what passes.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Nothing.
    Pass,
    /// Every chunk waits for so long.
    Delay(Duration),
    /// Connections are cut, and new ones too, at once.
    Cut,
    /// Connections stay, and nothing passes any more: a network that is gone.
    Silence,
    /// Once: the connection is cut when a request with these bytes comes, before it is passed on.
    LoseRequest(&'static [u8]),
    /// Once: a request with these bytes is passed on, and the connection is cut when an answer with those bytes comes.
    LoseAnswer(&'static [u8], &'static [u8]),
    /// As [`Rule::LoseAnswer`], and then [`Rule::Cut`].
    LoseAnswerForGood(&'static [u8], &'static [u8]),
}

/// What all connections of a proxy share.
struct Shared {
    server: SocketAddr,
    rule: Mutex<Rule>,
    sockets: Mutex<Vec<TcpStream>>,
}

/// A proxy; it ends when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// A proxy to a server on this port of loopback.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn to(port: u16) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let own = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            server: (Ipv4Addr::LOCALHOST, port).into(),
            rule: Mutex::new(Rule::Pass),
            sockets: Mutex::default(),
        });
        let accepting = Arc::downgrade(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Ok(Proxy { shared, port: own })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is done from now on.
    pub fn set(&self, rule: Rule) {
        self.shared.set(rule);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.set(Rule::Cut);
        // Wakes the one who accepts, so that it sees the end.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn rule(&self) -> Rule {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, rule: Rule) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = rule;
        if let Rule::Cut = rule {
            let sockets = std::mem::take(&mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner));
            sockets.iter().for_each(cut);
        }
    }
}

fn cut(socket: &TcpStream) {
    let _ = socket.shutdown(Shutdown::Both);
}

fn accept(listener: &TcpListener, shared: &Weak<Shared>) {
    for client in listener.incoming().flatten() {
        let Some(shared) = shared.upgrade() else { return };
        if let Rule::Cut = shared.rule() {
            continue;
        }
        let Ok(server) = TcpStream::connect(shared.server) else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut clones = Vec::new();
        for socket in [&client, &server, &client, &server, &client, &server] {
            clones.extend(socket.try_clone());
        }
        let Ok([from_client, to_server, to_client, from_server, first, second]) =
            <[TcpStream; 6]>::try_from(clones)
        else {
            continue;
        };
        shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).extend([first, second]);
        // The answer that this connection is to lose.
        let lost: Arc<Mutex<Option<&'static [u8]>>> = Arc::default();
        let (of_requests, of_answers, lost_by_request) = (Arc::clone(&shared), shared, Arc::clone(&lost));
        std::thread::spawn(move || requests(&of_requests, from_client, to_server, &lost_by_request));
        std::thread::spawn(move || answers(&of_answers, from_server, to_client, &lost));
    }
}

fn contains(chunk: &[u8], bytes: &[u8]) -> bool {
    chunk.windows(bytes.len()).any(|window| window == bytes)
}

fn requests(
    shared: &Shared,
    mut client: TcpStream,
    mut server: TcpStream,
    lost: &Mutex<Option<&'static [u8]>>,
) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let chunk = buffer.get(..length).unwrap_or_default();
        match shared.rule() {
            Rule::LoseRequest(bytes) if contains(chunk, bytes) => {
                shared.set(Rule::Pass);
                break;
            }
            Rule::LoseAnswer(bytes, answer) if contains(chunk, bytes) => {
                *lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                shared.set(Rule::Pass);
            }
            Rule::LoseAnswerForGood(bytes, answer) if contains(chunk, bytes) => {
                *lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            }
            rule => wait(shared, rule),
        }
        if server.write_all(chunk).is_err() {
            break;
        }
    }
    cut(&client);
    cut(&server);
}

fn answers(
    shared: &Shared,
    mut server: TcpStream,
    mut client: TcpStream,
    lost: &Mutex<Option<&'static [u8]>>,
) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        let chunk = buffer.get(..length).unwrap_or_default();
        match *lost.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(answer) if contains(chunk, answer) => {
                if let Rule::LoseAnswerForGood(..) = shared.rule() {
                    shared.set(Rule::Cut);
                }
                break;
            }
            // What comes before it is lost, too.
            Some(_) => continue,
            None => wait(shared, shared.rule()),
        }
        if client.write_all(chunk).is_err() {
            break;
        }
    }
    cut(&client);
    cut(&server);
}

/// Holds a chunk back.
fn wait(shared: &Shared, rule: Rule) {
    match rule {
        Rule::Delay(delay) => std::thread::sleep(delay),
        Rule::Silence => {
            while let Rule::Silence = shared.rule() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        _ => {}
    }
}
