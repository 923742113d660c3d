//! Where the mail server is, and how it is spoken to.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use platform_core::kernel::{Error, Result, Secret};

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// `smtp://`: STARTTLS when it is offered. What is offered unprotected can be removed by whoever sits in
    /// between, so the certificate is not looked at either (RFC 7435); with credentials see [`Protection::Required`].
    Opportunistic,
    /// `smtp://…?tls=required`, or credentials for a server elsewhere: STARTTLS with a valid certificate, or
    /// nothing is sent.
    Required,
    /// `smtps://`: TLS from the first byte (RFC 8314), with a valid certificate.
    Implicit,
}

/// A parsed `smtp://[user:password@]host[:port][?tls=required]` or `smtps://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// Name or address.
    pub host: String,
    /// 25, 587 with credentials, 465 for `smtps`, unless it is given.
    pub port: u16,
    /// User and password, decoded.
    pub credentials: Option<(String, Secret)>,
    /// How the connection is protected.
    pub protection: Protection,
}

impl SmtpUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// `config.invalid_smtp_url`; it does not repeat the URL, which may hold a password.
    pub fn parse(text: &str) -> Result<SmtpUrl> {
        let invalid = |why: &'static str| {
            Error::invalid(
                "config.invalid_smtp_url",
                "the mail server is given as smtp://[user:password@]host[:port] or smtps://…",
            )
            .with("problem", why)
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("there is no ://"))?;
        let implicit = match scheme {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(invalid("the scheme is smtp or smtps")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let demanded = match query {
            "" => false,
            "tls=required" => true,
            _ => return Err(invalid("the only parameter is tls=required")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user_info, place) = match rest.rsplit_once('@') {
            Some((user_info, place)) => (Some(user_info), place),
            None => (None, rest),
        };
        let credentials = user_info
            .map(|info| {
                let (user, password) =
                    info.split_once(':').ok_or_else(|| invalid("a user has a password"))?;
                let decoded = |part| percent_decode_str(part).decode_utf8().map(String::from);
                let user = decoded(user).map_err(|_| invalid("the user is not UTF-8"))?;
                let password = decoded(password).map_err(|_| invalid("the password is not UTF-8"))?;
                if [&user, &password].iter().any(|part| part.is_empty() || part.contains('\0')) {
                    return Err(invalid("user and password are not empty"));
                }
                Ok((user, Secret::new(password)))
            })
            .transpose()?;
        let (host, port) = host_and_port(place).ok_or_else(|| invalid("the port is a number up to 65535"))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(fits) {
            return Err(invalid("the host is a name or an address"));
        }
        let protection = match (implicit, demanded || (credentials.is_some() && !is_this_machine(host))) {
            (true, _) => Protection::Implicit,
            (false, true) => Protection::Required,
            (false, false) => Protection::Opportunistic,
        };
        let usual = match (implicit, &credentials) {
            (true, _) => 465,
            (false, Some(_)) => 587,
            (false, None) => 25,
        };
        Ok(SmtpUrl { host: host.to_owned(), port: port.unwrap_or(usual), credentials, protection })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    match port {
        None => Some((host, None)),
        Some(port) => port.parse().ok().filter(|port| *port > 0).map(|port| (host, Some(port))),
    }
}

/// Between us and a server on this machine nobody listens who could not read our memory.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, u16, Option<String>, Protection) {
        let url = SmtpUrl::parse(text).unwrap();
        let credentials = url.credentials.map(|(user, password)| format!("{user} {}", password.expose()));
        (url.host, url.port, credentials, url.protection)
    }

    #[test]
    fn hosts_ports_and_credentials_are_read() {
        use Protection::{Implicit, Opportunistic, Required};
        assert_eq!(parsed("smtp://mail"), ("mail".into(), 25, None, Opportunistic));
        assert_eq!(parsed("smtp://[::1]:1025/"), ("::1".into(), 1025, None, Opportunistic));
        assert_eq!(parsed("smtp://mail?tls=required"), ("mail".into(), 25, None, Required));
        assert_eq!(parsed("smtps://mail"), ("mail".into(), 465, None, Implicit));
        let credentials = Some("ada@x p:@ss".to_owned());
        assert_eq!(parsed("smtp://ada%40x:p:%40ss@mail"), ("mail".into(), 587, credentials, Required));
    }

    #[test]
    fn credentials_go_unprotected_only_to_this_machine() {
        for (host, protection) in [
            ("127.0.0.1:25", Protection::Opportunistic),
            ("localhost", Protection::Opportunistic),
            ("10.0.0.1", Protection::Required),
        ] {
            assert_eq!(parsed(&format!("smtp://u:p@{host}")).3, protection, "{host}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_without_repeating_it() {
        for bad in [
            "mail:25",
            "http://mail",
            "smtp://",
            "smtp://mail:0",
            "smtp://mail:70000",
            "smtp://user@mail",
            "smtp://user:@mail",
            "smtp://ma il",
            "smtp://mail/path",
            "smtp://hunter2:x@mail?tls=no",
        ] {
            let error = SmtpUrl::parse(bad).unwrap_err();
            assert_eq!(error.code(), "config.invalid_smtp_url", "{bad}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
