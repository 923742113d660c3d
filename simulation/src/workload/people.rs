//! Users and auth: people, their passwords, sessions and roles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use platform_core::auth::{
    ChangePasswordRequest, LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest,
};
use platform_core::kernel::{
    BoxFuture, Context, Error, PageRequest, Permission, Principal, Result, Sealed, Secret, SessionId,
    Timestamp, UserId, limits,
};
use platform_core::users::{ProfilePatch, ProfileSearch, RoleDefinition, RoleName, Status};

use super::{Call, MOOT, Op, Scene, close, is_unknown};
use crate::random::Random;
use crate::register::Register;

/// Roles, each with a permission of its own.
pub const ROLES: usize = 3;
/// People at most.
const PEOPLE: usize = 24;

/// The permission of each role.
pub const PERMISSIONS: [Permission; ROLES] = [
    Permission::literal("simulation:one"),
    Permission::literal("simulation:two"),
    Permission::literal("simulation:three"),
];

/// The name of a role.
///
/// # Errors
/// None for these.
pub fn role_name(role: usize) -> Result<RoleName> {
    format!("role{role}").parse()
}

/// A person, as the clients know them.
#[derive(Debug)]
pub struct Person {
    /// The address.
    pub email: String,
    /// The id, once it was told.
    pub id: Option<UserId>,
    /// Registrations that were sent.
    pub tries: u32,
    /// Registrations on their way, or without an answer: each may still make an account.
    pub registering: u32,
    /// Whether an erasure was sent: then a registration would make another person.
    pub erasing: bool,
    /// The password.
    pub passwords: Register<String>,
    /// The name.
    pub name: Register<Option<String>>,
    /// Active or not.
    pub status: Register<Status>,
    /// Erased or not.
    pub erased: Register<bool>,
    /// Which roles are held.
    pub roles: [Register<bool>; ROLES],
    /// Changes on their way that end sessions.
    pub barring: u32,
    /// Changes so far that end sessions.
    pub barred: u32,
    /// When each node answered its last change that takes something away.
    pub changed: BTreeMap<u32, Duration>,
    /// Something sealed under the person's key.
    pub sealed: Option<Sealed>,
}

/// Whether a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Nobody ended it.
    No,
    /// It may have.
    Maybe,
    /// That was answered, at this moment by this node.
    Yes(Duration, u32),
}

/// A session, as its client knows it.
#[derive(Debug)]
pub struct Session {
    /// Whose.
    pub person: usize,
    /// Its id, once it was told.
    pub id: Option<SessionId>,
    /// The access token.
    pub token: String,
    /// When it was issued, unless the clock has jumped since: then its key may be forgotten.
    pub issued: Option<Timestamp>,
    /// The refresh token that is to be used next.
    pub refresh: Option<String>,
    /// A refresh token that was used, and when.
    pub spent: Option<(String, Timestamp)>,
    /// Whether it has ended.
    pub ended: Ended,
}

/// All people, their sessions and the roles.
#[derive(Debug)]
pub struct People {
    /// People.
    pub list: Vec<Person>,
    /// Sessions, the oldest first.
    pub sessions: Vec<Session>,
    /// Whether each role permits its permission.
    pub roles: [Register<bool>; ROLES],
    /// When each node answered its last change of a role.
    pub roles_changed: BTreeMap<u32, Duration>,
    passwords: u32,
}

impl Default for People {
    fn default() -> People {
        People {
            list: Vec::new(),
            sessions: Vec::new(),
            roles: [(); ROLES].map(|()| Register::new(true)),
            roles_changed: BTreeMap::new(),
            passwords: 0,
        }
    }
}

impl People {
    fn new_person(&mut self) -> usize {
        let number = self.list.len();
        self.list.push(Person {
            email: format!("person{number}@example.com"),
            id: None,
            tries: 0,
            registering: 0,
            erasing: false,
            passwords: Register::new(format!("the password of {number}")),
            name: Register::new(None),
            status: Register::new(Status::Active),
            erased: Register::new(false),
            roles: [(); ROLES].map(|()| Register::new(false)),
            barring: 0,
            barred: 0,
            changed: BTreeMap::new(),
            sealed: None,
        });
        number
    }

