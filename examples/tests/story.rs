//! The story in Rust, against a real mail server and a real folder.

use examples::story::{Ending, open, tell};
use test_support::smtp::{Options, SmtpServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_ends_well_and_can_be_told_once() {
    let mail = SmtpServer::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let platform = open(folder.path(), &mail.url()).await.unwrap();
    let ending = tell(&platform).await.unwrap();
    let targets = ["old.example", "new.example", "old.example"].map(str::to_owned);
    assert_eq!(
        ending,
        Ending {
            balance: "12.50".into(),
            refused: "ledger.insufficient_funds".into(),
            targets,
            entries: ending.entries,
            is_proven: true,
        }
    );
    assert!(ending.entries >= 4, "{}", ending.entries);

    let mails = mail.wait_for(2).await;
    let welcome = mails.iter().find(|mail| mail.to == ["ada@example.org"]).expect("a welcome to Ada");
    assert_eq!(welcome.header("Subject"), "Welcome, Ada");
    assert_eq!(welcome.header("From"), "Story <story@example.org>");
    assert!(welcome.text().starts_with("Hello Ada,\n"));
    assert_eq!(mail.violations(), [""; 0]);

    assert_eq!(tell(&platform).await.unwrap_err().code(), "story.told");
    platform.stop().await;
}
