//! Names of things: short ASCII texts with a rule.

/// Declares a newtype over a text that begins with a letter or digit, has at most so many bytes and
/// consists of allowed ones.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $allowed:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::kernel::Error;

            fn from_str(text: &str) -> $crate::kernel::Result<Self> {
                let allowed: fn(u8) -> bool = $allowed;
                let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
                if starts_well && text.len() <= $bytes && text.bytes().all(allowed) {
                    Ok($name(text.to_owned()))
                } else {
                    Err($error())
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::kernel::Error;

            fn try_from(text: String) -> $crate::kernel::Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        $crate::__text_schema! { $name, concat!("at most ", $bytes, " ASCII characters") }
    };
}
pub(super) use word;