    /// Somebody who was registered.
    pub fn somebody(&self, random: &mut Random) -> Option<usize> {
        let known: Vec<usize> = (0..self.list.len())
            .filter(|person| self.list.get(*person).is_some_and(|person| person.id.is_some()))
            .collect();
        random.pick(&known).copied()
    }

    /// Chooses a command.
    pub fn plan(&mut self, random: &mut Random) -> Arc<dyn Op> {
        Arc::new(self.choose(random))
    }

    fn choose(&mut self, random: &mut Random) -> PeopleOp {
        let nobody_yet = self.list.len() < 2;
        if nobody_yet || (self.list.len() < PEOPLE && random.happens(80)) {
            return PeopleOp::Register { person: self.new_person() };
        }
        let person = random.below(self.list.len() as u64) as usize;
        // Recent sessions are more interesting.
        let back = random.below(self.sessions.len().min(12) as u64) as usize;
        let session = self.sessions.len().checked_sub(back + 1);
        match (random.below(100), session) {
            // Once erased, an address makes another person.
            (0..8, _) if self.list.get(person).is_some_and(|person| person.id.is_none()) => {
                PeopleOp::Register { person }
            }
            (8..30, _) | (_, None) => PeopleOp::Login { person, wrong: random.happens(150) },
            (30..38, Some(session)) => PeopleOp::Logout { session },
            (38..44, Some(session)) => PeopleOp::Revoke { session },
            (44..52, Some(session)) => {
                let refresh = self.sessions.get_mut(session).and_then(|session| session.refresh.take());
                refresh
                    .map_or(PeopleOp::Forbidden { session }, |refresh| PeopleOp::Refresh { session, refresh })
            }
            (52..55, Some(session)) => PeopleOp::Reuse { session },
            (55..60, Some(session)) => {
                self.passwords += 1;
                PeopleOp::ChangePassword { session, new: format!("new password number {}", self.passwords) }
            }
            (60..70, _) => PeopleOp::Rename { person, name: format!("Name {}", random.below(1000)) },
            (70..78, _) => {
                let status = if random.happens(500) { Status::Active } else { Status::Deactivated };
                PeopleOp::SetStatus { person, status }
            }
            (78..80, _) => PeopleOp::Erase { person },
            (80..90, _) => PeopleOp::SetRole {
                person,
                role: random.below(ROLES as u64) as usize,
                held: random.happens(600),
            },
            (90..93, _) => PeopleOp::DefineRole {
                role: random.below(ROLES as u64) as usize,
                defined: random.happens(700),
            },
            (93..94, _) => PeopleOp::RotateKeys,
            (94..97, _) => PeopleOp::Search { person },
            (_, Some(session)) => PeopleOp::Forbidden { session },
        }
    }

    /// Changes that end sessions of a person begin: what is open from now on is uncertain.
    fn begin_barring(&mut self, person: usize, spared: Option<usize>) -> Vec<usize> {
        let Some(one) = self.list.get_mut(person) else { return Vec::new() };
        (one.barring, one.barred) = (one.barring + 1, one.barred + 1);
        let mut hit = Vec::new();
        for (at, session) in self.sessions.iter_mut().enumerate() {
            if session.person == person && Some(at) != spared {
                session.ended = session.ended.max(Ended::Maybe);
                hit.push(at);
            }
        }
        hit
    }

    fn end_barring(&mut self, person: usize) {
        if let Some(one) = self.list.get_mut(person) {
            one.barring = one.barring.saturating_sub(1);
        }
    }

    fn end(&mut self, session: usize, ended: Ended) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.ended = session.ended.max(ended);
        }
    }
}

/// A command about people.
#[derive(Debug, Clone)]
enum PeopleOp {
    Register { person: usize },
    Login { person: usize, wrong: bool },
    Logout { session: usize },
    Revoke { session: usize },
    Refresh { session: usize, refresh: String },
    Reuse { session: usize },
    ChangePassword { session: usize, new: String },
    Rename { person: usize, name: String },
    SetStatus { person: usize, status: Status },
    Erase { person: usize },
    SetRole { person: usize, role: usize, held: bool },
    DefineRole { role: usize, defined: bool },
    RotateKeys,
    Search { person: usize },
    Forbidden { session: usize },
}

