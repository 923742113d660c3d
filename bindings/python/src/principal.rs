//! Who acts.

use platform_core::kernel::{self, Actor, Permission, Permissions};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::typed::typed;
use crate::values::{Id, Name, Set};

/// Somebody with what they may do, as it was established when it was made: by ``auth.authenticate``, or by the
/// application that has the platform in its process.
#[pyclass(frozen, module = "platform_core")]
pub(crate) struct Principal(pub(crate) kernel::Principal);

typed! { Principal => "Principal" }

impl From<kernel::Principal> for Principal {
    fn from(principal: kernel::Principal) -> Principal {
        Principal(principal)
    }
}

#[pymethods]
impl Principal {
    /// Nobody in particular, who may do nothing that is not open to everybody.
    #[staticmethod]
    fn anonymous() -> Principal {
        Principal(kernel::Principal::anonymous())
    }

    /// An application or a part of it, by name. With ``permissions`` it may do what they say and nothing else;
    /// without them, everything.
    #[staticmethod]
    #[pyo3(signature = (name, *, permissions = None))]
    fn service(name: String, permissions: Option<Set<Name<Permission>>>) -> Principal {
        Principal(service(name, permissions))
    }

    /// Who: ``user:ID``, ``service:NAME``, ``anonymous`` or ``system``.
    #[getter]
    fn actor(&self) -> String {
        self.0.actor.to_string()
    }

    /// The user, when it is one.
    #[getter]
    fn user_id(&self) -> Option<Id<kernel::UserId>> {
        match self.0.actor {
            Actor::User(user) => Some(Id(user)),
            _ => None,
        }
    }

    /// The session, when a user signed in.
    #[getter]
    fn session_id(&self) -> Option<Id<kernel::SessionId>> {
        self.0.session.map(Id)
    }

    /// What they may do; ``None``: everything.
    #[getter]
    fn permissions(&self) -> Option<Set<Name<Permission>>> {
        match &self.0.permissions {
            Permissions::All => None,
            Permissions::Only(permissions) => Some(Set(permissions.iter().cloned().map(Name).collect())),
        }
    }

    /// Whether they hold a permission.
    fn may(&self, permission: Name<Permission>) -> bool {
        self.0.permissions.contains(&permission.0)
    }

    fn __repr__(&self) -> String {
        format!("Principal(actor='{}')", self.0.actor)
    }
}

/// The service of a name.
pub(crate) fn service(name: String, permissions: Option<Set<Name<Permission>>>) -> kernel::Principal {
    let permissions = permissions.map_or(Permissions::All, |Set(names)| {
        Permissions::Only(std::sync::Arc::new(names.into_iter().map(|Name(name)| name).collect()))
    });
    kernel::Principal { actor: Actor::Service(name), session: None, permissions }
}

/// A principal, or the name of a service.
pub(crate) struct Who(pub(crate) kernel::Principal);

impl FromPyObject<'_, '_> for Who {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Who> {
        if let Ok(name) = object.cast::<PyString>() {
            return Ok(Who(service(name.to_cow()?.into_owned(), None)));
        }
        match object.cast::<Principal>() {
            Ok(principal) => Ok(Who(principal.get().0.clone())),
            Err(_) => Err(PyTypeError::new_err("expected a Principal or the name of a service")),
        }
    }
}
