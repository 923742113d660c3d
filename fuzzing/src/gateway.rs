//! Routes, their patterns, the paths of requests, upstreams.

use std::collections::BTreeMap;

use platform_core::gateway::fuzzing::{host_name, shape};
use platform_core::gateway::{
    Access, Matching, NamedRoute, RequestHead, Resolution, Route, RouteTable, Target, UpstreamUrl,
    canonical_path, is_reserved,
};

use crate::input::{refused, text};

fn named(name: &str, route: Route) -> NamedRoute {
    NamedRoute { name: name.parse().unwrap(), revision: 1, route }
}

pub(crate) fn routes(bytes: &[u8]) {
    let Ok(route) = serde_json::from_slice::<Route>(bytes) else { return };
    let written = serde_json::to_string(&route).unwrap();
    assert_eq!(serde_json::from_str::<Route>(&written).unwrap(), route, "{written}");
    if let Err(error) = route.validate() {
        return refused(&error, &["gateway.invalid_route"]);
    }
    let table = RouteTable::compile(&[named("one", route.clone())], &RouteTable::default())
        .expect("what is valid compiles");
    // A request that the route describes finds it.
    let path = example(&route.matching.path);
    let host = route.matching.host.as_deref().map(|host| host.replacen("*.", "below.", 1));
    let method = route.matching.methods.as_ref().and_then(|methods| methods.first());
    let head = RequestHead {
        method: method.map_or("GET", String::as_str),
        authority: host.as_deref(),
        path: &path,
        ..RequestHead::default()
    };
    match table.resolve(&head) {
        Resolution::Route(found) => assert_eq!(found.name().as_str(), "one"),
        other => panic!("{head:?} goes to {other:?}"),
    }
}

/// A path of a pattern, `x` in place of every parameter.
fn example(pattern: &str) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { "x".to_owned() } else { segment.to_owned() };
    pattern.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The path of a request, and patterns on the lines behind it: what the table finds is what a comparison one
/// by one finds.
pub(crate) fn route_patterns(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let mut lines = text.split('\n').take(20);
    let path = lines.next().unwrap_or_default();
    let mut patterns: BTreeMap<String, String> = BTreeMap::new();
    for line in lines {
        match shape(line) {
            Ok(canonical) => {
                assert_eq!(shape(&canonical).as_ref(), Ok(&canonical), "a shape is its own");
                patterns.insert(canonical, line.to_owned());
            }
            Err(why) => assert!(!why.is_empty()),
        }
    }
    patterns.retain(|canonical, _| !is_reserved(canonical));
    let routes: Vec<NamedRoute> = patterns
        .values()
        .zip(0..)
        .map(|(path, number)| {
            let matching = Matching { host: None, path: path.clone(), methods: None };
            let target = Target { upstreams: vec!["http://localhost:9000".to_owned()] };
            let route = Route {
                waiting_limit: None,
                matching,
                access: Access::Open,
                target,
                limit: None,
                timeout_ms: None,
                body_limit_bytes: None,
                cors: None,
                flag: None,
            };
            named(&format!("r{number}"), route)
        })
        .collect();
    let table = RouteTable::compile(&routes, &RouteTable::default()).expect("shapes that differ");
    let found = match table.resolve(&RequestHead { method: "GET", path, ..RequestHead::default() }) {
        Resolution::Route(route) => Some(route.name().as_str().to_owned()),
        Resolution::Refused(error) => {
            refused(&error, &["gateway.no_route", "gateway.ambiguous_path"]);
            if error.code() == "gateway.ambiguous_path" {
                return;
            }
            None
        }
        Resolution::Own => return assert!(is_reserved(&canonical_path(path).unwrap())),
        other => panic!("{path} goes to {other:?}"),
    };
    let path = canonical_path(path).expect("it was resolved");
    let segments: Vec<&str> = path[1..].split('/').collect();
    let best = patterns.keys().zip(0..).filter_map(|(shape, number)| Some((rank(shape, &segments)?, number)));
    let best = best.min().map(|(_, number): (_, usize)| format!("r{number}"));
    assert_eq!(found, best, "{path} among {:?}", patterns.keys());
}

/// How specific a shape is for these segments, less is more; `None` when it does not fit.
fn rank(shape: &str, segments: &[&str]) -> Option<Vec<u8>> {
    let mut rest = segments;
    let mut rank = Vec::new();
    for part in shape[1..].split('/') {
        let segment = rest.first()?;
        if part.starts_with("{*") {
            rank.push(2);
            return (!segment.is_empty()).then_some(rank);
        }
        match part.starts_with('{') {
            true if segment.is_empty() => return None,
            true => rank.push(1),
            false if part == *segment => rank.push(0),
            false => return None,
        }
        rest = &rest[1..];
    }
    rest.is_empty().then_some(rank)
}

pub(crate) fn request_path(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match canonical_path(text) {
        Ok(path) => {
            assert!(path.starts_with('/'));
            assert_eq!(canonical_path(&path).expect("a canonical path is one").as_ref(), path.as_ref());
            assert!(!path.split('/').any(|segment| segment == "." || segment == ".."));
            assert!(
                !path.contains("//") && !path.contains('\\') && !path.bytes().any(|b| b.is_ascii_control())
            );
            let upper = path.to_ascii_uppercase();
            for escaped in ["%2F", "%5C", "%2E", "%00", "%41"] {
                assert!(!upper.contains(escaped), "{path} hides something");
            }
        }
        Err(error) => refused(&error, &["gateway.ambiguous_path"]),
    }
    let host = host_name(text);
    assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
    assert!(text.to_ascii_lowercase().starts_with(host.as_ref()), "a name is the beginning of the authority");
}

pub(crate) fn upstream_url(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match UpstreamUrl::parse(text) {
        Ok(url) => {
            let written = format!("http://{}{}", url.authority(), url.base());
            assert_eq!(UpstreamUrl::parse(&written), Ok(url.clone()), "{text} as {written}");
            assert!(url.base().is_empty() || url.base().starts_with('/'));
            assert!(!url.host().contains(['@', '/', '?', '#', ' ']) && url.port() > 0);
            let uri: http::Uri = written.parse().expect("an upstream is a URI");
            assert_eq!(uri.host(), Some(url.host()));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
