//! Notifications: messages with and without deadline, to users and addresses, templates, preferences.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform_core::kernel::{BoxFuture, Error, NotificationId, Result};
use platform_core::notifications::{Category, PreferencesView, SendRequest, TemplateName, TemplateSpec};

use super::{Call, Model, Op, Scene, close, is_unknown};
use crate::random::Random;
use crate::register::Register;

/// What is known of a message.
#[derive(Debug, Default)]
pub struct Sent {
    /// Its id, once it was told.
    pub id: Option<NotificationId>,
    /// It was refused: it never goes out.
    pub refused: bool,
}

/// Messages, preferences, templates.
#[derive(Debug)]
pub struct Notes {
    /// Messages by the tag in their subject.
    pub sent: BTreeMap<String, Sent>,
    /// Whether each person wants the category `general`.
    pub wants: BTreeMap<usize, Register<bool>>,
    /// The text of the template `news`.
    pub news: Register<String>,
    tags: u64,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes { sent: BTreeMap::new(), wants: BTreeMap::new(), news: Register::new(String::new()), tags: 0 }
    }
}

/// The templates that every run begins with: what is resent, and what is held, when nobody knows
/// whether it went out.
///
/// # Errors
/// None for these.
pub fn templates() -> Result<[(TemplateName, TemplateSpec); 2]> {
    let spec = |if_unknown: &str| {
        let json = serde_json::json!({
            "subject": "tag {{ tag }}", "text": "hello", "if_unknown": if_unknown, "category": "security",
        });
        serde_json::from_value::<TemplateSpec>(json).map_err(|error| {
            Error::internal("simulation.template", "a template does not read").because(error)
        })
    };
    Ok([("note".parse()?, spec("resend")?), ("held".parse()?, spec("hold")?)])
}

/// Chooses a command.
pub fn plan(model: &mut Model, random: &mut Random) -> Arc<dyn Op> {
    let somebody = model.people.somebody(random);
    let notes = &mut model.notes;
    match random.below(100) {
        0..10 => Arc::new(NotesOp::News { text: format!("news {}", random.below(1000)) }),
        10..25 if somebody.is_some() => {
            Arc::new(NotesOp::Prefer { person: somebody.unwrap_or_default(), wants: random.happens(500) })
        }
        _ => {
            notes.tags += 1;
            let wait = random.happens(200).then(|| Duration::from_secs(random.within(1, 60)));
            Arc::new(NotesOp::Send {
                tag: format!("t{}", notes.tags),
                person: somebody.filter(|_| random.happens(400)),
                held: random.happens(300),
                wait,
                deadline: random
                    .happens(400)
                    .then(|| wait.unwrap_or_default() + Duration::from_millis(random.within(1, 20_000))),
            })
        }
    }
}

/// A command about notifications.
#[derive(Debug, Clone)]
enum NotesOp {
    Send {
        tag: String,
        person: Option<usize>,
        held: bool,
        wait: Option<Duration>,
        deadline: Option<Duration>,
    },
    Prefer {
        person: usize,
        wants: bool,
    },
    News {
        text: String,
    },
}

impl Op for NotesOp {
    fn run<'a>(&'a self, scene: &'a Scene, call: &'a Call) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            match self {
                NotesOp::Send { .. } => self.send(scene, call).await,
                NotesOp::Prefer { person, wants } => prefer(scene, call, *person, *wants).await,
                NotesOp::News { text } => news(scene, call, text).await,
            }
        })
    }

    fn takes_key(&self) -> bool {
        true
    }
}

impl NotesOp {
    async fn send(&self, scene: &Scene, call: &Call) -> Result<String> {
        let NotesOp::Send { tag, person, held, wait, deadline } = self else { return Ok(String::new()) };
        let user_id =
            person.and_then(|person| scene.model.lock().people.list.get(person).and_then(|person| person.id));
        let request = {
            let mut truth = scene.stage.truth.lock();
            let now = scene.stage.now();
            // The same request once more has the same times.
            let deadline = deadline
                .map(|deadline| *truth.deadlines.entry(tag.clone()).or_insert_with(|| now.plus(deadline)));
            let send_at =
                wait.map(|wait| *truth.send_at.entry(tag.clone()).or_insert_with(|| now.plus(wait)));
            if *held {
                truth.hold.insert(tag.clone());
            }
            SendRequest {
                user_id,
                to: user_id.is_none().then(|| "somebody@example.com".to_owned()),
                channel: "email".to_owned(),
                template: if *held { "held" } else { "note" }.parse()?,
                data: [("tag".to_owned(), tag.as_str().into())].into(),
                locale: None,
                send_at,
                deadline,
            }
        };
        scene.model.lock().notes.sent.entry(tag.clone()).or_default();
        let result = scene.platform.notifications().send(&call.ctx, request).await;
        let mut model = scene.model.lock();
        if let Some(sent) = model.notes.sent.get_mut(tag) {
            match &result {
                Ok(view) => {
                    if sent.id.replace(view.id).is_some_and(|before| before != view.id) {
                        scene.stage.violated(format!("notifications: {tag} was accepted twice"));
                    }
                }
                Err(error) if is_unknown(error.kind()) || call.again => {}
                Err(_) => sent.refused = true,
            }
        }
        result.map(|view| view.id.to_string())
    }
}

async fn prefer(scene: &Scene, call: &Call, person: usize, wants: bool) -> Result<String> {
    let id = scene.model.lock().people.list.get(person).and_then(|person| person.id);
    let id = id.ok_or_else(|| Error::precondition("simulation.nothing_to_do", "nobody to prefer"))?;
    let ticket =
        scene.model.lock().notes.wants.entry(person).or_insert_with(|| Register::new(true)).begin(wants);
    let view = PreferencesView { categories: [(Category::default(), wants)].into() };
    let result = scene.platform.notifications().put_preferences(&call.ctx, id, view, None).await;
    if let Some(register) = scene.model.lock().notes.wants.get_mut(&person) {
        close(register, ticket, &result, call);
    }
    result.map(|view| format!("{:?}", view.value.categories))
}

async fn news(scene: &Scene, call: &Call, text: &str) -> Result<String> {
    let spec = serde_json::from_value::<TemplateSpec>(serde_json::json!({"subject": "news", "text": text}))
        .map_err(|error| {
        Error::internal("simulation.template", "a template does not read").because(error)
    })?;
    let ticket = scene.model.lock().notes.news.begin(text.to_owned());
    let result = scene.platform.notifications().put_template(&call.ctx, "news".parse()?, spec, None).await;
    close(&mut scene.model.lock().notes.news, ticket, &result, call);
    result.map(|template| template.revision.to_string())
}
