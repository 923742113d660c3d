use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn named(name: &str, matching: Value) -> NamedRoute {
    let route = json!({"match": matching, "access": "open", "target": {"upstreams": ["http://a"]}});
    NamedRoute { name: name.parse().unwrap(), revision: 1, route: serde_json::from_value(route).unwrap() }
}

fn table(routes: &[(&str, Value)]) -> RouteTable {
    let routes: Vec<_> = routes.iter().map(|(name, matching)| named(name, matching.clone())).collect();
    RouteTable::compile(&routes, &RouteTable::default()).unwrap()
}

fn goes(table: &RouteTable, method: &str, authority: &str, path: &str) -> String {
    match table.resolve(&RequestHead { method, authority: Some(authority), path, ..RequestHead::default() }) {
        Resolution::Own => "own".to_owned(),
        Resolution::Route(route) => route.name().to_string(),
        Resolution::Preflight(_) => "preflight".to_owned(),
        Resolution::MethodNotAllowed(allow) => format!("405 {allow}"),
        Resolution::Refused(error) => error.code().to_owned(),
    }
}

#[test]
fn the_more_specific_host_wins_then_the_path_then_the_method() {
    let table = table(&[
        ("any", json!({"path": "/{*rest}"})),
        ("below", json!({"host": "*.example.com", "path": "/orders/{id}"})),
        ("deeper", json!({"host": "*.eu.example.com", "path": "/orders/{id}"})),
        ("exact", json!({"host": "shop.example.com", "path": "/orders/{id}"})),
        ("text", json!({"host": "shop.example.com", "path": "/orders/new"})),
        ("post", json!({"host": "shop.example.com", "path": "/orders/{key}", "methods": ["POST"]})),
    ]);
    for (method, host, path, expected) in [
        ("GET", "shop.example.com:3000", "/orders/7", "exact"),
        ("POST", "SHOP.example.com", "/orders/7", "post"),
        ("POST", "shop.example.com", "/orders/new", "text"),
        ("GET", "x.example.com", "/orders/7", "below"),
        ("GET", "a.b.eu.example.com", "/orders/7", "deeper"),
        ("GET", "example.com", "/orders/7", "any"),
        ("GET", "shop.example.com", "/other/7", "any"),
        ("GET", "shop.example.com", "/", "gateway.no_route"),
        ("GET", "shop.example.com", "/v1/users", "own"),
        ("GET", "shop.example.com", "/%76%31/users", "own"),
        ("GET", "shop.example.com", "/orders/%2e%2e/x", "gateway.ambiguous_path"),
        ("OPTIONS", "shop.example.com", "*", "own"),
    ] {
        assert_eq!(goes(&table, method, host, path), expected, "{method} {host} {path}");
    }
}

#[test]
fn a_path_without_the_method_says_which_ones_it_has() {
    let table = table(&[
        ("read", json!({"path": "/x", "methods": ["GET"]})),
        ("write", json!({"path": "/x", "methods": ["PUT", "DELETE"]})),
        ("rest", json!({"path": "/{*rest}"})),
    ]);
    assert_eq!(goes(&table, "POST", "a", "/x"), "405 DELETE, GET, PUT, HEAD");
    assert_eq!(goes(&table, "HEAD", "a", "/x"), "read");
    assert_eq!(goes(&table, "POST", "a", "/y"), "rest");
}

#[test]
fn two_routes_must_not_claim_the_same() {
    let same = [named("a", json!({"path": "/x/{a}"})), named("b", json!({"path": "/x/{b}"}))];
    let error = RouteTable::compile(&same, &RouteTable::default()).unwrap_err();
    assert_eq!((error.code(), error.context().next()), ("gateway.route_conflict", Some(("route", "a"))));
    assert_eq!(claims(&same[0].route).unwrap(), claims(&same[1].route).unwrap());
}

#[test]
fn preflights_are_answered_here_and_other_options_pass() {
    let mut route = named("api", json!({"path": "/x", "methods": ["GET", "OPTIONS"]}));
    route.route.cors = serde_json::from_value(json!({"origins": ["*"]})).unwrap();
    let table = RouteTable::compile(&[route], &RouteTable::default()).unwrap();
    let head = RequestHead {
        method: "OPTIONS",
        path: "/x",
        origin: Some("https://o"),
        requested_method: Some("GET"),
        ..RequestHead::default()
    };
    assert!(matches!(table.resolve(&head), Resolution::Preflight(headers) if headers.len() > 1));
    assert!(matches!(table.resolve(&RequestHead { requested_method: None, ..head }), Resolution::Route(_)));
}

#[test]
fn a_flag_chooses_among_targets() {
    let mut route = named("api", json!({"path": "/x"}));
    route.route.flag =
        serde_json::from_value(json!({"key": "f", "variants": {"new": {"upstreams": ["http://b"]}}}))
            .unwrap();
    let table = RouteTable::compile(&[route], &RouteTable::default()).unwrap();
    let compiled = &table.routes()[0];
    let host = |variant| compiled.pool(variant).endpoints()[0].url().host().to_owned();
    assert_eq!((host(Some("new")), host(Some("old")), host(None)), ("b".into(), "a".into(), "a".into()));
}

/// Precedence by comparing every route with the request, segment by segment.
fn model(shapes: &[String], path: &str) -> Option<String> {
    let wanted: Vec<&str> = path[1..].split('/').collect();
    let rank = |shape: &String| {
        let segments: Vec<&str> = shape[1..].split('/').collect();
        let mut rank = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            if segment.starts_with("{*") {
                let left = wanted.get(index).is_some_and(|segment| !segment.is_empty());
                return left.then(|| [rank, vec![2]].concat());
            }
            let text = *wanted.get(index)?;
            let parameter = segment.starts_with('{');
            if text.is_empty() && parameter || !parameter && text != *segment {
                return None;
            }
            rank.push(u8::from(parameter));
        }
        (segments.len() == wanted.len()).then_some(rank)
    };
    shapes.iter().filter_map(|shape| Some((rank(shape)?, shape.clone()))).min().map(|(_, shape)| shape)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn precedence_is_that_of_a_segment_by_segment_comparison(
        patterns in proptest::collection::btree_set("(/(a|b|\\{x\\})){1,3}(/\\{\\*r\\})?|/\\{\\*r\\}|/", 1..8),
        paths in proptest::collection::vec("(/(a|b|c)){1,4}/?|/", 1..8),
    ) {
        let paths_of: Vec<String> = patterns.into_iter().collect();
        let routes: Vec<_> =
            paths_of.iter().enumerate().map(|(index, path)| named(&format!("r{index}"), json!({"path": path}))).collect();
        let table = RouteTable::compile(&routes, &RouteTable::default()).unwrap();
        for path in paths {
            let expected = model(&paths_of, &path)
                .map(|shape| format!("r{}", paths_of.iter().position(|other| *other == shape).unwrap()))
                .unwrap_or_else(|| "gateway.no_route".to_owned());
            prop_assert_eq!(goes(&table, "GET", "host", &path), expected, "{} in {:?}", path, paths_of);
        }
    }
}
