//! Flags, routes, roles, templates, preferences: each is what was answered last.

use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::{Context, Error, ErrorKind};
use platform_core::notifications::Category;

use crate::register::Register;
use crate::workload::Model;
use crate::workload::flags::{FLAGS, FlagValue, flag_key, shown};
use crate::workload::gateway::{ROUTES, route_name};
use crate::workload::people::{ROLES, role_name};
use crate::world::World;

/// Looks at all of them, as the primary node stores them.
pub(super) async fn look(world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let (platform, ctx) = (&primary.platform, Context::system());
    for flag in 0..FLAGS {
        let found = optional(platform.flags().get(&ctx, &flag_key(flag)?).await)?;
        let value = found.as_ref().map_or(FlagValue::Absent, shown);
        compare(world, "flag", flag, model.lock().flags.values.get_mut(flag), value);
    }
    for route in 0..ROUTES {
        let found = optional(platform.gateway().get(&ctx, &route_name(route)?).await)?;
        let value = found.and_then(|found| found.route.timeout_ms);
        compare(world, "route", route, model.lock().routes.timeouts.get_mut(route), value);
    }
    for role in 0..ROLES {
        let found = platform.users().role(&ctx, &role_name(role)?).await?;
        let value = !found.value.permissions.is_empty();
        compare(world, "role", role, model.lock().people.roles.get_mut(role), value);
    }
    let news = optional(platform.notifications().template(&ctx, &"news".parse()?).await)?;
    let text = news.map(|news| news.spec.parts.text).unwrap_or_default();
    compare(world, "template", 0, Some(&mut model.lock().notes.news), text);
    preferences(world, model).await
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
        compare(world, "preference", person, model.lock().notes.wants.get_mut(&person), wants);
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
) {
    let Some(register) = register else { return };
    if !register.allows(&found) {
        world.stage.violated(format!("value: {what} {number} is {found:?}, answered was {register:?}"));
    }
    register.resolve(found);
}
