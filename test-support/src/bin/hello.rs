//! An upstream that answers every request with one text: `hello LISTEN TEXT`.
//!
//! It prints `listening on ADDRESS` when it is ready.
#![allow(clippy::print_stdout, reason = "the line that says where it listens is its interface")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: hello LISTEN TEXT"));
    };
    let listener = TcpListener::bind(listen)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        let text = text.clone();
        std::thread::spawn(move || answer(stream, &text));
    }
    Ok(())
}

fn answer(stream: TcpStream, text: &str) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    write!(reader.into_inner(), "{head}Content-Length: {}\r\n\r\n{text}", text.len())
}
