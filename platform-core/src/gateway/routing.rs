//! The table of routes, compiled: what a request is looked up in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cors::{Headers, Preflight};
use super::error;
use super::model::{Access, NamedRoute, RateLimit, Route, RouteName};
use super::pattern::{canonical_path, host_name, host_pattern, is_reserved, shape};
use super::trie::Trie;
use super::upstream::{Pool, Upstreams};
use crate::kernel::{Error, Result, limits};

/// How long an upstream may take when the route does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A route, ready for use.
#[derive(Debug)]
pub struct CompiledRoute {
    name: RouteName,
    label: Arc<str>,
    route: Route,
    pool: Arc<Pool>,
    variants: BTreeMap<String, Arc<Pool>>,
}

impl CompiledRoute {
    /// Its name.
    pub fn name(&self) -> &RouteName {
        &self.name
    }

    /// What metrics and logs call it: `gateway:NAME`.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Who may use it.
    pub fn access(&self) -> &Access {
        &self.route.access
    }

    /// How many requests it takes.
    pub fn limit(&self) -> Option<&RateLimit> {
        self.route.limit.as_ref()
    }

    /// How long its upstream may take to begin an answer.
    pub fn timeout(&self) -> Duration {
        self.route.timeout_ms.map_or(TIMEOUT, |millis| Duration::from_millis(u64::from(millis)))
    }

    /// Bytes of a request's body at most.
    pub fn body_limit_bytes(&self) -> u64 {
        self.route.body_limit_bytes.unwrap_or(limits::BODY_BYTES as u64)
    }

    /// Requests that may wait for the upstream's answer at once.
    pub fn waiting_limit(&self) -> usize {
        self.route.waiting_limit.map_or(limits::UPSTREAM_WAITING, |limit| limit as usize)
    }

    /// The flag that chooses the target.
    pub fn flag(&self) -> Option<&str> {
        self.route.flag.as_ref().map(|switch| switch.key.as_str())
    }

    /// The target for a variant of the flag; the route's own for another or none.
    pub fn pool(&self, variant: Option<&str>) -> &Arc<Pool> {
        variant.and_then(|variant| self.variants.get(variant)).unwrap_or(&self.pool)
    }

    /// The headers that the cross-origin rules add to an answer.
    pub fn cors_headers(&self, origin: Option<&str>) -> Headers {
        self.route.cors.as_ref().map(|cors| cors.answer(origin)).unwrap_or_default()
    }
}

/// What a request's head says about where it goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a str,
    /// `:authority` or `Host`.
    pub authority: Option<&'a str>,
    /// The path as it was sent, without the query.
    pub path: &'a str,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Access-Control-Request-Method`.
    pub requested_method: Option<&'a str>,
    /// `Access-Control-Request-Headers`.
    pub requested_headers: Option<&'a str>,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Resolution {
    /// To the platform's own endpoints.
    Own,
    /// To an upstream.
    Route(Arc<CompiledRoute>),
    /// A preflight, answered here with 204 and these headers.
    Preflight(Headers),
    /// To a path that has routes, none of them for this method: 405 with these in `Allow`.
    MethodNotAllowed(String),
    /// Nowhere.
    Refused(Error),
}

/// All routes. The order of precedence: the exact host, the longest `*.` host, any host; there the most
/// specific path (text before parameter before rest, segment by segment); there the named method, then
/// the route for all methods. A host or path without the method does not fall back to a less specific one.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: BTreeMap<String, Paths>,
    below: BTreeMap<String, Paths>,
    any: Paths,
    routes: Vec<Arc<CompiledRoute>>,
    upstreams: Upstreams,
}

type Paths = Trie<Methods>;

#[derive(Debug, Default)]
struct Methods {
    named: BTreeMap<String, Arc<CompiledRoute>>,
    all: Option<Arc<CompiledRoute>>,
}

impl RouteTable {
    /// Compiles routes. Endpoints and targets that `before` has too keep their health and circuit.
    ///
    /// # Errors
    /// `gateway.invalid_route`, `gateway.route_conflict`.
    pub fn compile(routes: &[NamedRoute], before: &RouteTable) -> Result<RouteTable> {
        let mut table = RouteTable::default();
        for NamedRoute { name, route, .. } in routes {
            route.validate()?;
            let compiled = table.route(name, route, before)?;
            let (host, path) = place(route)?;
            table.paths(host.as_deref()).entry(&path).add(&compiled)?;
            table.routes.push(compiled);
        }
        Ok(table)
    }

