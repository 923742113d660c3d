//! Roles, and what a set of roles permits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kernel::{Error, Permission, Permissions, Result, limits};

use super::error;

/// The name of a role: 1 to 64 of `a-z`, `0-9`, `_`, `-`, `.`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

impl RoleName {
    /// The built-in role that holds every permission.
    pub const ADMIN: &'static str = "admin";

    /// The built-in role `admin`.
    pub fn admin() -> RoleName {
        RoleName(RoleName::ADMIN.to_owned())
    }

    /// Whether this is `admin`.
    pub fn is_admin(&self) -> bool {
        self.0 == RoleName::ADMIN
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.'));
        if fits {
            Ok(RoleName(text.to_owned()))
        } else {
            Err(Error::invalid(
                "users.invalid_role_name",
                "a role's name is 1 to 64 of a-z, 0-9, '_', '-', '.', beginning with a letter",
            ))
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RoleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

crate::__text_schema! { RoleName, "1 to 64 of a-z, 0-9, `_`, `-`, `.`, beginning with a letter" }

/// What a role permits by itself, and the roles whose permissions it adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleDefinition {
    /// Permissions of its own.
    #[serde(default)]
    pub permissions: BTreeSet<Permission>,
    /// Roles that it contains.
    #[serde(default)]
    pub includes: BTreeSet<RoleName>,
}

/// Every role with the permissions that it comes to: compiled once per change, read without a lock.
#[derive(Debug, Default)]
pub struct RoleSnapshot {
    closures: BTreeMap<RoleName, Permissions>,
}

impl RoleSnapshot {
    /// Compiles definitions. `admin` is always there.
    ///
    /// # Errors
    /// `users.role_not_found` for an included role that does not exist, `users.role_cycle`,
    /// `users.role_too_deep` beyond [`limits::ROLE_DEPTH`] levels.
    pub fn compile(definitions: &BTreeMap<RoleName, RoleDefinition>) -> Result<RoleSnapshot> {
        let mut compiler = Compiler { definitions, done: BTreeMap::new(), open: Vec::new() };
        compiler.done.insert(RoleName::admin(), (Permissions::All, 1));
        for name in definitions.keys() {
            compiler.close(name)?;
        }
        Ok(RoleSnapshot {
            closures: compiler.done.into_iter().map(|(name, (closed, _))| (name, closed)).collect(),
        })
    }

    /// What a role permits; `None` when there is no such role.
    pub fn role(&self, name: &RoleName) -> Option<&Permissions> {
        self.closures.get(name)
    }

    /// What a set of roles permits. A role that does not exist permits nothing.
    pub fn permissions<'a>(&self, roles: impl IntoIterator<Item = &'a RoleName>) -> Permissions {
        let mut known = roles.into_iter().filter_map(|name| self.closures.get(name));
        let Some(first) = known.next() else { return Permissions::none() };
        known.fold(first.clone(), |held, more| union(&held, more))
    }
}

/// Whether `held` permits everything that `asked` permits.
pub fn covers(held: &Permissions, asked: &Permissions) -> bool {
    match (held, asked) {
        (Permissions::All, _) => true,
        (Permissions::Only(_), Permissions::All) => false,
        (Permissions::Only(held), Permissions::Only(asked)) => asked.is_subset(held),
    }
}

fn union(a: &Permissions, b: &Permissions) -> Permissions {
    match (a, b) {
        (Permissions::Only(a), Permissions::Only(b)) => {
            Permissions::Only(Arc::new(a.union(b).cloned().collect()))
        }
        _ => Permissions::All,
    }
}

struct Compiler<'a> {
    definitions: &'a BTreeMap<RoleName, RoleDefinition>,
    /// Closure and depth of the roles that are finished.
    done: BTreeMap<RoleName, (Permissions, usize)>,
    /// The path from the root to the role at hand: at most `ROLE_DEPTH` long, which bounds the recursion.
    open: Vec<RoleName>,
}

