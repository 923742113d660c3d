//! The layers, and how they are merged.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::model::Config;
use super::settings::{Kind, SETTINGS, Setting};
use super::suggest::nearest;

/// The file that is read from the working directory when no other is named.
const DEFAULT_FILE: &str = "platform.toml";
const PREFIX: &str = "PLATFORM__";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// What is to be read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// `(flag, key, value)`.
    pub flags: Vec<(String, String, String)>,
}

/// A configuration that cannot be used; the text says where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// A configuration with the origin of each value.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    values: BTreeMap<&'static str, (Value, Origin)>,
}

impl Loaded {
    /// Every setting: key, value as text (secrets are not shown), origin.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, String, &Origin)> {
        SETTINGS.iter().filter_map(|setting| {
            let (value, origin) = self.values.get(setting.key)?;
            let text = if setting.is_secret { "\"…\"".to_owned() } else { value.to_string() };
            Some((setting.key, text, origin))
        })
    }
}

/// Reads and merges all layers, and checks the result.
///
/// # Errors
/// An unreadable file, an unknown key, a value of the wrong type.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut values = defaults()?;
    if let Some(path) = file(sources) {
        from_file(&path, &mut values)?;
    }
    for (name, text) in &sources.environment {
        from_environment(name, text, &mut values)?;
    }
    for (flag, key, text) in &sources.flags {
        let origin = Origin::Flag(flag.clone());
        let setting = find(key, &origin)?;
        values.insert(setting.key, (read(setting, text, &origin)?, origin));
    }
    let config = typed(&values)?;
    Ok(Loaded { config, values })
}

fn defaults() -> Result<BTreeMap<&'static str, (Value, Origin)>, ConfigError> {
    let value = |setting| read(setting, setting.default, &Origin::Default);
    SETTINGS.iter().map(|setting| Ok((setting.key, (value(setting)?, Origin::Default)))).collect()
}

/// The settings of a file of this text, and of nothing else.
#[cfg(feature = "fuzzing")]
pub(crate) fn of_text(text: &str) -> Result<Loaded, ConfigError> {
    let mut values = defaults()?;
    from_text(Path::new(DEFAULT_FILE), text, &mut values)?;
    Ok(Loaded { config: typed(&values)?, values })
}

fn file(sources: &Sources) -> Option<PathBuf> {
    sources.file.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

fn from_file(path: &Path, values: &mut BTreeMap<&'static str, (Value, Origin)>) -> Result<(), ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
    from_text(path, &text, values)
}

fn from_text(
    path: &Path,
    text: &str,
    values: &mut BTreeMap<&'static str, (Value, Origin)>,
) -> Result<(), ConfigError> {
    let table: Table = text.parse().map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
    let origin = Origin::File(path.to_owned());
    let mut leaves = Vec::new();
    flatten("", table, &mut leaves);
    for (key, value) in leaves {
        let setting = find(&key, &origin)?;
        let fits = matches!(
            (setting.kind, &value),
            (Kind::Text, Value::String(_))
                | (Kind::Number, Value::Integer(_))
                | (Kind::Flag, Value::Boolean(_))
                | (Kind::List, Value::Array(_))
        );
        if !fits {
            return Err(ConfigError(format!("{origin}: {key} is {}", described(setting.kind))));
        }
        values.insert(setting.key, (value, origin.clone()));
    }
    Ok(())
}

fn flatten(prefix: &str, table: Table, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, leaves),
            value => leaves.push((key, value)),
        }
    }
}

fn from_environment(
    name: &str,
    text: &str,
    values: &mut BTreeMap<&'static str, (Value, Origin)>,
) -> Result<(), ConfigError> {
    let Some(path) = name.strip_prefix(PREFIX) else { return Ok(()) };
    let key = path.replace("__", ".").to_ascii_lowercase();
    let origin = Origin::Environment(name.to_owned());
    // A secret may also be given as the name of a file that holds it.
    if let Some(secret) =
        key.strip_suffix("_file").and_then(|key| SETTINGS.iter().find(|s| s.key == key && s.is_secret))
    {
        let held = std::fs::read_to_string(text)
            .map_err(|error| ConfigError(format!("{origin}: {text}: {error}")))?;
        values.insert(secret.key, (read(secret, held.trim_end(), &origin)?, origin));
        return Ok(());
    }
    let setting = find(&key, &origin)?;
    values.insert(setting.key, (read(setting, text, &origin)?, origin));
    Ok(())
}

fn find(key: &str, origin: &Origin) -> Result<&'static Setting, ConfigError> {
    SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| {
        let hint = nearest(key, SETTINGS.iter().map(|setting| setting.key))
            .map(|near| format!("; did you mean {near}?"))
            .unwrap_or_default();
        ConfigError(format!("{origin}: there is no setting {key}{hint}"))
    })
}