impl Op for PeopleOp {
    fn run<'a>(&'a self, scene: &'a Scene, call: &'a Call) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            match self {
                PeopleOp::Register { person } => register(scene, call, *person).await,
                PeopleOp::Login { person, wrong } => login(scene, call, *person, *wrong).await,
                PeopleOp::Logout { session } => logout(scene, call, *session).await,
                PeopleOp::Revoke { session } => revoke(scene, call, *session).await,
                PeopleOp::Refresh { session, refresh } => self::refresh(scene, call, *session, refresh).await,
                PeopleOp::Reuse { session } => reuse(scene, call, *session).await,
                PeopleOp::ChangePassword { session, new } => {
                    change_password(scene, call, *session, new).await
                }
                PeopleOp::Rename { person, name } => rename(scene, call, *person, name).await,
                PeopleOp::SetStatus { person, status } => set_status(scene, call, *person, *status).await,
                PeopleOp::Erase { person } => erase(scene, call, *person).await,
                PeopleOp::SetRole { person, role, held } => {
                    set_role(scene, call, *person, *role, *held).await
                }
                PeopleOp::DefineRole { role, defined } => define_role(scene, call, *role, *defined).await,
                PeopleOp::RotateKeys => {
                    scene.platform.auth().rotate_keys(&call.ctx).await.map(|()| String::new())
                }
                PeopleOp::Search { person } => search(scene, call, *person).await,
                PeopleOp::Forbidden { session } => forbidden(scene, call, *session).await,
            }
        })
    }

    fn takes_key(&self) -> bool {
        matches!(
            self,
            PeopleOp::Register { .. }
                | PeopleOp::Rename { .. }
                | PeopleOp::SetStatus { .. }
                | PeopleOp::SetRole { .. }
                | PeopleOp::DefineRole { .. }
        )
    }

    fn may_leave(&self) -> &'static [&'static str] {
        match self {
            // A right password completes a registration that was interrupted, whatever comes then.
            PeopleOp::Login { .. } => {
                &["auth.login_failed", "users.profile_created", "auth.account_registered"]
            }
            PeopleOp::ChangePassword { .. } => &["auth.login_failed"],
            PeopleOp::Refresh { .. } | PeopleOp::Reuse { .. } => &["auth.session_revoked"],
            _ => &[],
        }
    }
}

/// The command makes no sense yet: a refusal of the client's own.
fn nothing_to_do() -> Error {
    Error::precondition("simulation.nothing_to_do", "there is nothing to do it with")
}

/// The same request once more finds another world: its refusal says nothing.
fn moot() -> Error {
    Error::precondition(MOOT, "what the request was about is gone")
}

async fn register(scene: &Scene, call: &Call, person: usize) -> Result<String> {
    let (email, password) = {
        let mut model = scene.model.lock();
        let person = model.people.list.get_mut(person).ok_or_else(nothing_to_do)?;
        // Once erased, an address makes another person.
        if person.erasing {
            return Err(moot());
        }
        (person.tries, person.registering) = (person.tries + 1, person.registering + 1);
        let password = person.passwords.possible().next().cloned().unwrap_or_default();
        (person.email.clone(), password)
    };
    let request = RegisterRequest { email: email.parse()?, password: Secret::new(password), name: None };
    let result = scene.platform.auth().register(&call.ctx, &request).await;
    if !result.as_ref().is_err_and(|error| is_unknown(error.kind())) {
        with(scene, person, |person| person.registering -= 1);
    }
    match &result {
        Ok(registered) => {
            let id = registered.user_id;
            let keys = &scene.platform.backends().keys;
            let sealed = keys.seal_for(&id.to_string(), "simulation", b"personal").await.ok();
            let mut model = scene.model.lock();
            if let Some(person) = model.people.list.get_mut(person) {
                let former = person.id.replace(id);
                person.sealed = person.sealed.take().or(sealed);
                if former.is_some_and(|former| former != id) {
                    scene.stage.violated(format!("register: {email} has two ids"));
                }
            }
        }
        Err(error) if error.code() == "auth.email_taken" => {
            if with(scene, person, |person| person.tries) == Some(1) {
                scene.stage.violated(format!("register: {email} was taken before anybody registered it"));
            }
        }
        Err(_) => {}
    }
    result.map(|registered| registered.user_id.to_string())
}

