//! What this domain publishes.

use serde::{Deserialize, Serialize};

use super::model::RouteName;
use crate::kernel::EventData;

/// A route was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSet {
    /// The route.
    pub route: RouteName,
    /// Its new revision.
    pub revision: u64,
    /// The new revision of the table.
    pub table_revision: u64,
}

/// A route was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteDeleted {
    /// The route.
    pub route: RouteName,
    /// The new revision of the table.
    pub table_revision: u64,
}

impl EventData for RouteSet {
    const TYPE: &'static str = "gateway.route_set";

    fn subject(&self) -> String {
        format!("route:{}", self.route)
    }
}

impl EventData for RouteDeleted {
    const TYPE: &'static str = "gateway.route_deleted";

    fn subject(&self) -> String {
        format!("route:{}", self.route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_their_form() {
        let route: RouteName = "orders".parse().unwrap();
        let set = RouteSet { route: route.clone(), revision: 2, table_revision: 7 };
        assert_eq!(
            serde_json::to_string(&set).unwrap(),
            r#"{"route":"orders","revision":2,"table_revision":7}"#
        );
        let deleted = RouteDeleted { route, table_revision: 8 };
        assert_eq!(serde_json::to_string(&deleted).unwrap(), r#"{"route":"orders","table_revision":8}"#);
        assert_eq!(set.subject(), deleted.subject());
    }
}
