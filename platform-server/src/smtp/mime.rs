//! From a message to what goes over the wire (RFC 5322, MIME).

use std::time::SystemTime;

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mime, MultiPart, SinglePart};
use platform_core::ports::channel::{Message, SendError};

/// A mail with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The sender's address.
    pub(super) from: String,
    /// The recipient's address.
    pub(super) to: String,
    /// Headers and body, every line ended by CR LF.
    pub(super) content: Vec<u8>,
}

/// Builds the mail. The Message-ID is made from the message's id and the sender's domain, so every attempt has
/// the same.
///
/// # Errors
/// [`SendError::Permanent`] when the recipient's address cannot stand in a mail.
pub(super) fn build(from: &Mailbox, message: &Message, now: SystemTime) -> Result<Envelope, SendError> {
    if !message.to.is_ascii() {
        return Err(SendError::Permanent("the address is not ASCII (RFC 6531 is not spoken)".to_owned()));
    }
    let refused = |_| SendError::Permanent("the address is not valid".to_owned());
    let to: Address = message.to.parse().map_err(refused)?;
    let builder = Mime::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .date(now)
        .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
        .subject(message.subject.clone())
        // RFC 3834: no vacation message answers this.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    let built = match &message.html {
        Some(html) => builder.multipart(
            MultiPart::alternative()
                .boundary(boundary(&message.id))
                .singlepart(SinglePart::plain(message.text.clone()))
                .singlepart(SinglePart::html(html.clone())),
        ),
        None => builder.singlepart(SinglePart::plain(message.text.clone())),
    };
    let content =
        built.map_err(|_| SendError::Permanent("no mail can be made of it".to_owned()))?.formatted();
    Ok(Envelope { from: from.email.to_string(), to: to.to_string(), content })
}

/// Longer than what a text may hold by accident, and never a line of an encoded part.
fn boundary(id: &str) -> String {
    format!("=_{id}_=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: &str, html: Option<&str>) -> Message {
        Message {
            id: "notification_01h455vb4pex5vsknk084sn02q".into(),
            to: to.into(),
            subject: "Grüße an Ada".into(),
            text: "Hallo Ada,\n.\n..\nschöne Grüße\n".into(),
            html: html.map(str::to_owned),
            deadline: None,
        }
    }

    fn built(message: &Message) -> String {
        let from: Mailbox = "Platform <platform@example.org>".parse().unwrap();
        String::from_utf8(build(&from, message, SystemTime::UNIX_EPOCH).unwrap().content).unwrap()
    }

    #[test]
    fn the_form_of_a_mail_is_what_it_was() {
        assert_eq!(
            built(&message("ada@example.org", None)),
            "From: Platform <platform@example.org>\r\n\
             To: ada@example.org\r\n\
             Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n\
             Message-ID: <notification_01h455vb4pex5vsknk084sn02q@example.org>\r\n\
             Subject: =?utf-8?b?R3LDvMOfZQ==?= an Ada\r\n\
             Auto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\
             \r\n\
             Hallo Ada,\r\n.\r\n..\r\nsch=C3=B6ne Gr=C3=BC=C3=9Fe\r\n\r\n"
        );
    }

    #[test]
    fn both_forms_of_a_text_stand_side_by_side_and_all_is_ascii() {
        let mail = built(&message("ada@example.org", Some("<p>schöne Grüße</p>")));
        assert!(mail.is_ascii() && mail.contains("multipart/alternative"));
        assert!(mail.find("text/plain").unwrap() < mail.find("text/html").unwrap());
        assert_eq!(
            mail,
            built(&message("ada@example.org", Some("<p>schöne Grüße</p>"))),
            "the same every time"
        );
    }

    #[test]
    fn no_address_and_no_subject_bring_in_a_header() {
        for bad in
            ["a@b.example>\r\nBcc: <all@example.org", "a@b.example\r\nX: y", "nobody", "", "ä@b.example"]
        {
            let from: Mailbox = "platform@example.org".parse().unwrap();
            let outcome = build(&from, &message(bad, None), SystemTime::UNIX_EPOCH);
            assert!(matches!(outcome, Err(SendError::Permanent(_))), "{bad:?}");
        }
        let mail =
            built(&Message { subject: "a\r\nBcc: all@example.org".into(), ..message("a@b.example", None) });
        assert!(!mail.contains("\r\nBcc:"));
    }
}
