//! The address of an endpoint.

/// `http://host[:port][/base]`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    host: String,
    port: u16,
    authority: String,
    base: String,
}

impl UpstreamUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(url: &str) -> Result<UpstreamUrl, &'static str> {
        const FORM: &str = "an upstream is http://host[:port][/base], without user, query and fragment";
        let rest = url.strip_prefix("http://").ok_or(FORM)?;
        let (authority, base) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && !port.contains(']') => {
                (host, port.parse().ok().filter(|port| *port > 0).ok_or(FORM)?)
            }
            _ => (authority, 80),
        };
        let base = base.trim_end_matches('/');
        let base_ok = base.bytes().all(is_path);
        let dots = base.split('/').any(|segment| matches!(segment, "." | ".."));
        if is_host(host) && url.len() <= 1_024 && base_ok && !dots && !base.contains("//") {
            let host = host.to_ascii_lowercase();
            let authority = if port == 80 { host.clone() } else { format!("{host}:{port}") };
            Ok(UpstreamUrl { host, port, authority, base: base.to_owned() })
        } else {
            Err(FORM)
        }
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `Host` says: the port only when it is not 80.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What stands before the request's path; empty, or beginning with a slash and not ending with one.
    pub fn base(&self) -> &str {
        &self.base
    }
}

/// What a path may hold as it is (RFC 3986, 3.3); escapes are not taken, since servers differ over them.
fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte)
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (url, host, port, base, authority) in [
            ("http://a", "a", 80, "", "a"),
            ("http://A.b:8080/", "a.b", 8080, "", "a.b:8080"),
            ("http://127.0.0.1:9000/api/v2/", "127.0.0.1", 9000, "/api/v2", "127.0.0.1:9000"),
            ("http://[::1]:81/x", "[::1]", 81, "/x", "[::1]:81"),
            ("http://[::1]", "[::1]", 80, "", "[::1]"),
        ] {
            let parsed = UpstreamUrl::parse(url).unwrap();
            assert_eq!((parsed.host(), parsed.port(), parsed.base()), (host, port, base), "{url}");
            assert_eq!(parsed.authority(), authority);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "a",
            "http://a/<b>",
            "http://a/b\"",
            "https://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "http://a b",
            "http://u@a",
            "http://a/?x",
            "http://a/#x",
            "http://a/../b",
            "http://a/%2e%2e",
            "http://::1",
            "http://[x]",
            "http://a..b",
            "http://a//b",
            "http:///b",
        ] {
            assert!(UpstreamUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
