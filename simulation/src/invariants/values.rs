//! Flags, routes, roles, templates, preferences: each is what was answered last.

use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::{Context, Error, ErrorKind};
use platform_core::notifications::Category;

use crate::random::Random;
use crate::register::Register;
use crate::workload::Model;
use crate::workload::flags::{FLAGS, FlagValue, flag_key, shown};
use crate::workload::gateway::{ROUTES, route_name};
use crate::workload::people::{ROLES, role_name};
use crate::world::World;

/// Looks at all of them in peace, as the primary node stores them: from now on they are certain.
pub(super) async fn look(world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    for number in 0..FLAGS {
        flag(world, model, number, true).await?;
    }
    for number in 0..ROUTES {
        route(world, model, number, true).await?;
    }
    for number in 0..ROLES {
        role(world, model, number, true).await?;
    }
    news(world, model, true).await?;
    preferences(world, model).await
}

/// After a step, one of each kind: what was acknowledged is visible at once.
pub(super) async fn glance(
    world: &World,
    model: &Arc<Mutex<Model>>,
    random: &mut Random,
) -> Result<(), Error> {
    flag(world, model, random.below(FLAGS as u64) as usize, false).await?;
    route(world, model, random.below(ROUTES as u64) as usize, false).await?;
    role(world, model, random.below(ROLES as u64) as usize, false).await?;
    news(world, model, false).await
}

async fn flag(world: &World, model: &Arc<Mutex<Model>>, number: usize, peace: bool) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let found = optional(primary.platform.flags().get(&Context::system(), &flag_key(number)?).await)?;
    let value = found.as_ref().map_or(FlagValue::Absent, shown);
    compare(world, "flag", number, model.lock().flags.values.get_mut(number), value, peace);
    Ok(())
}

async fn route(world: &World, model: &Arc<Mutex<Model>>, number: usize, peace: bool) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let found = optional(primary.platform.gateway().get(&Context::system(), &route_name(number)?).await)?;
    let value = found.and_then(|found| found.route.timeout_ms);
    compare(world, "route", number, model.lock().routes.timeouts.get_mut(number), value, peace);
    Ok(())
}

async fn role(world: &World, model: &Arc<Mutex<Model>>, number: usize, peace: bool) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let found = primary.platform.users().role(&Context::system(), &role_name(number)?).await?;
    let value = !found.value.permissions.is_empty();
    compare(world, "role", number, model.lock().people.roles.get_mut(number), value, peace);
    Ok(())
}

async fn news(world: &World, model: &Arc<Mutex<Model>>, peace: bool) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let found = primary.platform.notifications().template(&Context::system(), &"news".parse()?).await;
    let text = optional(found)?.map(|news| news.spec.parts.text).unwrap_or_default();
    compare(world, "template", 0, Some(&mut model.lock().notes.news), text, peace);
    Ok(())
}

async fn preferences(world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let (notifications, ctx) = (primary.platform.notifications(), Context::system());
    let people: Vec<_> = {
        let model = model.lock();
        let known = model.people.list.iter().enumerate();
        // With a person the preferences go.
        let there = known.filter(|(_, person)| person.erased.certain() == Some(&false));
        there.filter_map(|(at, person)| Some((at, person.id?))).collect()
    };
    for (person, id) in people {
        let found = notifications.preferences(&ctx, id).await?;
        let wants = found.value.categories.get(&Category::default()).copied().unwrap_or(true);
        compare(world, "preference", person, model.lock().notes.wants.get_mut(&person), wants, true);
    }
    Ok(())
}

fn optional<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn compare<T: PartialEq + Clone + Debug>(
    world: &World,
    what: &str,
    number: usize,
    register: Option<&mut Register<T>>,
    found: T,
    peace: bool,
) {
    let Some(register) = register else { return };
    if !register.allows(&found) {
        world.stage.violated(format!("value: {what} {number} is {found:?}, answered was {register:?}"));
    }
    if peace {
        register.resolve(found);
    }
}