fn described(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a whole number",
        Kind::Flag => "true or false",
        Kind::List => "a list of texts",
    }
}

fn read(setting: &Setting, text: &str, origin: &Origin) -> Result<Value, ConfigError> {
    let wrong = || ConfigError(format!("{origin}: {} is {}", setting.key, described(setting.kind)));
    Ok(match setting.kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Number => Value::Integer(text.trim().parse().map_err(|_| wrong())?),
        Kind::Flag => Value::Boolean(text.trim().parse().map_err(|_| wrong())?),
        Kind::List => Value::Array(
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect(),
        ),
    })
}

fn typed(values: &BTreeMap<&'static str, (Value, Origin)>) -> Result<Config, ConfigError> {
    let mut root = Table::new();
    for (key, (value, _)) in values {
        let mut table = &mut root;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value.clone());
                break;
            }
            let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(inner) => table = inner,
                _ => return Err(ConfigError(format!("{key} is a section and a setting"))),
            }
        }
    }
    // The error names the key; its value may be a secret and is not repeated.
    let config: Config = root.try_into().map_err(|error: toml::de::Error| {
        let message = error.to_string();
        ConfigError(message.trim().replace('\n', " "))
    })?;
    if config.server.tls_certificates.is_some() != config.server.tls_key.is_some() {
        return Err(ConfigError("server.tls_certificates and server.tls_key belong together".to_owned()));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
        Sources {
            file: None,
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            flags: flags
                .iter()
                .map(|(k, v)| ("--set".to_owned(), (*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    fn origin(loaded: &Loaded, key: &str) -> String {
        loaded.each().find(|(known, ..)| *known == key).unwrap().2.to_string()
    }

    #[test]
    fn later_layers_win_and_each_value_knows_its_origin() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "[server]\nlisten = \"1.1.1.1:1\"\nconnections = 5\n[log]\nlevel = \"warn\"\n",
        )
        .unwrap();
        let mut sources = sources(
            &[("PLATFORM__SERVER__LISTEN", "2.2.2.2:2"), ("PLATFORM__LOG__LEVEL", "debug"), ("PATH", "/bin")],
            &[("log.level", "trace")],
        );
        sources.file = Some(file.path().to_owned());
        let loaded = load(&sources).unwrap();
        assert_eq!(loaded.config.server.connections, 5);
        assert_eq!(loaded.config.server.listen.to_string(), "2.2.2.2:2");
        assert_eq!(loaded.config.log.level, "trace");
        assert_eq!(origin(&loaded, "server.listen"), "environment PLATFORM__SERVER__LISTEN");
        assert_eq!(origin(&loaded, "log.level"), "flag --set");
        assert_eq!(origin(&loaded, "server.drain_ms"), "default");
        assert!(origin(&loaded, "server.connections").starts_with("file "));
    }

    #[test]
    fn an_unknown_key_is_an_error_with_a_suggestion() {
        let error = load(&sources(&[("PLATFORM__SERVER__LISEN", "x")], &[])).unwrap_err().to_string();
        assert!(error.contains("server.lisen") && error.contains("did you mean server.listen?"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[serve]\nlisten = \"x\"\n").unwrap();
        let error = load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }).unwrap_err();
        assert!(error.to_string().contains("did you mean server.listen?"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_that_names_it() {
        for (key, value) in [
            ("server.connections", "many"),
            ("server.connections", "-1"),
            ("server.listen", "here"),
            ("log.requests", "perhaps"),
            ("log.format", "xml"),
            ("server.trusted_proxies", "10.0.0.0/99"),
        ] {
            let error = load(&sources(&[], &[(key, value)])).unwrap_err().to_string();
            let last = key.rsplit('.').next().unwrap();
            assert!(error.contains(last), "{key}: {error}");
        }
        assert!(load(&sources(&[], &[("server.tls_key", "k.pem")])).is_err());
    }

    #[test]
    fn secrets_are_not_shown_and_may_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "smtp://u:hunter2@mail:25\n").unwrap();
        let path = file.path().to_str().unwrap();
        let loaded = load(&sources(&[("PLATFORM__NOTIFICATIONS__SMTP_URL_FILE", path)], &[])).unwrap();
        assert_eq!(loaded.config.notifications.smtp_url.expose(), "smtp://u:hunter2@mail:25");
        assert!(loaded.each().all(|(_, value, _)| !value.contains("hunter2")));
        assert!(!format!("{:?}", loaded.config).contains("hunter2"));
    }
}