async fn login(scene: &Scene, call: &Call, person: usize, wrong: bool) -> Result<String> {
    let (email, password, barred, sure) = {
        let model = scene.model.lock();
        let person = model.people.list.get(person).ok_or_else(nothing_to_do)?;
        let password = person.passwords.possible().last().cloned().unwrap_or_default();
        let sure = person.id.is_some() && is_welcome(person);
        (person.email.clone(), password, person.barred, sure)
    };
    let typed = if wrong { "certainly not the password".to_owned() } else { password };
    let request = LoginRequest { email: email.parse()?, password: Secret::new(typed) };
    let result = scene.platform.auth().login(&call.ctx, &request).await;
    let pair = match result {
        Ok(pair) => pair,
        Err(error) => {
            let model = scene.model.lock();
            // A password that was changed meanwhile was right only before.
            let still = model
                .people
                .list
                .get(person)
                .is_some_and(|person| is_welcome(person) && person.barred == barred);
            if sure && still && !wrong && error.code() == "auth.invalid_credentials" {
                scene.stage.violated(format!("login: {email} was refused with the right password"));
            }
            return Err(error);
        }
    };
    if wrong {
        scene.stage.violated(format!("login: {email} was let in with a wrong password"));
    }
    let principal = scene.platform.auth().authenticate(&pair.access_token).await.ok();
    let mut model = scene.model.lock();
    let people = &mut model.people;
    let Some(one) = people.list.get_mut(person) else { return Err(nothing_to_do()) };
    if let Some(Ok(id)) = principal
        .as_ref()
        .map(|principal| Context::new(principal.clone(), call.ctx.correlation_id.clone()).user())
    {
        one.id = Some(id);
    }
    let uncertain = one.barring > 0 || one.barred != barred;
    let ended = if uncertain { Ended::Maybe } else { Ended::No };
    people.sessions.push(Session {
        person,
        id: principal.and_then(|principal| principal.session),
        token: pair.access_token,
        issued: Some(scene.stage.now()),
        refresh: Some(pair.refresh_token),
        spent: None,
        ended,
    });
    Ok(String::new())
}

/// Whether a login with the password has to succeed.
fn is_welcome(person: &Person) -> bool {
    person.barring == 0
        && person.passwords.certain().is_some()
        && person.status.certain() == Some(&Status::Active)
        && person.erased.certain() == Some(&false)
}

/// Who holds the token of a session.
async fn holder(scene: &Scene, session: usize) -> Result<Principal> {
    let token = scene.model.lock().people.sessions.get(session).map(|session| session.token.clone());
    scene.platform.auth().authenticate(&token.ok_or_else(nothing_to_do)?).await
}

fn as_holder(call: &Call, principal: Principal) -> Context {
    Context { principal, ..call.ctx.clone() }
}

async fn logout(scene: &Scene, call: &Call, session: usize) -> Result<String> {
    let ctx = as_holder(call, holder(scene, session).await?);
    scene.model.lock().people.end(session, Ended::Maybe);
    scene.platform.auth().logout(&ctx, &LogoutRequest::default()).await?;
    scene.model.lock().people.end(session, Ended::Yes(scene.stage.elapsed(), scene.node));
    Ok(String::new())
}

async fn revoke(scene: &Scene, call: &Call, session: usize) -> Result<String> {
    let id = {
        let mut model = scene.model.lock();
        let id = model.people.sessions.get(session).and_then(|session| session.id);
        if id.is_some() {
            model.people.end(session, Ended::Maybe);
        }
        id.ok_or_else(nothing_to_do)?
    };
    scene.platform.auth().revoke_session(&call.ctx, id).await?;
    scene.model.lock().people.end(session, Ended::Yes(scene.stage.elapsed(), scene.node));
    Ok(String::new())
}

async fn refresh(scene: &Scene, call: &Call, session: usize, refresh: &str) -> Result<String> {
    let request = RefreshRequest { refresh_token: Secret::new(refresh) };
    let pair = scene.platform.auth().refresh(&call.ctx, &request).await?;
    let now = scene.stage.now();
    let mut model = scene.model.lock();
    if let Some(session) = model.people.sessions.get_mut(session) {
        (session.token, session.issued) = (pair.access_token, Some(now));
        session.refresh = Some(pair.refresh_token);
        session.spent = Some((refresh.to_owned(), now));
    }
    Ok(String::new())
}

