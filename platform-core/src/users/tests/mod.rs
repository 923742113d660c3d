//! The facade over the in-memory store.

mod erasure;
mod permissions;
mod profiles;
mod roles;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::backbone::Stopper;
use crate::kernel::{
    Actor, Context, CorrelationId, Event, EventPosition, PageRequest, Permissions, Principal, RawId, UserId,
};
use crate::ports::runtime::SimRuntime;
use crate::ports::store::flaky::FlakyStore;
use crate::ports::{Backends, MemoryBackends};

struct World {
    sim: SimRuntime,
    backends: Backends,
    db: Database,
    users: Users,
    nodes: Vec<Stopper>,
}

impl World {
    fn new() -> World {
        let sim = SimRuntime::new(1);
        let memory = MemoryBackends::new(sim.runtime());
        let (backends, db) = sim.block_on(async {
            let backends = memory.backends().await.unwrap();
            let db = Database::open(&backends, &Users::schema()).await.unwrap();
            (backends, db)
        });
        let (users, node) = start(&sim, &backends, &db);
        World { sim, backends, db, users, nodes: vec![node] }
    }

    /// One more node over the same store.
    fn another_node(&mut self) -> Users {
        let (users, node) = start(&self.sim, &self.backends, &self.db);
        self.nodes.push(node);
        users
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future)
    }

    fn add(&self, email: &str, name: Option<&str>) -> Profile {
        let new = NewProfile { id: None, email: email.parse().unwrap(), name: name.map(str::to_owned) };
        self.run(self.users.create(&system(), &new)).unwrap().value
    }

    fn role(&self, name: &str, permissions: &[&str], includes: &[&str]) -> Result<RoleView> {
        self.run(self.users.put_role(&system(), &role(name), None, &definition(permissions, includes)))
            .map(|role| role.value)
    }

    fn may(&self, user: UserId, permission: &str) -> bool {
        self.run(self.users.check(&system(), user, &permission.parse().unwrap())).unwrap()
    }

    fn events(&self) -> Vec<Event> {
        let outbox = self.run(self.db.store.outbox(EventPosition::START, 1_000)).unwrap();
        outbox.iter().map(|(_, json)| Event::from_json(json).unwrap()).collect()
    }
}

fn start(sim: &SimRuntime, backends: &Backends, db: &Database) -> (Users, Stopper) {
    sim.block_on(async {
        let users = Users::over(db.clone(), Arc::clone(&backends.signals)).await.unwrap();
        let workers = Stopper::new();
        for task in &users.parts().tasks {
            task.start(&*backends.runtime, workers.shutdown());
        }
        (users, workers)
    })
}

fn system() -> Context {
    Context::system()
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn definition(permissions: &[&str], includes: &[&str]) -> RoleDefinition {
    RoleDefinition {
        permissions: permissions.iter().map(|name| name.parse().unwrap()).collect(),
        includes: includes.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

fn signed_in(user: UserId, permissions: &[&str]) -> Context {
    let held: BTreeSet<Permission> = permissions.iter().map(|name| name.parse().unwrap()).collect();
    let principal =
        Principal { actor: Actor::User(user), session: None, permissions: Permissions::Only(Arc::new(held)) };
    Context::new(principal, CorrelationId::from_raw(RawId([0; 16])))
}

fn patch(json: serde_json::Value) -> ProfilePatch {
    serde_json::from_value(json).unwrap()
}

fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}
