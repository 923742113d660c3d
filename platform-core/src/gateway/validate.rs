//! What a route may say: checked when it is written, so that the table always compiles.

use super::error::invalid_route;
use super::model::{Cors, FlagSwitch, Matching, RateLimit, Route, Target};
use super::pattern::{RESERVED, host_pattern, shape};
use super::upstream::UpstreamUrl;
use crate::kernel::{Result, limits};

/// Upstreams of one target.
const UPSTREAMS: usize = 64;
/// Variants that a flag switches between.
const VARIANTS: usize = 32;
/// Methods, origins or headers in one list.
const LIST: usize = 64;
/// The longest time an upstream may take, in milliseconds: ten minutes.
const TIMEOUT_MS: u32 = 600_000;
/// The largest body that a route may let through, in bytes: they stream, so it is a matter of patience.
const BODY_LIMIT_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// The largest rate and burst.
const RATE: u32 = 10_000_000;

impl Route {
    /// Checks everything that does not depend on other routes.
    ///
    /// # Errors
    /// `gateway.invalid_route` with the JSON pointer of the place.
    pub fn validate(&self) -> Result<()> {
        matching(&self.matching)?;
        target(&self.target, "/target")?;
        if let Some(rate) = &self.limit {
            limit(rate)?;
        }
        if self.timeout_ms.is_some_and(|timeout| !(1..=TIMEOUT_MS).contains(&timeout)) {
            return Err(invalid_route("/timeout_ms", "a timeout is 1 to 600,000 milliseconds"));
        }
        if self.waiting_limit == Some(0) {
            return Err(invalid_route("/waiting_limit", "at least one request may wait"));
        }
        if self.body_limit_bytes.is_some_and(|bytes| bytes > BODY_LIMIT_BYTES) {
            return Err(invalid_route("/body_limit_bytes", "a body is at most 16 GiB"));
        }
        if let Some(rules) = &self.cors {
            cors(rules)?;
        }
        if let Some(switch) = &self.flag {
            flag(switch)?;
        }
        Ok(())
    }
}

fn matching(matching: &Matching) -> Result<()> {
    if let Some(host) = &matching.host {
        host_pattern(host).map_err(|why| invalid_route("/match/host", why))?;
    }
    shape(&matching.path).map_err(|why| invalid_route("/match/path", why))?;
    let first = matching.path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if RESERVED.contains(&first) {
        return Err(invalid_route("/match/path", "this path belongs to the platform's own endpoints"));
    }
    match &matching.methods {
        None => Ok(()),
        Some(list) if list.is_empty() => {
            Err(invalid_route("/match/methods", "name a method, or leave methods out for all"))
        }
        Some(list) => methods(list, "/match/methods"),
    }
}

fn methods(list: &[String], pointer: &str) -> Result<()> {
    bounded(list, pointer)?;
    for (index, method) in list.iter().enumerate() {
        let upper = method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if method.is_empty() || method.len() > 32 || !upper || matches!(method.as_str(), "CONNECT" | "TRACE")
        {
            let why = "a method is a word in upper case, other than CONNECT and TRACE";
            return Err(invalid_route(format_args!("{pointer}/{index}"), why));
        }
        if list.iter().take(index).any(|before| before == method) {
            return Err(invalid_route(format_args!("{pointer}/{index}"), "the method is named twice"));
        }
    }
    Ok(())
}

fn target(target: &Target, pointer: &str) -> Result<()> {
    if !(1..=UPSTREAMS).contains(&target.upstreams.len()) {
        let why = "a target has 1 to 64 upstreams";
        return Err(invalid_route(format_args!("{pointer}/upstreams"), why));
    }
    for (index, url) in target.upstreams.iter().enumerate() {
        let place = format_args!("{pointer}/upstreams/{index}").to_string();
        UpstreamUrl::parse(url).map_err(|why| invalid_route(&place, why))?;
        if target.upstreams.iter().take(index).any(|before| before == url) {
            return Err(invalid_route(&place, "the upstream is named twice"));
        }
    }
    Ok(())
}

fn limit(limit: &RateLimit) -> Result<()> {
    if !(1..=RATE).contains(&limit.rate) {
        return Err(invalid_route("/limit/rate", "a rate is 1 to 10,000,000"));
    }
    if limit.burst.is_some_and(|burst| !(1..=RATE).contains(&burst)) {
        return Err(invalid_route("/limit/burst", "a burst is 1 to 10,000,000"));
    }
    Ok(())
}

fn cors(cors: &Cors) -> Result<()> {
    bounded(&cors.origins, "/cors/origins")?;
    if cors.origins.is_empty() {
        return Err(invalid_route("/cors/origins", "name an origin, or leave cors out"));
    }
    for (index, origin) in cors.origins.iter().enumerate() {
        let any = origin == "*";
        if any && cors.credentials {
            let why = "with credentials every origin has to be named";
            return Err(invalid_route(format_args!("/cors/origins/{index}"), why));
        }
        if !any && !is_origin(origin) {
            let why = "an origin is scheme://host[:port] in lower case, or *";
            return Err(invalid_route(format_args!("/cors/origins/{index}"), why));
        }
    }
    methods(&cors.methods, "/cors/methods")?;
    header_names(&cors.headers, "/cors/headers")?;
    header_names(&cors.expose, "/cors/expose")?;
    if cors.max_age_s.is_some_and(|seconds| seconds > 86_400) {
        return Err(invalid_route("/cors/max_age_s", "a preflight is remembered for a day at most"));
    }
    Ok(())
}

