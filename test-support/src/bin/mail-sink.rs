//! Takes every mail and writes each to a file: `mail-sink LISTEN FOLDER`.
//!
//! It prints `listening on ADDRESS` when it is ready. The files are `1.eml`, `2.eml` …; each appears
//! under its name only when it is complete.
#![allow(clippy::print_stdout, reason = "the line that says where it listens is its interface")]

use std::io;
use std::path::PathBuf;

use test_support::smtp::{Options, SmtpServer};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(folder)) = (arguments.next(), arguments.next().map(PathBuf::from)) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: mail-sink LISTEN FOLDER"));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::fs::create_dir_all(&folder).await?;
        let server = SmtpServer::start(Options { listen, ..Options::default() }).await?;
        println!("listening on {}", server.address());
        let mut written = 0;
        loop {
            for mail in server.wait_for(written + 1).await.iter().skip(written) {
                written += 1;
                let partial = folder.join(format!("{written}.part"));
                tokio::fs::write(&partial, &mail.content).await?;
                tokio::fs::rename(&partial, folder.join(format!("{written}.eml"))).await?;
            }
        }
    })
}