impl Compiler<'_> {
    fn close(&mut self, name: &RoleName) -> Result<(Permissions, usize)> {
        if let Some(done) = self.done.get(name) {
            return Ok(done.clone());
        }
        if self.open.contains(name) {
            return Err(error::role_cycle(name));
        }
        if self.open.len() >= limits::ROLE_DEPTH {
            return Err(error::role_too_deep(name));
        }
        let definition = self.definitions.get(name).ok_or_else(|| error::role_not_found(name))?;
        self.open.push(name.clone());
        let mut closure = Permissions::Only(Arc::new(definition.permissions.clone()));
        let mut depth = 1;
        for included in &definition.includes {
            let (permissions, below) = self.close(included)?;
            closure = union(&closure, &permissions);
            depth = depth.max(below + 1);
        }
        self.open.pop();
        if depth > limits::ROLE_DEPTH {
            return Err(error::role_too_deep(name));
        }
        self.done.insert(name.clone(), (closure.clone(), depth));
        Ok((closure, depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(index: usize) -> RoleName {
        format!("r{index:02}").parse().unwrap()
    }

    fn permission(index: usize) -> Permission {
        format!("thing:verb{index}").parse().unwrap()
    }

    fn chain(length: usize) -> BTreeMap<RoleName, RoleDefinition> {
        (0..length)
            .map(|at| {
                let includes = (at + 1 < length).then(|| name(at + 1)).into_iter().collect();
                (name(at), RoleDefinition { permissions: [permission(at)].into(), includes })
            })
            .collect()
    }

    #[test]
    fn sixteen_levels_are_allowed_and_seventeen_are_not() {
        let snapshot = RoleSnapshot::compile(&chain(16)).unwrap();
        assert!(snapshot.role(&name(0)).unwrap().contains(&permission(15)));
        assert!(!snapshot.role(&name(1)).unwrap().contains(&permission(0)));
        assert_eq!(RoleSnapshot::compile(&chain(17)).unwrap_err().code(), "users.role_too_deep");
    }

    #[test]
    fn depth_is_found_in_whatever_order_the_names_sort() {
        let length = 17;
        let reversed = (0..length)
            .map(|at| {
                let includes = (at > 0).then(|| name(at - 1)).into_iter().collect();
                (name(at), RoleDefinition { permissions: BTreeSet::new(), includes })
            })
            .collect();
        assert_eq!(RoleSnapshot::compile(&reversed).unwrap_err().code(), "users.role_too_deep");
    }

    #[test]
    fn a_circle_and_an_unknown_role_are_refused() {
        let mut circle = chain(3);
        circle.get_mut(&name(2)).unwrap().includes.insert(name(0));
        assert_eq!(RoleSnapshot::compile(&circle).unwrap_err().code(), "users.role_cycle");
        let mut own = chain(1);
        own.get_mut(&name(0)).unwrap().includes.insert(name(0));
        assert_eq!(RoleSnapshot::compile(&own).unwrap_err().code(), "users.role_cycle");
        let mut unknown = chain(1);
        unknown.get_mut(&name(0)).unwrap().includes.insert(name(9));
        assert_eq!(RoleSnapshot::compile(&unknown).unwrap_err().code(), "users.role_not_found");
    }

    #[test]
    fn admin_holds_everything_and_so_does_a_role_that_contains_it() {
        let mut roles = chain(1);
        roles.get_mut(&name(0)).unwrap().includes.insert(RoleName::admin());
        let snapshot = RoleSnapshot::compile(&roles).unwrap();
        assert_eq!(snapshot.permissions([&RoleName::admin()]), Permissions::All);
        assert_eq!(snapshot.permissions([&name(0)]), Permissions::All);
        assert_eq!(snapshot.permissions([]), Permissions::none());
        assert_eq!(snapshot.permissions([&name(7)]), Permissions::none());
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", "support-agent", "ledger.operator_2"] {
            assert!(good.parse::<RoleName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "2x", "-a", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(bad.parse::<RoleName>().unwrap_err().code(), "users.invalid_role_name", "{bad}");
        }
    }

    /// Everything reachable, by walking until nothing new is found; `None` on a circle.
    fn naive(
        definitions: &BTreeMap<RoleName, RoleDefinition>,
        from: &RoleName,
    ) -> Option<BTreeSet<Permission>> {
        let mut reached: BTreeSet<RoleName> = [from.clone()].into();
        loop {
            let more: BTreeSet<RoleName> =
                reached.iter().flat_map(|role| definitions[role].includes.clone()).collect();
            if more.contains(from) {
                return None;
            }
            if more.is_subset(&reached) {
                return Some(reached.iter().flat_map(|role| definitions[role].permissions.clone()).collect());
            }
            reached.extend(more);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn the_closure_is_what_a_naive_walk_finds(
            edges in proptest::collection::vec((0usize..9, 0usize..9), 0..16),
            grants in proptest::collection::vec((0usize..9, 0usize..12), 0..24),
        ) {
            let mut roles: BTreeMap<RoleName, RoleDefinition> =
                (0..9).map(|at| (name(at), RoleDefinition::default())).collect();
            for (from, to) in edges {
                roles.get_mut(&name(from)).unwrap().includes.insert(name(to));
            }
            for (role, held) in grants {
                roles.get_mut(&name(role)).unwrap().permissions.insert(permission(held));
            }
            let model: Option<Vec<_>> = roles.keys().map(|role| naive(&roles, role)).collect();
            match (RoleSnapshot::compile(&roles), model) {
                (Ok(snapshot), Some(model)) => {
                    for (role, expected) in roles.keys().zip(model) {
                        prop_assert_eq!(snapshot.role(role), Some(&Permissions::Only(Arc::new(expected))));
                    }
                }
                (Err(error), None) => prop_assert_eq!(error.code(), "users.role_cycle"),
                (got, expected) => prop_assert!(false, "{got:?} where {expected:?} was expected"),
            }
        }
    }
}
