//! The public methods of the facades, from their sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{FOLDER, Unreadable};

/// A domain: the name of its attribute in every way of use, the folder of its sources, and its facade.
pub const DOMAINS: [(&str, &str, &str); 8] = [
    ("audit", "audit", "Audit"),
    ("auth", "auth", "Auth"),
    ("dead_letters", "backbone", "DeadLetters"),
    ("flags", "flags", "Flags"),
    ("gateway", "gateway", "Gateway"),
    ("notifications", "notifications", "Notifications"),
    ("transactions", "transactions", "Transactions"),
    ("users", "users", "Users"),
];

/// The public methods of all facades as `domain.method`, without those that only put the parts together.
///
/// # Errors
/// What is wrong with which file.
pub fn methods_of_facades(assembly: &BTreeSet<String>) -> Result<BTreeSet<String>, Unreadable> {
    let mut found = BTreeSet::new();
    for (domain, folder, facade) in DOMAINS {
        for path in sources(&Path::new(FOLDER).join("../platform-core/src").join(folder))? {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let names = methods(&text, facade).filter(|name| !assembly.contains(*name));
            found.extend(names.map(|name| format!("{domain}.{name}")));
        }
    }
    Ok(found)
}

/// The names of the public methods in the blocks `impl facade` of a source.
fn methods<'a>(source: &'a str, facade: &str) -> impl Iterator<Item = &'a str> {
    let blocks = [format!("impl {facade} {{"), format!("impl {facade}<'_> {{")];
    let mut is_inside = false;
    source.lines().filter_map(move |line| {
        is_inside = if is_inside { line != "}" } else { blocks.iter().any(|block| block == line) };
        let rest = line.strip_prefix("    pub ").filter(|_| is_inside)?;
        let rest = rest.strip_prefix("const ").unwrap_or(rest);
        let rest = rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ")?;
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
    })
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_methods_are_found_and_nothing_else() {
        let source = "impl Users {\n    pub async fn get(&self) {\n        pub fn inner() {}\n    }\n    fn own() {}\n    \
                      pub(super) fn shared() {}\n    pub const fn limit() {}\n}\nimpl Other {\n    pub fn not() {}\n}\n\
                      impl Users<'_> {\n    pub fn list<T>() {}\n}\n";
        assert_eq!(methods(source, "Users").collect::<Vec<_>>(), ["get", "limit", "list"]);
    }
}
