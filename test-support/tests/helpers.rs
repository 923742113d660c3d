//! The helper programs that the shell story starts.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that is killed when the value is dropped, and the address that it printed.
struct Helper(Child, String);

impl Helper {
    fn start(program: &str, arguments: &[&str]) -> Helper {
        let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Helper(child, address)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It is killed at the end in any case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn exchange(address: &str, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn hello_answers_every_request_with_its_text() {
    let hello = Helper::start(env!("CARGO_BIN_EXE_hello"), &["127.0.0.1:0", "the old shop"]);
    let answer = exchange(&hello.1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nthe old shop"),
        "{answer}"
    );
}

#[test]
fn mail_sink_writes_each_mail_to_a_file() {
    let folder = std::env::temp_dir().join(format!("mail-sink-{}", std::process::id()));
    let sink = Helper::start(env!("CARGO_BIN_EXE_mail-sink"), &["127.0.0.1:0", folder.to_str().unwrap()]);
    let dialogue = "EHLO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n\
                    Subject: one\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
    assert!(exchange(&sink.1, dialogue).contains("250 2.0.0 taken as 1\r\n"));
    let (file, begin) = (folder.join("1.eml"), Instant::now());
    while !file.exists() && begin.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "Subject: one\r\n\r\n.dot\r\n");
    std::fs::remove_dir_all(&folder).unwrap();
}
