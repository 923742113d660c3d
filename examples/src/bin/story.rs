//! Tells the story: `story FOLDER SMTP_URL`.
#![allow(clippy::print_stdout, reason = "a story is told")]

use std::path::PathBuf;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(smtp_url)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        println!("usage: story FOLDER SMTP_URL");
        return ExitCode::from(2);
    };
    let told = async {
        let platform = examples::story::open(&folder, &smtp_url).await?;
        let ending = examples::story::tell(&platform).await;
        platform.stop().await;
        ending
    };
    match told.await {
        Ok(ending) => {
            println!("{ending:#?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
