//! Cross-origin decisions: the server's side of the CORS protocol (Fetch Standard, 3.2).

use super::model::Cors;

/// Headers to set on an answer.
pub type Headers = Vec<(&'static str, String)>;

/// What a browser asks before a request that is not simple.
#[derive(Debug, Clone, Copy)]
pub struct Preflight<'a> {
    /// `Origin`.
    pub origin: &'a str,
    /// `Access-Control-Request-Method`.
    pub method: &'a str,
    /// `Access-Control-Request-Headers`.
    pub headers: Option<&'a str>,
}

impl Cors {
    /// The headers of an answer to a request from `origin`. An origin that is not allowed gets only
    /// `Vary`: the browser then keeps the answer from the page.
    pub fn answer(&self, origin: Option<&str>) -> Headers {
        let mut headers = self.grant(origin);
        if headers.len() > 1 && !self.expose.is_empty() {
            headers.push(("access-control-expose-headers", self.expose.join(", ")));
        }
        headers
    }

    /// The headers of an answer to a preflight: with `access-control-allow-origin` when it is granted.
    /// `route_methods` are those of the route, granted when the rules name none.
    pub fn preflight(&self, ask: Preflight<'_>, route_methods: &[String]) -> Headers {
        let refused = || vec![("vary", VARY_PREFLIGHT.to_owned())];
        let granted_methods = if self.methods.is_empty() { route_methods } else { &self.methods };
        let simple = matches!(ask.method, "GET" | "HEAD" | "POST");
        if !simple && !granted_methods.iter().any(|method| method == ask.method) {
            return refused();
        }
        let asked = ask.headers.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let known = |name: &str| self.headers.iter().any(|header| header.eq_ignore_ascii_case(name));
        if !asked.clone().all(known) {
            return refused();
        }
        let mut headers = self.grant(Some(ask.origin));
        if headers.len() == 1 {
            return refused();
        }
        if let Some((_, vary)) = headers.first_mut() {
            VARY_PREFLIGHT.clone_into(vary);
        }
        headers.push(("access-control-allow-methods", ask.method.to_owned()));
        let allowed = asked.collect::<Vec<_>>().join(", ");
        if !allowed.is_empty() {
            headers.push(("access-control-allow-headers", allowed));
        }
        headers.push(("access-control-max-age", self.max_age_s.unwrap_or(600).to_string()));
        headers
    }

    /// `Vary`, and when the origin is allowed, what says so.
    fn grant(&self, origin: Option<&str>) -> Headers {
        let mut headers = vec![("vary", "Origin".to_owned())];
        let Some(origin) = origin else { return headers };
        let any = self.origins.iter().any(|allowed| allowed == "*");
        if !any && !self.origins.iter().any(|allowed| allowed == origin) {
            return headers;
        }
        let allowed = if any { "*" } else { origin };
        headers.push(("access-control-allow-origin", allowed.to_owned()));
        if self.credentials {
            headers.push(("access-control-allow-credentials", "true".to_owned()));
        }
        headers
    }
}

const VARY_PREFLIGHT: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Cors {
        serde_json::from_value(serde_json::json!({
            "origins": ["https://app.example"], "methods": ["PUT"], "headers": ["Content-Type"],
            "expose": ["ETag"], "credentials": true
        }))
        .unwrap()
    }

    fn has(headers: &Headers, name: &str) -> Option<String> {
        headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_named_origin_is_echoed_and_another_is_not() {
        let yes = rules().answer(Some("https://app.example"));
        assert_eq!(has(&yes, "access-control-allow-origin").unwrap(), "https://app.example");
        assert_eq!(has(&yes, "access-control-allow-credentials").unwrap(), "true");
        assert_eq!(has(&yes, "access-control-expose-headers").unwrap(), "ETag");
        for other in [Some("https://app.example.evil"), Some("null"), None] {
            assert_eq!(rules().answer(other), [("vary", "Origin".to_owned())]);
        }
    }

    #[test]
    fn a_preflight_grants_what_was_asked_or_nothing() {
        let ask = |method, headers| {
            let ask = Preflight { origin: "https://app.example", method, headers };
            rules().preflight(ask, &[])
        };
        let yes = ask("PUT", Some("content-type"));
        assert_eq!(has(&yes, "access-control-allow-methods").unwrap(), "PUT");
        assert_eq!(has(&yes, "access-control-allow-headers").unwrap(), "content-type");
        assert_eq!(has(&yes, "access-control-max-age").unwrap(), "600");
        assert!(has(&ask("POST", None), "access-control-allow-origin").is_some());
        for no in [ask("DELETE", None), ask("PUT", Some("content-type, x-secret"))] {
            assert_eq!(no, [("vary", VARY_PREFLIGHT.to_owned())]);
        }
        let foreign = Preflight { origin: "https://other", method: "PUT", headers: None };
        assert_eq!(rules().preflight(foreign, &[]), [("vary", VARY_PREFLIGHT.to_owned())]);
    }

    #[test]
    fn a_public_resource_is_granted_to_every_origin() {
        let public: Cors = serde_json::from_value(serde_json::json!({"origins": ["*"]})).unwrap();
        assert_eq!(has(&public.answer(Some("https://x")), "access-control-allow-origin").unwrap(), "*");
        let ask = Preflight { origin: "https://x", method: "DELETE", headers: None };
        assert_eq!(
            has(&public.preflight(ask, &["DELETE".to_owned()]), "access-control-allow-methods").unwrap(),
            "DELETE"
        );
    }
}
