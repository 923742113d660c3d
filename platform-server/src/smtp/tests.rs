//! The channel against a strict server.

use super::*;
use test_support::smtp::{Fault, Options, SmtpServer};

async fn server(options: Options) -> SmtpServer {
    SmtpServer::start(options).await.unwrap()
}

fn channel(server: &SmtpServer) -> SmtpChannel {
    SmtpChannel::new(&Secret::new(server.url()), "Platform <platform@example.org>").unwrap()
}

fn message(number: u32) -> Message {
    Message {
        id: format!("notification_{number:026}"),
        to: "ada@example.org".into(),
        subject: "Grüße".into(),
        text: ".\n..hidden\nschöne Grüße\n".into(),
        html: Some("<p>schöne Grüße</p>".into()),
        deadline: None,
    }
}

async fn send(channel: &SmtpChannel, number: u32) -> Result<Receipt, SendError> {
    channel.send(&message(number)).await
}

fn transient(cause: &str) -> Result<Receipt, SendError> {
    Err(SendError::Transient(cause.into()))
}

#[tokio::test]
async fn a_mail_arrives_whole_with_and_without_pipelining() {
    for pipelining in [true, false] {
        let server = server(Options { pipelining, ..Options::default() }).await;
        let receipt = send(&channel(&server), 7).await.unwrap();
        assert_eq!(receipt.provider_reference, "2.0.0 taken as 1");
        let mail = server.mails().remove(0);
        assert_eq!(
            (mail.from.as_str(), mail.to.as_slice()),
            ("platform@example.org", ["ada@example.org".into()].as_slice())
        );
        assert_eq!(mail.header("Subject"), "Grüße");
        assert_eq!(mail.header("From"), "Platform <platform@example.org>");
        assert_eq!(mail.header("Message-ID"), format!("<notification_{:026}@example.org>", 7));
        assert_eq!(mail.text().trim_end(), ".\n..hidden\nschöne Grüße");
        assert_eq!(mail.html().trim_end(), "<p>schöne Grüße</p>");
        assert_eq!(mail.helo, "[127.0.0.1]");
        assert_eq!(server.violations(), [""; 0]);
    }
}

