//! `platform.users`.

use std::collections::BTreeSet;

use platform_core::kernel::{self, Actor, Permission, UserId};
use platform_core::ports::store::Stored;
use platform_core::users::{
    Email, NewProfile, PermissionsView, Profile as CoreProfile, ProfilePatch, ProfileSearch, RoleDefinition,
    RoleName, RoleView, Status,
};

use crate::domain::domain;
use crate::principal::Principal;
use crate::record::record;
use crate::values::Keep::{self, Unset};
use crate::values::{Id, JsonObject, Name, Set, Time, literal};

literal! {
    /// Whether a user may act.
    UserStatus: Status { Active = "active", Deactivated = "deactivated" }
}

record! {
    /// What is known of a person.
    Profile(it: Stored<CoreProfile>) {
        /// The user.
        id: Id<UserId> = Id(it.value.id);
        /// Where mail is sent; also what the user signs in with.
        email: String = it.value.email.as_str().to_owned();
        /// What the person is called.
        name: Option<String> = it.value.name.clone();
        /// Language and region (BCP 47), for example ``de-AT``.
        locale: Option<String> = it.value.locale.clone();
        /// Time zone by its IANA name, for example ``Europe/Vienna``.
        time_zone: Option<String> = it.value.time_zone.clone();
        /// What the application adds.
        attributes: JsonObject = JsonObject(it.value.attributes.clone());
        /// Whether the user may act.
        status: UserStatus = UserStatus(it.value.status);
        /// The roles that the user holds.
        roles: Set<Name<RoleName>> = Set(it.value.roles.iter().cloned().map(Name).collect());
        /// When the profile was made.
        created_at: Time = Time(it.value.created_at);
        /// When it was changed last.
        updated_at: Time = Time(it.value.updated_at);
        /// Its version, for a later change that expects it.
        version: u64 = it.version;
    }
}

record! {
    /// A role.
    Role(it: Stored<RoleView>) {
        /// Its name.
        id: Name<RoleName> = Name(it.value.id.clone());
        /// Permissions of its own.
        permissions: Set<Name<Permission>> = Set(it.value.permissions.iter().cloned().map(Name).collect());
        /// Roles that it contains.
        includes: Set<Name<RoleName>> = Set(it.value.includes.iter().cloned().map(Name).collect());
        /// Whether it is the built-in role that holds every permission.
        built_in: bool = it.value.built_in;
        /// Its version, for a later change that expects it.
        version: u64 = it.version;
    }
}

record! {
    /// A role of a list.
    RoleSummary(it: RoleView) {
        /// Its name.
        id: Name<RoleName> = Name(it.id.clone());
        /// Permissions of its own.
        permissions: Set<Name<Permission>> = Set(it.permissions.iter().cloned().map(Name).collect());
        /// Roles that it contains.
        includes: Set<Name<RoleName>> = Set(it.includes.iter().cloned().map(Name).collect());
        /// Whether it is the built-in role that holds every permission.
        built_in: bool = it.built_in;
    }
}

record! {
    /// What a user may do.
    HeldPermissions(it: PermissionsView) {
        /// Whether every permission is held.
        everything: bool = it.everything;
        /// The permissions that are held, by whatever role; empty when every one is.
        permissions: Set<Name<Permission>> = Set(it.permissions.iter().cloned().map(Name).collect());
    }
}

