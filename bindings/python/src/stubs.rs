//! The type stubs, from the same tables that make the classes.

use std::fmt::Write;

use crate::values::IDS;

/// A class.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    pub(crate) fields: Vec<Field>,
    pub(crate) methods: Vec<Method>,
    /// Of a record, which has what every record has: its constructor, if any.
    pub(crate) record: Option<String>,
}

/// A field of a record.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) hint: String,
    pub(crate) doc: &'static [&'static str],
}

/// A method of a domain.
#[derive(Clone)]
pub(crate) struct Method {
    /// The first word of its entry.
    pub(crate) kind: &'static str,
    /// It is one of the asynchronous class.
    pub(crate) is_awaited: bool,
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    pub(crate) example: &'static [&'static str],
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) returns: String,
}

/// An argument; a keyword when it has a default.
#[derive(Clone)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) hint: String,
    pub(crate) default: Option<&'static str>,
}

impl Class {
    /// The two classes of a domain.
    pub(crate) fn domain(
        name: &'static str,
        awaited: &'static str,
        doc: &'static [&'static str],
        methods: Vec<Method>,
    ) -> [Class; 2] {
        let class = |name, methods| Class { name, doc, fields: Vec::new(), methods, record: None };
        let asynchronous =
            methods.iter().map(|method| Method { is_awaited: true, example: &[], ..method.clone() });
        let asynchronous = asynchronous.collect();
        [class(name, methods), class(awaited, asynchronous)]
    }

    fn write(&self, out: &mut String) {
        line(out, 0, "@final");
        line(out, 0, &format!("class {}:", self.name));
        docstring(out, 1, self.doc, &[]);
        for field in &self.fields {
            line(out, 1, "@property");
            line(out, 1, &format!("def {}(self) -> {}:", field.name, field.hint));
            docstring(out, 2, field.doc, &[]);
        }
        let hides_list = self.methods.iter().any(|method| method.name == "list");
        for method in &self.methods {
            let mut method = method.clone();
            if hides_list {
                method.returns = method.returns.replace("list[", "builtins.list[");
            }
            method.write(out);
        }
        if let Some(constructor) = &self.record {
            if !constructor.is_empty() {
                line(out, 1, constructor);
            }
            let names: Vec<String> =
                self.fields.iter().map(|field| format!("Literal[\"{}\"]", field.name)).collect();
            line(out, 1, &format!("__match_args__: ClassVar[tuple[{}]]", names.join(", ")));
            line(out, 1, "def to_dict(self) -> dict[str, Any]: ...");
            line(out, 1, "def __eq__(self, value: object, /) -> bool: ...");
            line(out, 1, "def __hash__(self) -> int: ...");
        }
    }
}

impl Method {
    fn write(&self, out: &mut String) {
        let mut parameters = vec!["self".to_owned()];
        let is_keyword = |parameter: &&Parameter| parameter.default.is_some();
        let plain = self.parameters.iter().filter(|parameter| !is_keyword(parameter));
        parameters.extend(plain.map(|parameter| format!("{}: {}", parameter.name, parameter.hint)));
        let mut keywords: Vec<String> = self
            .parameters
            .iter()
            .filter(is_keyword)
            .map(|word| {
                format!("{}: {} = {}", word.name, word.hint, python(word.default.unwrap_or_default()))
            })
            .collect();
        if self.kind == "command" {
            keywords.push("idempotency_key: str | None = None".to_owned());
        }
        if !keywords.is_empty() {
            parameters.push("*".to_owned());
            parameters.extend(keywords);
        }
        let (define, returns) = match (self.kind, self.is_awaited) {
            ("pages", false) => ("def", format!("Pages[{}]", self.returns)),
            ("pages", true) => ("def", format!("AsyncPages[{}]", self.returns)),
            ("memory", _) | (_, false) => ("def", self.returns.clone()),
            (_, true) => ("async def", self.returns.clone()),
        };
        let one = format!("{define} {}({}) -> {returns}:", self.name, parameters.join(", "));
        if one.len() <= 106 {
            line(out, 1, &one);
        } else {
            line(out, 1, &format!("{define} {}(", self.name));
            for parameter in &parameters {
                line(out, 2, &format!("{parameter},"));
            }
            line(out, 1, &format!(") -> {returns}:"));
        }
        docstring(out, 2, self.doc, self.example);
    }
}

/// The whole file: what is written by hand, with the ids and the attributes of the platforms, and the tables.
pub(crate) fn stubs(
    written: &str,
    domains: &[(&str, &'static str, &'static str, &str)],
    classes: &[Class],
) -> String {
    let attributes = |choose: fn(&(&str, &'static str, &'static str, &str)) -> &'static str| {
        let mut out = String::new();
        for domain in domains {
            line(&mut out, 1, "@property");
            line(&mut out, 1, &format!("def {}(self) -> {}:", domain.0, choose(domain)));
            line(&mut out, 2, &format!("\"\"\"{}\"\"\"", domain.3));
        }
        out.trim_end().to_owned()
    };
    let mut body = written
        .replace("{domains}", &attributes(|domain| domain.1))
        .replace("{async_domains}", &attributes(|domain| domain.2));
    for class in classes {
        body.push('\n');
        class.write(&mut body);
    }
    let mut out =
        "# Made from the tables in bindings/python/src by `cargo xtask python stubs`: not to be edited.\n\n"
            .to_owned();
    if uses(&body, "builtins") {
        out.push_str("import builtins\n");
    }
    for (module, names) in IMPORTS.iter().chain([&("platform_core._ids", IDS)]) {
        let used: Vec<&str> = names.iter().copied().filter(|name| uses(&body, name)).collect();
        line(&mut out, 0, &format!("from {module} import {}", used.join(", ")));
    }
    out.push('\n');
    out.push_str(body.trim_end());
    out.push('\n');
    out
}

/// What the types of the stubs come from.
const IMPORTS: &[(&str, &[&str])] = &[
    (
        "collections.abc",
        &["AsyncIterator", "Collection", "Generator", "Iterable", "Iterator", "Mapping", "Sequence"],
    ),
    ("datetime", &["datetime"]),
    ("decimal", &["Decimal"]),
    ("os", &["PathLike"]),
    ("types", &["GenericAlias", "TracebackType"]),
    ("typing", &["Any", "ClassVar", "Generic", "Literal", "Protocol", "TypeVar", "final"]),
];

/// Whether a name occurs as a word.
fn uses(body: &str, name: &str) -> bool {
    body.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

fn line(out: &mut String, depth: usize, text: &str) {
    // Writing to a text never fails.
    let _ = writeln!(out, "{:width$}{text}", "", width = depth * 4);
}

fn docstring(out: &mut String, depth: usize, doc: &[&str], example: &[&str]) {
    let mut lines: Vec<&str> = doc.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    if !example.is_empty() {
        lines.push("");
        lines.extend(example.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)));
    }
    let text = lines.join("\n").replace('\\', "\\\\");
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    if rest.is_empty() {
        return line(out, depth, &format!("\"\"\"{first}\"\"\""));
    }
    line(out, depth, &format!("\"\"\"{first}"));
    for text in rest {
        if text.is_empty() {
            out.push('\n');
        } else {
            line(out, depth, text);
        }
    }
    line(out, depth, "\"\"\"");
}

/// A default of Rust as Python has it.
fn python(default: &str) -> &str {
    match default {
        "None" => "None",
        "true" => "True",
        "false" => "False",
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => "...",
    }
}