#[tokio::test]
async fn starttls_is_used_when_it_is_offered() {
    let server = server(Options { starttls: true, ..Options::default() }).await;
    send(&channel(&server), 1).await.unwrap();
    assert!(server.mails()[0].encrypted);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn tls_that_is_required_is_not_gone_without() {
    let plain = server(Options::default()).await;
    let url = Secret::new(format!("{}?tls=required", plain.url()));
    let Ok(channel) = SmtpChannel::new(&url, "a@example.org") else {
        // A machine without trusted roots refuses at the start.
        assert_eq!(
            SmtpChannel::new(&url, "a@example.org").err().map(|e| e.code()),
            Some("config.no_trusted_roots")
        );
        return;
    };
    assert_eq!(send(&channel, 1).await, transient("STARTTLS is required and not offered"));
    let unknown = server(Options { starttls: true, ..Options::default() }).await;
    let url = Secret::new(format!("{}?tls=required", unknown.url()));
    let channel = SmtpChannel::new(&url, "a@example.org").unwrap();
    // A certificate that nobody vouches for.
    assert!(
        matches!(send(&channel, 1).await, Err(SendError::Transient(cause)) if cause.starts_with("TLS: "))
    );
    assert!(plain.mails().is_empty() && unknown.mails().is_empty());
}

#[tokio::test]
async fn credentials_are_shown_when_they_are_configured() {
    let credentials = Some(("ada".to_owned(), "hunter2".to_owned()));
    let server = server(Options { credentials, starttls: true, ..Options::default() }).await;
    send(&channel(&server), 1).await.unwrap();
    assert_eq!(server.mails()[0].user.as_deref(), Some("ada"));
    let wrong = Secret::new(server.url().replace("hunter2", "wrong"));
    let channel = SmtpChannel::new(&wrong, "a@example.org").unwrap();
    assert_eq!(send(&channel, 2).await, transient("AUTH: 535 5.7.8"));
    let missing =
        SmtpChannel::new(&Secret::new(format!("smtp://{}", server.address())), "a@example.org").unwrap();
    assert_eq!(send(&missing, 3).await, transient("MAIL: 530 5.7.0"));
    assert_eq!((server.mails().len(), server.violations()), (1, Vec::new()));
}

#[tokio::test]
async fn one_connection_carries_many_mails() {
    let server = server(Options::default()).await;
    let channel = channel(&server);
    for number in 0..20 {
        send(&channel, number).await.unwrap();
    }
    assert_eq!((server.connections(), server.mails().len()), (1, 20));
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_without_a_failure() {
    let server = server(Options::default()).await;
    let channel = channel(&server);
    server.fail_next([Fault::BreakAfterwards]);
    send(&channel, 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    send(&channel, 2).await.unwrap();
    assert_eq!((server.connections(), server.mails().len()), (2, 2));
}

#[tokio::test]
async fn refusals_are_told_apart_and_leave_the_connection_in_order() {
    for pipelining in [true, false] {
        let server = server(Options { pipelining, ..Options::default() }).await;
        let channel = channel(&server);
        for (fault, expected) in [
            (Fault::RefuseRecipient(550), SendError::Permanent("RCPT: 550".into())),
            (Fault::RefuseRecipient(450), SendError::Transient("RCPT: 450".into())),
            (Fault::RefuseSender(553), SendError::Permanent("MAIL: 553".into())),
            (Fault::RefuseData(451), SendError::Transient("DATA: 451".into())),
            (Fault::RefuseContent(554), SendError::Permanent("message: 554".into())),
            (Fault::RefuseContent(452), SendError::Transient("message: 452".into())),
        ] {
            server.fail_next([fault]);
            assert_eq!(send(&channel, 1).await, Err(expected), "{fault:?}");
            send(&channel, 2).await.unwrap();
        }
        assert_eq!((server.connections(), server.mails().len()), (1, 6));
        assert_eq!(server.violations(), [""; 0]);
    }
}

#[tokio::test]
async fn what_breaks_before_the_end_is_transient_and_after_it_ambiguous() {
    let server = server(Options::default()).await;
    let channel = channel(&server);
    server.fail_next([Fault::Greet(421)]);
    assert_eq!(send(&channel, 1).await, transient("greeting: 421"));
    for fault in [Fault::TakeAndBreak, Fault::LoseAndBreak] {
        server.fail_next([fault]);
        assert!(matches!(send(&channel, 2).await, Err(SendError::Ambiguous(_))), "{fault:?}");
    }
    assert_eq!(server.mails().len(), 1);
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(send(&channel, 3).await, Err(SendError::Transient(_))));
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let server = server(Options::default()).await;
    let channel = channel(&server);
    let late = Message { deadline: Some(Timestamp::from_secs(1)), ..message(1) };
    assert_eq!(channel.send(&late).await, Err(SendError::Expired));
    send(&channel, 2).await.unwrap();
    assert_eq!(channel.send(&late).await, Err(SendError::Expired));
    assert_eq!((server.mails().len(), server.connections()), (1, 1));
}

/// Passes at the second look: after the envelope, before the end of the message.
struct Narrow(std::sync::atomic::AtomicU32);

impl Deadline for Narrow {
    fn has_passed(&self) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0
    }
}

#[tokio::test]
async fn a_deadline_that_passes_within_the_dialogue_is_respected() {
    let server = server(Options::default()).await;
    let channel = channel(&server);
    let mut session = Session::open(&channel.url, &channel.tls).await.unwrap();
    let envelope = mime::build(&channel.from, &message(1), SystemTime::now()).unwrap();
    let failure = session.send(&envelope, &Narrow(0.into())).await.unwrap_err();
    assert_eq!((failure.error, failure.reusable), (SendError::Expired, false));
    drop(session);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn mails_side_by_side_arrive_once_each() {
    let server = server(Options { starttls: true, ..Options::default() }).await;
    let channel = std::sync::Arc::new(channel(&server));
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let channel = std::sync::Arc::clone(&channel);
            tokio::spawn(async move { send(&channel, number).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut ids: Vec<_> = server.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), server.mails().len(), server.violations()), (40, 40, Vec::new()));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let code =
        |url: &str, from: &str| SmtpChannel::new(&Secret::new(url), from).err().map(|error| error.code());
    assert_eq!(code("mail:25", "a@example.org"), Some("config.invalid_smtp_url"));
    assert_eq!(code("smtp://127.0.0.1:25", "nobody"), Some("config.invalid_sender"));
    assert_eq!(code("smtp://127.0.0.1:25", "Platform <platform@localhost.localdomain>"), None);
}
