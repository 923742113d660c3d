//! No decision for somebody whose right was taken away.

use std::sync::Arc;

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

/// Tries tokens at a node.
pub(super) async fn sessions(
    world: &World,
    node: &Node,
    model: &Arc<Mutex<Model>>,
    random: &mut Random,
) -> Result<(), Error> {
    for turn in 0..TRIED {
        let (at, token) = {
            let model = model.lock();
            let sessions = &model.people.sessions;
            // The last ones, and one of any age.
            let at = if turn + 1 == TRIED {
                random.index(sessions.len())
            } else {
                sessions.len().checked_sub(turn + 1)
            };
            let Some((at, session)) = at.and_then(|at| sessions.get(at).map(|session| (at, session))) else {
                return Ok(());
            };
            (at, session.token.clone())
        };
        let decision = node.platform.auth().authenticate(&token).await;
        let model = model.lock();
        let Some(session) = model.people.sessions.get(at) else { continue };
        let Some(person) = model.people.list.get(session.person) else { continue };
        match decision {
            Ok(principal) => {
                if let Some(why) = why_barred(world, node, session, person) {
                    world
                        .stage
                        .violated(format!("revoked: node {} lets {} in, {why}", node.number, person.email));
                }
                check_rights(world, node, &model, person, &principal);
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                world.stage.violated(format!("auth: nobody decides, though nothing fails: {error:?}"));
            }
            Err(error) if error.code() == "auth.session_ended" => {
                // A node that has not heard yet of a deactivation lets somebody sign in once more.
                let may_be_here = person.status.certain() == Some(&Status::Active)
                    && person.erased.certain() == Some(&false);
                if session.ended == Ended::No && person.barring == 0 && may_be_here {
                    world
                        .stage
                        .violated(format!("auth: a session of {} has ended, nobody ended it", person.email));
                }
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// Whether what was answered at this moment by that node is in force at this one.
fn is_in_force(world: &World, node: &Node, (at, by): (std::time::Duration, u32)) -> bool {
    node.number == by || world.stage.elapsed() >= at + IN_FORCE_EVERYWHERE
}

fn why_barred(world: &World, node: &Node, session: &Session, person: &Person) -> Option<&'static str> {
    if let Ended::Yes(at, by) = session.ended
        && is_in_force(world, node, (at, by))
    {
        return Some("whose session was ended");
    }
    if !is_in_force(world, node, person.changed) {
        return None;
    }
    match (person.status.certain(), person.erased.certain()) {
        (Some(Status::Deactivated), _) => Some("who was deactivated"),
        (_, Some(true)) => Some("who was erased"),
        _ => None,
    }
}

fn check_rights(world: &World, node: &Node, model: &Model, person: &Person, principal: &Principal) {
    if !is_in_force(world, node, person.changed) {
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
