//! A mail as it arrived.

use base64::prelude::{BASE64_STANDARD, Engine};

/// A mail with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// What the client called itself.
    pub helo: String,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body as they came, lines ended by CR LF, dots unstuffed.
    pub content: String,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// Who had signed in.
    pub user: Option<String>,
}

impl Mail {
    /// A header's value, unfolded, with encoded words (RFC 2047) decoded; empty when it is not there.
    pub fn header(&self, name: &str) -> String {
        header(self.content.split("\r\n\r\n").next().unwrap_or_default(), name)
    }

    /// The plain text part, decoded, with plain line feeds.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The HTML part, decoded, with plain line feeds; empty when there is none.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    fn part(&self, content_type: &str) -> String {
        part(&self.content, content_type).unwrap_or_default()
    }
}

fn header(head: &str, name: &str) -> String {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let line = unfolded.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    });
    decode_words(&line.unwrap_or_default())
}

fn part(entity: &str, wanted: &str) -> Option<String> {
    let (head, body) = entity.split_once("\r\n\r\n")?;
    let content_type = header(head, "Content-Type");
    if content_type.starts_with(wanted) {
        return Some(decode(body, &header(head, "Content-Transfer-Encoding")).replace("\r\n", "\n"));
    }
    let boundary =
        content_type.split_once("boundary=")?.1.trim_matches('"').split(['"', ';']).next()?.to_owned();
    body.split(&format!("--{boundary}")).find_map(|inner| part(inner.trim_start_matches("\r\n"), wanted))
}

fn decode(body: &str, encoding: &str) -> String {
    let bytes = match encoding.to_ascii_lowercase().as_str() {
        "quoted-printable" => quoted_printable(&body.replace("=\r\n", "")),
        "base64" => {
            let text: String = body.split_whitespace().collect();
            BASE64_STANDARD.decode(text).unwrap_or_default()
        }
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let escaped =
            more.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, escaped) {
            (b'=', Some(byte)) => {
                bytes.push(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

fn decode_words(value: &str) -> String {
    let mut decoded = String::new();
    let mut rest = value;
    while let Some((before, (bytes, after))) =
        rest.split_once("=?").and_then(|(b, a)| Some((b, encoded_word(a)?)))
    {
        // Space between two encoded words belongs to neither (RFC 2047, 6.2).
        if !before.trim().is_empty() || decoded.is_empty() {
            decoded.push_str(before);
        }
        decoded.push_str(&String::from_utf8_lossy(&bytes));
        rest = after;
    }
    decoded.push_str(rest);
    decoded
}

fn encoded_word(text: &str) -> Option<(Vec<u8>, &str)> {
    let (_charset, text) = text.split_once('?')?;
    let (encoding, text) = text.split_once('?')?;
    let (word, rest) = text.split_once("?=")?;
    let bytes = match encoding {
        "b" | "B" => BASE64_STANDARD.decode(word).ok()?,
        _ => quoted_printable(&word.replace('_', " ")),
    };
    Some((bytes, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(content: &str) -> Mail {
        Mail {
            helo: String::new(),
            from: String::new(),
            to: Vec::new(),
            content: content.replace('\n', "\r\n"),
            encrypted: false,
            user: None,
        }
    }

    #[test]
    fn headers_are_unfolded_and_decoded() {
        let mail = mail("Subject: =?utf-8?b?R3LDvMOf?=\n =?utf-8?q?e_an?= Ada\nX: 1\n\nbody");
        assert_eq!(mail.header("subject"), "Grüße an Ada");
        assert_eq!(mail.header("missing"), "");
    }

    #[test]
    fn parts_are_found_and_decoded() {
        let mail = mail(
            "Content-Type: multipart/alternative; boundary=\"b\"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=\n=C3=9Fe\n--b\nContent-Type: text/html\n\
             Content-Transfer-Encoding: base64\n\nPGI+\n--b--\n",
        );
        assert_eq!(mail.text(), "Grüße\n");
        assert_eq!(mail.html(), "<b>");
    }
}
