//! What this domain publishes.

use serde::{Deserialize, Serialize};

use super::model::{Change, FlagKey};
use crate::kernel::EventData;

/// A flag was changed. The definition and the reason stand in the revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlagChanged {
    /// The flag.
    pub flag: FlagKey,
    /// What was done.
    pub change: Change,
    /// The new revision of the flag.
    pub revision: u64,
    /// The new revision of the set.
    pub set_revision: u64,
    /// The revision that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
}

impl EventData for FlagChanged {
    const TYPE: &'static str = "flags.flag_changed";

    fn subject(&self) -> String {
        format!("flag:{}", self.flag)
    }
}

/// Bucketing, evaluators or metadata of the set were changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetChanged {
    /// The new revision of the set.
    pub set_revision: u64,
}

impl EventData for SetChanged {
    const TYPE: &'static str = "flags.set_changed";

    fn subject(&self) -> String {
        "flag-set:default".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_their_form() {
        let flag = "checkout".parse().unwrap();
        let changed =
            FlagChanged { flag, change: Change::Restore, revision: 3, set_revision: 9, restored: Some(1) };
        assert_eq!(
            serde_json::to_string(&changed).unwrap(),
            r#"{"flag":"checkout","change":"restore","revision":3,"set_revision":9,"restored":1}"#
        );
        assert_eq!(changed.key(), "flag:checkout");
        assert_eq!(serde_json::to_string(&SetChanged { set_revision: 2 }).unwrap(), r#"{"set_revision":2}"#);
    }
}
