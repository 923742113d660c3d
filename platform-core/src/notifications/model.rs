//! What a notification is.

use serde::{Deserialize, Serialize};

use super::error;
use super::word::word;

word! {
    /// What recipients switch off as one: lower-case letters, digits, `-` and `_`, at most 64.
    Category, 64,
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte),
    error::invalid_category
}

impl Category {
    /// What concerns the safety of an account. Nobody can switch it off.
    pub fn security() -> Category {
        Category("security".to_owned())
    }

    /// What concerns an account otherwise.
    pub fn account() -> Category {
        Category("account".to_owned())
    }

    /// Whether a recipient may switch it off.
    pub fn can_be_switched_off(&self) -> bool {
        *self != Category::security()
    }
}

impl Default for Category {
    fn default() -> Category {
        Category("general".to_owned())
    }
}

/// What to do when it is not known whether a message went out: the connection broke between the end of
/// the message and the answer (RFC 1047), or the process died there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfUnknown {
    /// Send it again, under the same Message-ID: a second copy does less harm than none.
    #[default]
    Resend,
    /// Leave it as `unknown`: a second copy does harm.
    Hold,
}
