//! No decision for somebody whose right was taken away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::kernel::{Context, Error, ErrorKind, Permissions, Principal};
use platform_core::users::Status;

use crate::faults::IN_FORCE_EVERYWHERE;
use crate::random::Random;
use crate::workload::Model;
use crate::workload::people::{Ended, PERMISSIONS, Person, Session};
use crate::world::{Node, World};

/// Tokens that are tried after each step.
const TRIED: usize = 4;
/// Tokens that are tried in peace, at every node.
const TRIED_IN_PEACE: usize = 12;

/// An access token is valid for 15 minutes, from before its client has it.
const SURELY_VALID: Duration = Duration::from_secs(14 * 60);

/// Tries tokens at a node: the last ones, and one of any age.
pub(super) async fn sessions(
    world: &World,
    node: &Node,
    model: &Arc<Mutex<Model>>,
    random: &mut Random,
) -> Result<(), Error> {
    let count = model.lock().people.sessions.len();
    let mut tried: Vec<usize> = (count.saturating_sub(TRIED - 1)..count).rev().collect();
    tried.extend(random.index(count));
    for at in tried {
        try_token(world, node, model, at, false).await;
    }
    Ok(())
}

/// In peace: every node has heard everything, and knows everybody who may come in, and what they may do.
pub(super) async fn all_nodes(world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    let count = model.lock().people.sessions.len();
    for node in &world.nodes {
        for at in count.saturating_sub(TRIED_IN_PEACE)..count {
            try_token(world, node, model, at, true).await;
        }
    }
    Ok(())
}

async fn try_token(world: &World, node: &Node, model: &Arc<Mutex<Model>>, at: usize, peace: bool) {
    let token = model.lock().people.sessions.get(at).map(|session| session.token.clone());
    let Some(token) = token else { return };
    let decision = node.platform.auth().authenticate(&token).await;
    let (model, stage) = (model.lock(), &world.stage);
    let Some(session) = model.people.sessions.get(at) else { return };
    let Some(person) = model.people.list.get(session.person) else { return };
    let (number, email) = (node.number, &person.email);
    match decision {
        Ok(principal) => {
            if let Some(why) = why_barred(world, node, session, person) {
                stage.violated(format!("revoked: node {number} lets {email} in, {why}"));
            }
            check_rights(world, node, &model, person, &principal, peace);
        }
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            stage.violated(format!("auth: nobody decides, though nothing fails: {error:?}"));
        }
        Err(error) if error.code() == "auth.session_ended" => {
            // A node that has not heard yet of a deactivation lets somebody sign in once more.
            let may_be_here =
                person.status.certain() == Some(&Status::Active) && person.erased.certain() == Some(&false);
            if session.ended == Ended::No && person.barring == 0 && may_be_here {
                stage.violated(format!("auth: a session of {email} has ended, nobody ended it"));
            }
        }
        Err(error) if error.code() == "auth.invalid_token" => {
            let is_fresh = session.issued.is_some_and(|issued| stage.now().since(issued) < SURELY_VALID);
            if peace && is_fresh {
                stage.violated(format!("auth: node {number} does not know a token of {email}"));
            }
        }
        Err(_) => {}
    }
}

/// Whether what was answered at this moment by that node is in force at this one.
fn is_in_force(world: &World, node: &Node, at: Duration, by: u32) -> bool {
    node.number == by || world.stage.elapsed() >= at + IN_FORCE_EVERYWHERE
}

/// Whether these changes are in force at this node.
fn are_in_force(world: &World, node: &Node, changed: &BTreeMap<u32, Duration>) -> bool {
    changed.iter().all(|(by, at)| is_in_force(world, node, *at, *by))
}

fn why_barred(world: &World, node: &Node, session: &Session, person: &Person) -> Option<&'static str> {
    if let Ended::Yes(at, by) = session.ended
        && is_in_force(world, node, at, by)
    {
        return Some("whose session was ended");
    }
    if !are_in_force(world, node, &person.changed) {
        return None;
    }
    match (person.status.certain(), person.erased.certain()) {
        (Some(Status::Deactivated), _) => Some("who was deactivated"),
        (_, Some(true)) => Some("who was erased"),
        _ => None,
    }
}

/// Nobody holds what was taken away; in peace everybody holds what was given, too.
fn check_rights(
    world: &World,
    node: &Node,
    model: &Model,
    person: &Person,
    principal: &Principal,
    peace: bool,
) {
    if !are_in_force(world, node, &person.changed) || !are_in_force(world, node, &model.people.roles_changed)
    {
        return;
    }
    let Permissions::Only(held) = &principal.permissions else {
        world.stage.violated(format!("revoked: {} may do everything", person.email));
        return;
    };
    for ((permission, role), defined) in PERMISSIONS.iter().zip(&person.roles).zip(&model.people.roles) {
        let never = role.certain() == Some(&false) || defined.certain() == Some(&false);
        if never && held.contains(permission) {
            world.stage.violated(format!("revoked: {} still holds {permission}", person.email));
        }
        let surely = role.certain() == Some(&true) && defined.certain() == Some(&true);
        if peace && surely && !held.contains(permission) {
            let (node, email) = (node.number, &person.email);
            world
                .stage
                .violated(format!("rights: node {node} does not know that {email} holds {permission}"));
        }
    }
}

/// In peace: every person is who they are said to be.
pub(super) async fn look(world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let (ctx, observer) = (Context::system(), world.observer().await?);
    let count = model.lock().people.list.len();
    for at in 0..count {
        let known =
            model.lock().people.list.get(at).and_then(|person| Some((person.id?, person.sealed.clone())));
        let Some((id, sealed)) = known else { continue };
        let found = match primary.platform.users().get(&ctx, id).await {
            Ok(profile) => Some(profile.value),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let opened = match &sealed {
            Some(sealed) => observer.keys.open_for(&id.to_string(), "simulation", sealed).await?.is_some(),
            None => false,
        };
        let mut model = model.lock();
        let Some(person) = model.people.list.get_mut(at) else { continue };
        person.barring = 0;
        person.registering = 0;
        if !person.erased.allows(&found.is_none()) {
            world
                .stage
                .violated(format!("users: {} erased: {:?}, found: {found:?}", person.email, person.erased));
        }
        person.erased.resolve(found.is_none());
        if found.is_none() && opened {
            world.stage.violated(format!("erased: what was sealed for {} still opens", person.email));
        }
        let Some(found) = found else { continue };
        if !person.name.allows(&found.name) || !person.status.allows(&found.status) {
            world.stage.violated(format!("users: {found:?} is not what was answered: {person:?}"));
        }
        person.name.resolve(found.name);
        person.status.resolve(found.status);
        for (number, role) in person.roles.iter_mut().enumerate() {
            let held = found.roles.iter().any(|name| name.as_str() == format!("role{number}"));
            if !role.allows(&held) {
                world
                    .stage
                    .violated(format!("users: {} role {number} is {held}, answered {role:?}", person.email));
            }
            role.resolve(held);
        }
    }
    Ok(())
}