async fn reuse(scene: &Scene, call: &Call, session: usize) -> Result<String> {
    let (spent, person) = {
        let mut model = scene.model.lock();
        let one = model.people.sessions.get(session).ok_or_else(nothing_to_do)?;
        let (spent, at) = one.spent.clone().ok_or_else(nothing_to_do)?;
        let person = one.person;
        if scene.stage.now().since(at) <= limits::REFRESH_REPLAY_WINDOW {
            return Err(nothing_to_do());
        }
        model.people.end(session, Ended::Maybe);
        (spent, person)
    };
    let request = RefreshRequest { refresh_token: Secret::new(spent) };
    let result = scene.platform.auth().refresh(&call.ctx, &request).await;
    let mut model = scene.model.lock();
    match &result {
        Ok(_) => scene.stage.violated("refresh: a token was exchanged a second time, long after the first"),
        Err(error) if error.code() == "auth.invalid_refresh_token" => {
            if model.people.list.get(person).is_some_and(is_welcome) {
                model.people.end(session, Ended::Yes(scene.stage.elapsed(), scene.node));
            }
        }
        Err(_) => {}
    }
    result.map(|_| String::new())
}

async fn change_password(scene: &Scene, call: &Call, session: usize, new: &str) -> Result<String> {
    let ctx = as_holder(call, holder(scene, session).await?);
    let (current, person, ticket, hit) = {
        let mut model = scene.model.lock();
        let person =
            model.people.sessions.get(session).map(|session| session.person).ok_or_else(nothing_to_do)?;
        let hit = model.people.begin_barring(person, Some(session));
        let one = model.people.list.get_mut(person).ok_or_else(nothing_to_do)?;
        let current = one.passwords.possible().last().cloned().unwrap_or_default();
        (current, person, one.passwords.begin(new.to_owned()), hit)
    };
    let request =
        ChangePasswordRequest { current_password: Secret::new(current), new_password: Secret::new(new) };
    let result = scene.platform.auth().change_password(&ctx, &request).await;
    let mut model = scene.model.lock();
    if let Some(person) = model.people.list.get_mut(person) {
        close(&mut person.passwords, ticket, &result, call);
    }
    match &result {
        Ok(()) => {
            model.people.end_barring(person);
            let ended = Ended::Yes(scene.stage.elapsed(), scene.node);
            hit.into_iter().for_each(|session| model.people.end(session, ended));
        }
        Err(error) if is_unknown(error.kind()) => model.people.end(session, Ended::Maybe),
        Err(_) => model.people.end_barring(person),
    }
    result.map(|()| String::new())
}

/// The id of a person, if it is known.
fn id_of(scene: &Scene, person: usize) -> Result<UserId> {
    scene.model.lock().people.list.get(person).and_then(|person| person.id).ok_or_else(nothing_to_do)
}

async fn rename(scene: &Scene, call: &Call, person: usize, name: &str) -> Result<String> {
    let id = id_of(scene, person)?;
    let Some(ticket) = with(scene, person, |person| person.name.begin(Some(name.to_owned()))) else {
        return Err(nothing_to_do());
    };
    let patch = ProfilePatch { name: Some(Some(name.to_owned())), ..ProfilePatch::default() };
    let result = scene.platform.users().update(&call.ctx, id, None, &patch).await;
    with(scene, person, |person| close(&mut person.name, ticket, &result, call));
    result.map(|profile| profile.value.name.unwrap_or_default())
}

async fn set_status(scene: &Scene, call: &Call, person: usize, status: Status) -> Result<String> {
    let id = id_of(scene, person)?;
    let bars = status == Status::Deactivated;
    if bars {
        scene.model.lock().people.begin_barring(person, None);
    }
    let Some(ticket) = with(scene, person, |person| person.status.begin(status)) else {
        return Err(nothing_to_do());
    };
    let patch = ProfilePatch { status: Some(status), ..ProfilePatch::default() };
    let result = scene.platform.users().update(&call.ctx, id, None, &patch).await;
    with(scene, person, |person| {
        close(&mut person.status, ticket, &result, call);
        person.changed.insert(scene.node, scene.stage.elapsed());
    });
    let is_known = result.as_ref().is_ok() || result.as_ref().is_err_and(|error| !is_unknown(error.kind()));
    if bars && is_known && !call.again {
        scene.model.lock().people.end_barring(person);
    }
    result.map(|profile| format!("{:?}", profile.value.status))
}

