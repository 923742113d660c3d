//! A blocking HTTP/1.1 client, small enough to be trusted: it says exactly what was sent and whether an
//! answer came back whole.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take: beyond it the server hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that came back whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `Null` when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The stable code of a problem.
    pub fn code(&self) -> String {
        self.json().get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A client with one connection, opened when needed.
pub struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    token: Option<String>,
}

impl Client {
    /// A client of a server at this address.
    pub fn new(address: SocketAddr) -> Client {
        Client { address, connection: None, token: None }
    }

    /// The same, with an access token in every request.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Client {
        self.token = Some(token.to_owned());
        self
    }

    /// Sends a request with a JSON body.
    ///
    /// # Errors
    /// When no whole answer came back: the request may or may not have been carried out.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.send_with(method, path, &[], body)
    }

    /// Sends a request with further headers.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(token) = &self.token {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
            head += &format!("content-type: {kind}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n{body}", body.len());
        self.exchange(head.as_bytes())
    }

    /// Sends bytes as they are and reads one answer.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                BufReader::new(stream)
            }
        };
        connection.get_mut().write_all(request)?;
        let answer = read_answer(&mut connection)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

fn read_answer(from: &mut impl BufRead) -> io::Result<Answer> {
    let malformed =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("malformed answer: {what}"));
    let line = read_line(from)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| malformed(&line))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header =
        |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(&read_line(from)?, 16).map_err(|_| malformed("chunk"))?;
            let mut chunk = vec![0; size];
            from.read_exact(&mut chunk)?;
            read_line(from)?;
            if size == 0 {
                break;
            }
            body.append(&mut chunk);
        }
    } else if status != 204 && status != 304 {
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        body.resize(length, 0);
        from.read_exact(&mut body)?;
    }
    Ok(Answer { status, headers, body })
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