/// The serialisation of an origin (RFC 6454, 6.2) as browsers send it.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    matches!(scheme, "http" | "https")
        && !host.is_empty()
        && host.bytes().all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        })
}

fn header_names(list: &[String], pointer: &str) -> Result<()> {
    bounded(list, pointer)?;
    for (index, name) in list.iter().enumerate() {
        let token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if name.is_empty() || name.len() > 64 || !token {
            let why = "a header's name is letters, digits, hyphen and underscore";
            return Err(invalid_route(format_args!("{pointer}/{index}"), why));
        }
    }
    Ok(())
}

fn flag(switch: &FlagSwitch) -> Result<()> {
    if switch.key.is_empty() || switch.key.len() > limits::NAME_BYTES {
        return Err(invalid_route("/flag/key", "a flag's key is 1 to 200 bytes"));
    }
    if !(1..=VARIANTS).contains(&switch.variants.len()) {
        return Err(invalid_route("/flag/variants", "a flag switches between 1 to 32 variants"));
    }
    for (variant, to) in &switch.variants {
        target(to, &format!("/flag/variants/{}", variant.replace('~', "~0").replace('/', "~1")))?;
    }
    Ok(())
}

fn bounded<T>(list: &[T], pointer: &str) -> Result<()> {
    if list.len() > LIST {
        return Err(invalid_route(pointer, "a list has at most 64 entries"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn minimal() -> Value {
        json!({"match": {"path": "/orders/{id}"}, "access": "open", "target": {"upstreams": ["http://127.0.0.1:9000"]}})
    }

    fn refused_at(change: Value) -> String {
        let mut route = minimal();
        for (name, value) in change.as_object().unwrap() {
            route[name] = value.clone();
        }
        let route: Route = serde_json::from_value(route).unwrap();
        let error = route.validate().unwrap_err();
        assert_eq!(error.code(), "gateway.invalid_route");
        error.context().find(|(name, _)| *name == "pointer").unwrap().1.to_owned()
    }

    #[test]
    fn a_minimal_route_is_valid_and_keeps_its_form() {
        let route: Route = serde_json::from_value(minimal()).unwrap();
        route.validate().unwrap();
        assert_eq!(serde_json::to_value(&route).unwrap(), minimal());
    }

    #[test]
    fn the_place_of_a_fault_is_named() {
        let upstream = |url: &str| json!({"target": {"upstreams": ["http://a", url]}});
        for (change, pointer) in [
            (json!({"match": {"path": "/v1/users"}}), "/match/path"),
            (json!({"match": {"path": "/health"}}), "/match/path"),
            (json!({"match": {"path": "orders"}}), "/match/path"),
            (json!({"match": {"path": "/x", "host": "a:80"}}), "/match/host"),
            (json!({"match": {"path": "/x", "methods": []}}), "/match/methods"),
            (json!({"match": {"path": "/x", "methods": ["GET", "get"]}}), "/match/methods/1"),
            (json!({"match": {"path": "/x", "methods": ["GET", "GET"]}}), "/match/methods/1"),
            (json!({"match": {"path": "/x", "methods": ["TRACE"]}}), "/match/methods/0"),
            (json!({"target": {"upstreams": []}}), "/target/upstreams"),
            (upstream("ftp://b"), "/target/upstreams/1"),
            (upstream("http://user@b"), "/target/upstreams/1"),
            (upstream("http://b/?q"), "/target/upstreams/1"),
            (upstream("http://a"), "/target/upstreams/1"),
            (json!({"limit": {"per": "second", "rate": 0, "by": "address"}}), "/limit/rate"),
            (json!({"limit": {"per": "second", "rate": 1, "burst": 0, "by": "user"}}), "/limit/burst"),
            (json!({"timeout_ms": 0}), "/timeout_ms"),
            (json!({"waiting_limit": 0}), "/waiting_limit"),
            (json!({"cors": {"origins": []}}), "/cors/origins"),
            (json!({"cors": {"origins": ["https://a/"]}}), "/cors/origins/0"),
            (json!({"cors": {"origins": ["*"], "credentials": true}}), "/cors/origins/0"),
            (json!({"cors": {"origins": ["*"], "headers": ["x y"]}}), "/cors/headers/0"),
            (json!({"flag": {"key": "f", "variants": {}}}), "/flag/variants"),
            (
                json!({"flag": {"key": "f", "variants": {"a/b": {"upstreams": [""]}}}}),
                "/flag/variants/a~1b/upstreams/0",
            ),
        ] {
            assert_eq!(refused_at(change.clone()), pointer, "{change}");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let mut route = minimal();
        route["targets"] = json!({});
        assert!(serde_json::from_value::<Route>(route).is_err());
    }
}
