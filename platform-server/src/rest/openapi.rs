//! The OpenAPI 3.1 document, generated from the table of endpoints.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::{Access, Endpoint, Problem};

/// What an endpoint takes and gives.
#[derive(Debug, Clone)]
pub struct Operation {
    parameter_names: Vec<&'static str>,
    parameters: Vec<Value>,
    body: Option<Value>,
    reply: (u16, Option<(&'static str, Value)>),
    schemas: Vec<(String, Value)>,
}

impl Operation {
    /// Nothing yet, at a path.
    pub(crate) fn new(path: &'static str) -> Operation {
        let parameter_names =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(bare).collect();
        Operation {
            parameter_names,
            parameters: Vec::new(),
            body: None,
            reply: (200, None),
            schemas: Vec::new(),
        }
    }

    /// Whether it takes a body.
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    pub(crate) fn path_parameter<T: ToSchema>(&mut self, index: usize) {
        let schema = self.schema::<T>();
        let name = self.parameter_names.get(index).copied().unwrap_or("missing");
        self.parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }

    pub(crate) fn query_parameters<T: ToSchema>(&mut self) {
        self.register::<T>();
        let schema = value_of(&T::schema());
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_required = required.iter().any(|one| one == name);
            self.parameters
                .push(json!({"name": name, "in": "query", "required": is_required, "schema": property}));
        }
    }

    pub(crate) fn header_parameter(&mut self, name: &str, description: &str) {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": {"type": "string"}
        }));
    }

    pub(crate) fn body<T: ToSchema>(&mut self) {
        self.body = Some(self.schema::<T>());
    }

    pub(crate) fn reply<T: ToSchema>(&mut self, status: u16, content_type: &'static str) {
        self.reply = (status, Some((content_type, self.schema::<T>())));
    }

    pub(crate) fn empty_reply(&mut self, status: u16) {
        self.reply = (status, None);
    }

    /// A schema, by reference when it has a name of its own.
    fn schema<T: ToSchema>(&mut self) -> Value {
        let schema = value_of(&T::schema());
        let is_named = ["properties", "oneOf", "allOf"].iter().any(|word| schema.get(word).is_some());
        self.register::<T>();
        if is_named {
            let name = name_of::<T>();
            self.schemas.push((name.clone(), schema));
            json!({"$ref": format!("#/components/schemas/{name}")})
        } else {
            schema
        }
    }

    fn register<T: ToSchema>(&mut self) {
        let mut found = Vec::new();
        T::schemas(&mut found);
        self.schemas.extend(found.into_iter().map(|(name, schema)| (name, value_of(&schema))));
    }

    fn render(&self, endpoint: &Endpoint) -> Value {
        let mut parameters = self.parameters.clone();
        if endpoint.is_idempotent {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "repeating a request with its key repeats its answer and not its effect",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255}
            }));
        }
        parameters.push(json!({"$ref": "#/components/parameters/ConsistencyToken"}));
        let mut reply = match &self.reply.1 {
            Some((content_type, schema)) => {
                json!({"description": "done", "content": {*content_type: {"schema": schema}}})
            }
            None => json!({"description": "done"}),
        };
        if let (Value::Object(reply), false) = (&mut reply, endpoint.method == http::Method::GET) {
            let token = json!({"$ref": "#/components/headers/ConsistencyToken"});
            reply.insert("headers".to_owned(), json!({"Consistency-Token": token}));
        }
        let mut operation = Map::new();
        let mut put = |name: &str, value: Value| operation.insert(name.to_owned(), value);
        put("summary", json!(endpoint.summary));
        put("operationId", json!(operation_id(endpoint)));
        put("tags", json!([tag(endpoint.path)]));
        put("parameters", json!(parameters));
        put(
            "responses",
            json!({self.reply.0.to_string(): reply, "default": {"$ref": "#/components/responses/Problem"}}),
        );
        match &endpoint.access {
            Access::Open => put("security", json!([])),
            _ => put("security", json!([{"bearer": []}])),
        };
        if let Access::Permission(permission) = &endpoint.access {
            put("x-permission", json!(permission));
        }
        if let Some(schema) = &self.body {
            put("requestBody", json!({"content": {"application/json": {"schema": schema}}}));
        }
        Value::Object(operation)
    }
}

/// The document over all endpoints.
pub fn document(endpoints: &[Endpoint]) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    schemas.insert("Problem".to_owned(), value_of(&Problem::schema()));
    for endpoint in endpoints {
        let described = endpoint.operation();
        let operation = described.render(endpoint);
        paths
            .entry(endpoint.path.replace("{*", "{"))
            .or_default()
            .insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
        schemas.extend(described.schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "platform",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Gateway, sign-in, users, ledger, notifications, audit and flags.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Problem": {
                "description": "a problem (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            }},
            "parameters": {"ConsistencyToken": {
                "name": "Consistency-Token", "in": "header", "required": false,
                "description": "begins when everything has happened that followed from the requests whose answers had these tokens (several with commas between); 503 `positions.not_reached` when that takes more than five seconds",
                "schema": {"type": "string"}
            }},
            "headers": {"ConsistencyToken": {
                "description": "opaque: sent with a later request, that one sees what this one has done, everywhere; absent when nothing was written",
                "schema": {"type": "string"}
            }},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        }
    })
}

/// `get_v1_users_id`: unique, because method and path are.
fn operation_id(endpoint: &Endpoint) -> String {
    let path: String =
        endpoint.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!(
        "{}{}",
        endpoint.method.as_str().to_ascii_lowercase(),
        path.replace("__", "_").trim_end_matches('_')
    )
}

/// The name of a parameter without the star of one that takes the rest of a path.
fn bare(name: &str) -> &str {
    name.trim_start_matches('*')
}

/// The first word of the path behind `/v1`.
fn tag(path: &str) -> &str {
    path.split('/').find(|part| !matches!(*part, "" | "v1")).unwrap_or("platform")
}

/// The name of a schema; a generic type's arguments belong to it.
fn name_of<T: ToSchema>() -> String {
    T::name().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn value_of(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_resolves_and_no_name_means_two_things() {
        let endpoints = crate::rest::table();
        let document = document(&endpoints);
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|inner| references(inner, found));
                }
                Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let mut seen: BTreeMap<String, Value> = BTreeMap::new();
        for (name, schema) in endpoints.iter().flat_map(|endpoint| endpoint.operation().schemas) {
            let before = seen.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two schemas are called {name}");
        }
    }

    #[test]
    fn every_parameter_of_a_path_is_described_and_every_operation_is_unique() {
        let mut ids = std::collections::BTreeSet::new();
        for endpoint in crate::rest::table() {
            let described = endpoint.operation();
            let operation = described.render(&endpoint);
            let parameters = described.parameters.iter().filter(|one| one["in"] == "path").count();
            assert_eq!(parameters, described.parameter_names.len(), "{}", endpoint.path);
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{}", endpoint.path);
        }
    }
}
