//! Hosts and paths: what a route may say, and how a request's are compared with it.

use std::borrow::Cow;

use super::error;
use crate::kernel::Result;

/// The first segments that the platform's own endpoints have: no route may begin with one of them.
pub const RESERVED: [&str; 10] =
    ["v1", "ofrep", "scim", "oauth2", ".well-known", "livez", "readyz", "health", "metrics", "openapi.json"];

/// Bytes of a route's path.
const PATH_BYTES: usize = 1_024;
/// Parameters of a route's path.
const PARAMETERS: usize = 16;

/// Whether the platform's own endpoints answer this path.
pub fn is_reserved(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    RESERVED.contains(&first)
}

/// A path pattern in its canonical shape: parameters are numbered, so that `/a/{x}` and `/a/{y}`
/// are the same.
pub(super) fn shape(path: &str) -> Result<String, &'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err("a path begins with a slash");
    };
    if path.len() > PATH_BYTES {
        return Err("a path is at most 1,024 bytes");
    }
    let mut shape = String::with_capacity(path.len());
    let mut parameters = 0;
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        shape.push('/');
        match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            Some(inner) => {
                let (star, name) = match inner.strip_prefix('*') {
                    Some(name) => ("*", name),
                    None => ("", inner),
                };
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    return Err("a parameter is {name} of letters, digits and underscores");
                }
                if !star.is_empty() && !last {
                    return Err("{*rest} stands at the end only");
                }
                shape.push_str(&format!("{{{star}p{parameters}}}"));
                parameters += 1;
            }
            None if segment.is_empty() && !last => return Err("a path has no empty segments"),
            None if segment == "." || segment == ".." => return Err("a path has no dot segments"),
            None if !segment.bytes().all(is_literal) => {
                return Err("a segment is a text of unreserved characters (RFC 3986), or one {parameter}");
            }
            None => shape.push_str(segment),
        }
    }
    if parameters > PARAMETERS {
        return Err("a path has at most 16 parameters");
    }
    Ok(shape)
}

/// Unreserved characters and those sub-delimiters that servers do not give a meaning.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'\'' | b'(' | b')' | b'+' | b',' | b'@' | b':'
        )
}

/// A host pattern in lower case.
pub(super) fn host_pattern(host: &str) -> Result<String, &'static str> {
    let lower = host.to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(lower)
    } else {
        Err("a host is a name without port, or *. and a name")
    }
}

/// The name in a `Host` header or an `:authority`: without port and final dot, in lower case.
pub(super) fn host_name(authority: &str) -> Cow<'_, str> {
    let without_port = match authority.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    let name = without_port.strip_suffix('.').unwrap_or(without_port);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// The path of a request as it is matched: escapes of unreserved characters decoded (RFC 3986,
/// 6.2.2.2), so that `/%61dmin` cannot pass as something else than `/admin`.
///
/// # Errors
/// `gateway.ambiguous_path` for what servers read in different ways: dot segments and empty
/// segments, plain or escaped, escaped slashes, backslashes and control characters.
pub fn canonical_path(path: &str) -> Result<Cow<'_, str>> {
    let decoded = if path.contains('%') { Cow::Owned(decode_unreserved(path)?) } else { Cow::Borrowed(path) };
    let Some(rest) = decoded.strip_prefix('/') else { return Err(error::ambiguous_path()) };
    if decoded.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\') {
        return Err(error::ambiguous_path());
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let empty_inside = segment.is_empty() && segments.peek().is_some();
        if empty_inside || segment == "." || segment == ".." {
            return Err(error::ambiguous_path());
        }
    }
    Ok(decoded)
}

fn decode_unreserved(path: &str) -> Result<String> {
    let mut out = String::with_capacity(path.len());
    let mut parts = path.split('%');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (Some(hex), Some(rest)) = (part.get(..2), part.get(2..)) else {
            return Err(error::ambiguous_path());
        };
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error::ambiguous_path());
        }
        let byte = u8::from_str_radix(hex, 16).map_err(|_| error::ambiguous_path())?;
        match byte {
            b'/' | b'\\' | 0..=0x1f | 0x7f => return Err(error::ambiguous_path()),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                out.push_str(&hex.to_ascii_uppercase());
            }
        }
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_names_do_not_matter() {
        assert_eq!(shape("/a/{x}/b/{*rest}").unwrap(), "/a/{p0}/b/{*p1}");
        assert_eq!(shape("/a/{y}/b/{*more}").unwrap(), "/a/{p0}/b/{*p1}");
        assert_eq!(shape("/").unwrap(), "/");
        assert_eq!(shape("/a/").unwrap(), "/a/");
    }

    #[test]
    fn a_path_that_servers_read_in_different_ways_is_no_route() {
        for bad in [
            "", "a", "//", "/a//b", "/a/../b", "/a/.", "/{*x}/b", "/{}", "/a{x}", "/{x", "/a%20", "/{x-y}",
            "/a?b",
        ] {
            assert!(shape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn escaped_letters_are_letters() {
        assert_eq!(canonical_path("/%61dmin/%e4%20x").unwrap(), "/admin/%E4%20x");
        assert!(matches!(canonical_path("/admin/x/"), Ok(Cow::Borrowed("/admin/x/"))));
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for bad in [
            "",
            "*",
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a//b",
            "//a",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a/./b",
            "/a%é",
        ] {
            assert_eq!(canonical_path(bad).unwrap_err().code(), "gateway.ambiguous_path", "{bad}");
        }
    }

    #[test]
    fn hosts_are_compared_without_port_case_and_final_dot() {
        assert_eq!(host_name("Example.COM.:3000"), "example.com");
        assert_eq!(host_name("example.com"), "example.com");
        assert_eq!(host_name("[::1]:3000"), "[::1]");
        assert_eq!(host_pattern("*.Example.com").unwrap(), "*.example.com");
        for bad in ["", "*", "a..b", "a:80", "*.*.b", "a/b"] {
            assert!(host_pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn our_own_paths_are_reserved() {
        for own in ["/v1", "/v1/users", "/ofrep/v1/x", "/.well-known/jwks.json", "/openapi.json", "/health"] {
            assert!(is_reserved(own), "{own}");
        }
        for other in ["/", "/v10", "/v1x/users", "/x/v1", "/healthy"] {
            assert!(!is_reserved(other), "{other}");
        }
    }
}