async fn erase(scene: &Scene, call: &Call, person: usize) -> Result<String> {
    let id = id_of(scene, person)?;
    if with(scene, person, |person| person.registering) != Some(0) {
        return Err(nothing_to_do());
    }
    with(scene, person, |person| person.erasing = true);
    scene.model.lock().people.begin_barring(person, None);
    let Some(ticket) = with(scene, person, |person| person.erased.begin(true)) else {
        return Err(nothing_to_do());
    };
    let result = scene.platform.users().erase(&call.ctx, id, None).await;
    with(scene, person, |person| {
        // A refusal says that there is nobody: a former erasure, perhaps one without an answer.
        if result.is_ok() {
            person.erased.acknowledge(ticket);
            person.changed.insert(scene.node, scene.stage.elapsed());
        }
    });
    result.map(|()| String::new())
}

async fn set_role(scene: &Scene, call: &Call, person: usize, role: usize, held: bool) -> Result<String> {
    let (id, name) = (id_of(scene, person)?, role_name(role)?);
    let begun = with(scene, person, |person| person.roles.get_mut(role).map(|role| role.begin(held)));
    let Some(ticket) = begun.flatten() else { return Err(nothing_to_do()) };
    let users = scene.platform.users();
    let result = match held {
        true => users.grant(&call.ctx, id, &name).await,
        false => users.revoke(&call.ctx, id, &name).await,
    };
    with(scene, person, |person| {
        if let Some(role) = person.roles.get_mut(role) {
            close(role, ticket, &result, call);
        }
        person.changed.insert(scene.node, scene.stage.elapsed());
    });
    result.map(|profile| profile.value.roles.contains(&name).to_string())
}

async fn define_role(scene: &Scene, call: &Call, role: usize, defined: bool) -> Result<String> {
    let name = role_name(role)?;
    let begun = scene.model.lock().people.roles.get_mut(role).map(|role| role.begin(defined));
    let Some(ticket) = begun else { return Err(nothing_to_do()) };
    let permissions: BTreeSet<Permission> =
        PERMISSIONS.get(role).filter(|_| defined).cloned().into_iter().collect();
    let definition = RoleDefinition { permissions, ..RoleDefinition::default() };
    let result = scene.platform.users().put_role(&call.ctx, &name, None, &definition).await;
    let mut model = scene.model.lock();
    if let Some(role) = model.people.roles.get_mut(role) {
        close(role, ticket, &result, call);
    }
    model.people.roles_changed.insert(scene.node, scene.stage.elapsed());
    result.map(|role| role.value.permissions.len().to_string())
}

async fn search(scene: &Scene, call: &Call, person: usize) -> Result<String> {
    let id = id_of(scene, person)?;
    let Some((email, expected)) =
        with(scene, person, |person| (person.email.clone(), person.erased.certain() == Some(&false)))
    else {
        return Err(nothing_to_do());
    };
    let wanted = ProfileSearch { email_prefix: Some(email.clone()), ..ProfileSearch::default() };
    let found = scene.platform.users().search(&call.ctx, &wanted, &PageRequest::default()).await?;
    let still = with(scene, person, |person| person.erased.certain() == Some(&false)).unwrap_or_default();
    if expected && still && !found.items.iter().any(|profile| profile.id == id) {
        scene.stage.violated(format!("search: {email} was registered and is not found"));
    }
    Ok(String::new())
}

/// What the holder of a token may not do: it is refused, and written to the audit trail.
async fn forbidden(scene: &Scene, call: &Call, session: usize) -> Result<String> {
    let ctx = as_holder(call, holder(scene, session).await?);
    let result =
        scene.platform.users().search(&ctx, &ProfileSearch::default(), &PageRequest::default()).await;
    match &result {
        Ok(_) => scene.stage.violated("rights: somebody without the permission has searched"),
        Err(error) => {
            scene.platform.audit().record_denied(&ctx, "GET /v1/users", "/v1/users", error);
            scene.stage.truth.lock().denials += 1;
        }
    }
    result.map(|_| String::new())
}

fn with<T>(scene: &Scene, person: usize, act: impl FnOnce(&mut Person) -> T) -> Option<T> {
    scene.model.lock().people.list.get_mut(person).map(act)
}