    fn route(&mut self, name: &RouteName, route: &Route, before: &RouteTable) -> Result<Arc<CompiledRoute>> {
        let mut pool = |target, pointer: &str| {
            self.upstreams.pool(target, &before.upstreams).map_err(|why| error::invalid_route(pointer, why))
        };
        let own = pool(&route.target, "/target")?;
        let mut variants = BTreeMap::new();
        for (variant, target) in route.flag.iter().flat_map(|switch| &switch.variants) {
            variants.insert(variant.clone(), pool(target, "/flag/variants")?);
        }
        let label = format!("gateway:{name}").into();
        Ok(Arc::new(CompiledRoute { name: name.clone(), label, route: route.clone(), pool: own, variants }))
    }

    fn paths(&mut self, host: Option<&str>) -> &mut Paths {
        match (host, host.and_then(|host| host.strip_prefix("*."))) {
            (_, Some(suffix)) => self.below.entry(suffix.to_owned()).or_default(),
            (Some(host), None) => self.exact.entry(host.to_owned()).or_default(),
            (None, None) => &mut self.any,
        }
    }

    /// The routes, in the order in which they were given.
    pub fn routes(&self) -> &[Arc<CompiledRoute>] {
        &self.routes
    }

    /// Where a request goes.
    pub fn resolve(&self, head: &RequestHead<'_>) -> Resolution {
        let path = match canonical_path(head.path) {
            Ok(path) => path,
            Err(_) if head.method == "OPTIONS" && head.path == "*" => return Resolution::Own,
            Err(error) => return Resolution::Refused(error),
        };
        if is_reserved(&path) {
            return Resolution::Own;
        }
        let Some(methods) = self.methods(head.authority.unwrap_or_default(), &path) else {
            return Resolution::Refused(error::no_route());
        };
        if let Some(headers) = methods.preflight(head) {
            return Resolution::Preflight(headers);
        }
        match methods.find(head.method) {
            Some(route) => Resolution::Route(Arc::clone(route)),
            None => Resolution::MethodNotAllowed(methods.allow()),
        }
    }

    fn methods(&self, authority: &str, path: &str) -> Option<&Methods> {
        let host = host_name(authority);
        if let Some(found) = self.exact.get(host.as_ref()).and_then(|paths| paths.at(path)) {
            return Some(found);
        }
        let mut rest = host.as_ref();
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(found) = self.below.get(suffix).and_then(|paths| paths.at(path)) {
                return Some(found);
            }
            rest = suffix;
        }
        self.any.at(path)
    }
}

impl Methods {
    fn add(&mut self, route: &Arc<CompiledRoute>) -> Result<()> {
        match &route.route.matching.methods {
            None => match self.all.replace(Arc::clone(route)) {
                Some(other) => Err(error::route_conflict(other.name.as_str())),
                None => Ok(()),
            },
            Some(methods) => {
                for method in methods {
                    if let Some(other) = self.named.insert(method.clone(), Arc::clone(route)) {
                        return Err(error::route_conflict(other.name.as_str()));
                    }
                }
                Ok(())
            }
        }
    }

    /// `HEAD` is answered by what answers `GET` (RFC 9110, 9.3.2).
    fn find(&self, method: &str) -> Option<&Arc<CompiledRoute>> {
        let get = || if method == "HEAD" { self.named.get("GET") } else { None };
        self.named.get(method).or_else(get).or(self.all.as_ref())
    }

    /// The answer to a preflight, when the route that it asks about has cross-origin rules.
    fn preflight(&self, head: &RequestHead<'_>) -> Option<Headers> {
        let (origin, method) = (head.origin?, head.requested_method?);
        if head.method != "OPTIONS" {
            return None;
        }
        let route = self.find(method)?;
        let cors = route.route.cors.as_ref()?;
        let granted = route.route.matching.methods.as_deref().unwrap_or_default();
        Some(cors.preflight(Preflight { origin, method, headers: head.requested_headers }, granted))
    }

    fn allow(&self) -> String {
        let mut allow: Vec<&str> = self.named.keys().map(String::as_str).collect();
        if self.named.contains_key("GET") && !self.named.contains_key("HEAD") {
            allow.push("HEAD");
        }
        allow.join(", ")
    }
}

/// Host and path in the forms that are compared.
fn place(route: &Route) -> Result<(Option<String>, String)> {
    let invalid = |pointer: &str, why| error::invalid_route(pointer, why);
    let host = match &route.matching.host {
        Some(host) => Some(host_pattern(host).map_err(|why| invalid("/match/host", why))?),
        None => None,
    };
    Ok((host, shape(&route.matching.path).map_err(|why| invalid("/match/path", why))?))
}

/// What a route claims, one text for each method: two routes must not claim the same.
pub(super) fn claims(route: &Route) -> Result<Vec<String>> {
    let (host, path) = place(route)?;
    let host = host.unwrap_or_default();
    let claim = |method: &str| format!("{method} {host}{path}");
    Ok(match &route.matching.methods {
        None => vec![claim("*")],
        Some(methods) => methods.iter().map(|method| claim(method)).collect(),
    })
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