domain! {
    /// Profiles, search, roles and permissions.
    Users, AsyncUsers;

    /// Makes a profile (permission ``users:write``). With an ``id`` of the caller's, the same again is answered as the
    /// first time.
    ///
    /// Raises ``AlreadyExistsError`` (``users.email_taken``), ``InvalidInputError`` (``users.invalid_email``,
    /// ``users.invalid_name``).
    command create(email: Name<Email>; id: Option<Id<UserId>> = None, name: Option<String> = None) -> Profile,
    example {
        /// >>> p.users.create("grace@example.org", name="Grace").email
        /// 'grace@example.org'
    },
    |platform, context| {
        let new = NewProfile { id: id.map(|id| id.0), email: email.0, name };
        platform.users().create(&context, &new).await
    };

    /// A profile: one's own, or with the permission ``users:read``.
    ///
    /// Raises ``NotFoundError`` (``users.not_found``).
    query get(user: Id<UserId>) -> Profile,
    example {
        /// >>> p.users.get(ada.id).name
        /// 'Ada'
    },
    |platform, context| platform.users().get(&context, user.0).await;

    /// Profiles (permission ``users:read``): by address when its prefix is given, else by name when its prefix is given,
    /// else by role, else in the order in which they were made. Everything that is given has to hold.
    pages search(
        ;
        email_prefix: Option<String> = None,
        name_prefix: Option<String> = None,
        role: Option<Name<RoleName>> = None
    ) -> Profile,
    example {
        /// >>> [profile.name for profile in p.users.search(name_prefix="ad")]
        /// ['Ada']
        /// >>> p.users.search().page(limit=1).items[0].name
        /// 'Ada'
    },
    |platform, context, page| {
        let search = ProfileSearch { email_prefix, name_prefix, role: role.map(|role| role.0) };
        platform.users().search(&context, &search, &page).await
    };

    /// Changes a profile: one's own, or with the permission ``users:write``. What is not given stays, ``None`` removes;
    /// ``attributes`` are merged (RFC 7396). ``status`` is changed with ``users:write`` only. ``version`` is what the
    /// caller has read: when it is not true any more, nothing changes.
    ///
    /// Raises ``NotFoundError`` (``users.not_found``), ``FailedPreconditionError`` (``users.version_mismatch``),
    /// ``ConflictError`` (``users.last_administrator``), ``ForbiddenError`` (``users.beyond_own_permissions``),
    /// ``InvalidInputError``.
    command update(
        user: Id<UserId>;
        name: Keep<Option<String>> = Unset,
        locale: Keep<Option<String>> = Unset,
        time_zone: Keep<Option<String>> = Unset,
        attributes: Keep<Option<JsonObject>> = Unset,
        status: Option<UserStatus> = None,
        version: Option<u64> = None
    ) -> Profile,
    example {
        /// >>> p.users.update(ada.id, locale="en-GB", attributes={"team": "engines"}).attributes
        /// {'team': 'engines'}
    },
    |platform, context| {
        let patch = ProfilePatch {
            name: name.into_option(),
            locale: locale.into_option(),
            time_zone: time_zone.into_option(),
            attributes: attributes.into_option().map(|attributes| attributes.map(|object| object.0)),
            status: status.map(|status| status.0),
        };
        platform.users().update(&context, user.0, version, &patch).await
    };

    /// Erases a person: oneself, or with the permission ``users:write``. The profile is deleted and the person's key
    /// destroyed, so that what was sealed under it reads nowhere again.
    ///
    /// Raises as ``update`` does.
    command erase(user: Id<UserId>; version: Option<u64> = None) -> (),
    example {
        /// >>> p.users.erase(p.users.create("gone@example.org").id)
    },
    |platform, context| platform.users().erase(&context, user.0, version).await;

    /// What a user may do: oneself, or with the permission ``users:read``.
    ///
    /// Raises ``NotFoundError`` (``users.not_found``), also for one who is deactivated.
    recall permissions(user: Id<UserId>) -> HeldPermissions,
    example {
        /// >>> p.users.permissions(ada.id)
        /// HeldPermissions(everything=False, permissions=frozenset())
    },
    |platform, context| platform.users().permissions(&context, user.0).await;

    /// Whether a user holds a permission (oneself, or with the permission ``users:read``), from memory. Nobody, and one
    /// who is deactivated, holds none.
    recall check(user: Id<UserId>, permission: Name<Permission>) -> bool,
    example {
        /// >>> p.users.check(ada.id, "orders:read")
        /// False
    },
    |platform, context| platform.users().check(&context, user.0, &permission.0).await;

    /// An active user as a principal to act as, with what they may do at this moment; ``None`` for nobody and for one who
    /// is deactivated (permission ``users:read``). For an application that has its own way to know who is there.
    recall access(user: Id<UserId>) -> Option<Principal>,
    example {
        /// >>> p.acting_as(p.users.access(ada.id)).users.get(ada.id).name
        /// 'Ada'
    },
    |platform, context| {
        let access = platform.users().access(&context, user.0).await;
        access.map(|access| {
            let actor = Actor::User(user.0);
            access.map(|access| kernel::Principal { actor, session: None, permissions: access.permissions }.into())
        })
    };

    /// Whether there is an administrator.
    query has_administrator() -> bool,
    example {
        /// >>> p.users.has_administrator()
        /// False
    },
    |platform, _context| platform.users().has_administrator().await;

    /// Gives a role to a user (permission ``roles:write``, and everything that the role permits). Effective at once. A role
    /// that is held already stays.
    ///
    /// Raises ``NotFoundError`` (``users.not_found``, ``users.role_not_found``), ``ForbiddenError``
    /// (``users.beyond_own_permissions``).
    command grant(user: Id<UserId>, role: Name<RoleName>) -> Profile,
    example {
        /// >>> p.users.put_role("clerk", permissions=["orders:read"]).id
        /// 'clerk'
        /// >>> p.users.grant(ada.id, "clerk").roles
        /// frozenset({'clerk'})
        /// >>> p.users.check(ada.id, "orders:read")
        /// True
    },
    |platform, context| platform.users().grant(&context, user.0, &role.0).await;

    /// Makes a user the first administrator, when there is none (permission ``roles:write``, and every other).
    ///
    /// Raises ``ConflictError`` (``users.already_set_up``), ``NotFoundError`` (``users.not_found``).
    command grant_first_administrator(user: Id<UserId>) -> Profile,
    example {
        /// >>> p.users.grant_first_administrator(ada.id).roles
        /// frozenset({'admin'})
    },
    |platform, context| platform.users().grant_first_administrator(&context, user.0).await;

    /// Takes a role from a user (permission ``roles:write``, and everything that the role permits). Effective at once. A
    /// role that is not held stays away.
    ///
    /// Raises ``NotFoundError`` (``users.not_found``), ``ConflictError`` (``users.last_administrator``),
    /// ``ForbiddenError`` (``users.beyond_own_permissions``).
    command revoke(user: Id<UserId>, role: Name<RoleName>) -> Profile,
    example {
        /// >>> p.users.put_role("guest").permissions
        /// frozenset()
        /// >>> p.users.grant(ada.id, "guest").roles
        /// frozenset({'guest'})
        /// >>> p.users.revoke(ada.id, "guest").roles
        /// frozenset()
    },
    |platform, context| platform.users().revoke(&context, user.0, &role.0).await;

    /// Defines a role, or defines it anew (permission ``roles:write``, and everything that the role permits before and
    /// after). Effective at once for everybody who holds it.
    ///
    /// Raises ``ConflictError`` (``users.role_cycle``, ``users.role_built_in``), ``NotFoundError``
    /// (``users.role_not_found`` for an included role), ``FailedPreconditionError`` (``users.role_version_mismatch``),
    /// ``ForbiddenError`` (``users.beyond_own_permissions``).
    command put_role(
        name: Name<RoleName>;
        permissions: Option<Set<Name<Permission>>> = None,
        includes: Option<Set<Name<RoleName>>> = None,
        version: Option<u64> = None
    ) -> Role,
    example {
        /// >>> p.users.put_role("reader", permissions=["orders:read"]).permissions
        /// frozenset({'orders:read'})
    },
    |platform, context| {
        let definition = RoleDefinition { permissions: names(permissions), includes: names(includes) };
        platform.users().put_role(&context, &name.0, version, &definition).await
    };

    /// Deletes a role that no user holds and no role contains (permission ``roles:write``, and everything that the role
    /// permits).
    ///
    /// Raises ``NotFoundError`` (``users.role_not_found``), ``ConflictError`` (``users.role_in_use``,
    /// ``users.role_built_in``), ``ForbiddenError`` (``users.beyond_own_permissions``).
    command delete_role(name: Name<RoleName>) -> (),
    example {
        /// >>> p.users.put_role("passing").built_in
        /// False
        /// >>> p.users.delete_role("passing")
    },
    |platform, context| platform.users().delete_role(&context, &name.0).await;

    /// A role (permission ``roles:read``). ``admin`` is built in; its version is 0.
    ///
    /// Raises ``NotFoundError`` (``users.role_not_found``).
    query role(name: Name<RoleName>) -> Role,
    example {
        /// >>> p.users.role("admin").built_in
        /// True
    },
    |platform, context| platform.users().role(&context, &name.0).await;

    /// The roles in order of their names, without the built-in one (permission ``roles:read``).
    pages roles() -> RoleSummary,
    example {
        /// >>> [role.id for role in p.users.roles()]
        /// []
    },
    |platform, context, page| platform.users().roles(&context, &page).await;
}

fn names<T: Ord>(given: Option<Set<Name<T>>>) -> BTreeSet<T> {
    given.map(|names| names.0.into_iter().map(|name| name.0).collect()).unwrap_or_default()
}
