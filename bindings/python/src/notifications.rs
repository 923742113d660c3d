//! `platform.notifications`.

use platform_core::kernel::{NotificationId, UserId};
use platform_core::notifications::{
    Attempt, Category, IfUnknown, Locale, NotificationView, Outcome, Parts, PreferencesView, PreviewRequest,
    Rendered as CoreRendered, SendRequest, Template as CoreTemplate, TemplateName, TemplateSpec,
};
use platform_core::ports::store::Stored;
use pyo3::prelude::*;

use crate::domain::domain;
use crate::flags::because;
use crate::record::record;
use crate::values::{Id, JsonObject, Mapping, Name, Time, literal};

literal! {
    /// What to do when it is not known whether a message went out.
    WhenUnknown: IfUnknown { Resend = "resend", Hold = "hold" }
}

literal! {
    /// How an attempt to send ended.
    AttemptOutcome: Outcome {
        Sent = "sent", Refused = "refused", Deferred = "deferred", Ambiguous = "ambiguous", Expired = "expired",
    }
}

record! {
    /// One attempt to send.
    DeliveryAttempt(it: Attempt) {
        /// When it began.
        started_at: Time = Time(it.started_at);
        /// When it ended; ``None`` while it lasts.
        ended_at: Option<Time> = it.ended_at.map(Time);
        /// How it ended; ``None`` while it lasts.
        outcome: Option<AttemptOutcome> = it.outcome.map(AttemptOutcome);
        /// Why, in the channel's words without personal data.
        cause: Option<String> = it.cause.clone();
        /// The channel's own name for the message.
        receipt: Option<String> = it.receipt.clone();
    }
}

record! {
    /// What became of a notification, without its address and its content.
    Notification(it: NotificationView) {
        /// Its id.
        id: Id<NotificationId> = Id(it.id);
        /// The recipient, when it is a user.
        user_id: Option<Id<UserId>> = it.user_id.map(Id);
        /// ``email``.
        channel: String = it.channel.clone();
        /// The template.
        template: String = it.template.as_str().to_owned();
        /// Its revision; 0 is the built-in template.
        revision: u32 = it.revision;
        /// The category.
        category: String = it.category.as_str().to_owned();
        /// ``accepted``, ``scheduled``, ``claimed``, ``sent``, ``failed``, ``expired``, ``suppressed``, ``dead`` or
        /// ``unknown``.
        state: String = it.state.clone();
        /// When it is tried next, if it is.
        due_at: Option<Time> = it.due_at.map(Time);
        /// When it was sent.
        sent_at: Option<Time> = it.sent_at.map(Time);
        /// After this it is not sent any more.
        deadline: Option<Time> = it.deadline.map(Time);
        /// The attempts so far, the oldest first.
        attempts: Vec<DeliveryAttempt> = it.attempts.iter().cloned().map(DeliveryAttempt).collect();
        /// Why it ended as it did, unless it was sent.
        cause: Option<String> = it.cause.clone();
        /// When it was accepted.
        created_at: Time = Time(it.created_at);
        /// By whom.
        created_by: String = it.created_by.to_string();
    }
}

record! {
    /// The parts of a template.
    TemplateParts(it: Parts) new "def __new__(cls, subject: str, text: str, html: str | None = None) -> TemplateParts: ..." {
        /// The subject, one line.
        subject: String = it.subject.clone();
        /// The plain text.
        text: String = it.text.clone();
        /// The same for a reader that shows HTML.
        html: Option<String> = it.html.clone();
    }
}

#[pymethods]
impl TemplateParts {
    #[new]
    #[pyo3(signature = (subject, text, html = None))]
    fn new(subject: String, text: String, html: Option<String>) -> TemplateParts {
        TemplateParts(Parts { subject, text, html })
    }
}

impl FromPyObject<'_, '_> for TemplateParts {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<TemplateParts> {
        Ok(TemplateParts(object.cast::<TemplateParts>()?.get().0.clone()))
    }
}

record! {
    /// A template as it is, or was, with one of its revisions.
    Template(it: CoreTemplate) {
        /// Its name.
        name: String = it.name.as_str().to_owned();
        /// Grows by one with every change; 0 is the built-in template.
        revision: u32 = it.revision;
        /// What a recipient can switch off.
        category: String = it.spec.category.as_str().to_owned();
        /// What to do when it is not known whether a message went out.
        if_unknown: WhenUnknown = WhenUnknown(it.spec.if_unknown);
        /// What it says when no language fits.
        parts: TemplateParts = TemplateParts(it.spec.parts.clone());
        /// What it says in other languages.
        locales: Mapping<Name<Locale>, TemplateParts> = it.spec.locales.clone().into();
        /// When this revision was made; ``None`` for a built-in one.
        created_at: Option<Time> = it.created_at.map(Time);
        /// Who made it; ``None`` for a built-in one.
        created_by: Option<String> = it.created_by.as_ref().map(ToString::to_string);
        /// Why, if that was said.
        reason: Option<String> = it.reason.clone();
    }
}

record! {
    /// What a template says with some data.
    Rendered(it: CoreRendered) {
        /// The subject: one line.
        subject: String = it.subject.clone();
        /// The plain text.
        text: String = it.text.clone();
        /// The HTML.
        html: Option<String> = it.html.clone();
    }
}

record! {
    /// What a user wants to receive.
    Preferences(it: Stored<PreferencesView>) {
        /// ``False``: the category is switched off; what is not named is on.
        categories: Mapping<Name<Category>, bool> = it.value.categories.clone().into();
        /// The version, for a later change that expects it; 0 when nothing was ever said.
        version: u64 = it.version;
    }
}

domain! {
    /// Messages to people. They are kept until a channel takes them: that of a platform in memory keeps them for
    /// ``sent_mail``; that of one in a folder is named when it is opened, and without it what
    /// is sent is refused.
    Notifications, AsyncNotifications;

    /// Accepts a notification (permission ``notifications:send``): rendered, stored, and from then on certain to reach a
    /// final state. It goes to ``user_id`` or to the address ``to``, not before ``send_at`` and not after ``deadline``;
    /// ``channel`` is ``email`` when nothing is said.
    ///
    /// Raises ``InvalidInputError`` (``notifications.invalid_recipient`` and others), ``NotFoundError``
    /// (``notifications.template_not_found``, ``notifications.unknown_recipient``), ``ConflictError``.
    command send(
        template: Name<TemplateName>;
        user_id: Option<Id<UserId>> = None,
        to: Option<String> = None,
        channel: Option<String> = None,
        data: Option<JsonObject> = None,
        locale: Option<Name<Locale>> = None,
        send_at: Option<Time> = None,
        deadline: Option<Time> = None
    ) -> Notification,
    example {
        /// >>> try:
        /// ...     p.notifications.send("welcome", user_id=ada.id, data={"name": "Ada"})
        /// ... except Error as error:
        /// ...     error.code
        /// 'notifications.channel_not_configured'
    },
    |platform, context| {
        let request = SendRequest {
            user_id: user_id.map(|id| id.0),
            to,
            channel: channel.unwrap_or_else(|| "email".to_owned()),
            template: template.0,
            data: data.map(|data| data.0.into_iter().collect()).unwrap_or_default(),
            locale: locale.map(|locale| locale.0),
            send_at: send_at.map(|time| time.0),
            deadline: deadline.map(|time| time.0),
        };
        platform.notifications().send(&context, request).await
    };

    /// Begins a dead delivery anew, with all its attempts (permission ``notifications:send``).
    ///
    /// Raises ``NotFoundError`` (``notifications.not_found``), ``ConflictError`` (``notifications.not_dead`` and others).
    command retry(id: Id<NotificationId>) -> Notification,
    example {
        /// >>> try:
        /// ...     p.notifications.retry(NotificationId("notification_01041040g2081040g2081040g2"))
        /// ... except NotFoundError as error:
        /// ...     error.code
        /// 'notifications.not_found'
    },
    |platform, context| platform.notifications().retry(&context, id.0).await;

    /// What became of a notification: one's own, or with the permission ``notifications:read``.
    ///
    /// Raises ``NotFoundError`` (``notifications.not_found``).
    query get(id: Id<NotificationId>) -> Notification,
    example {
        /// >>> try:
        /// ...     p.notifications.get(NotificationId("notification_01041040g2081040g2081040g2"))
        /// ... except NotFoundError as error:
        /// ...     error.code
        /// 'notifications.not_found'
    },
    |platform, context| platform.notifications().get(&context, id.0).await;

    /// Notifications, the newest first: of a user (one's own), or of all (permission ``notifications:read``).
    pages list(; user: Option<Id<UserId>> = None) -> Notification,
    example {
        /// >>> list(p.notifications.list(user=ada.id))
        /// []
    },
    |platform, context, page| platform.notifications().list(&context, user.map(|id| id.0), page).await;

    /// Writes a new revision of a template (permission ``notifications:templates``). ``locales`` are its parts in other
    /// languages. With ``expected`` only if the present revision is that one. ``reason`` stands in the revision.
    ///
    /// Raises ``InvalidInputError`` (``notifications.template_invalid``), ``FailedPreconditionError``
    /// (``notifications.version_mismatch``).
    command put_template(
        name: Name<TemplateName>,
        subject: String,
        text: String;
        html: Option<String> = None,
        category: Option<Name<Category>> = None,
        if_unknown: Option<WhenUnknown> = None,
        locales: Option<Mapping<Name<Locale>, TemplateParts>> = None,
        expected: Option<u32> = None,
        reason: Option<String> = None
    ) -> Template,
    example {
        /// >>> p.notifications.put_template("shipped", "Your order {{ order }}", "It is on its way.").revision
        /// 1
    },
    |platform, context| {
        let spec = TemplateSpec {
            category: category.map(|category| category.0).unwrap_or_default(),
            if_unknown: if_unknown.map(|word| word.0).unwrap_or_default(),
            parts: Parts { subject, text, html },
            locales: locales.map(|locales| locales.into_map(|name| name.0, |parts| parts.0)).unwrap_or_default(),
        };
        platform.notifications().put_template(&because(context, reason), name.0, spec, expected).await
    };

    /// A template as it is now, stored or built in (permission ``notifications:templates``).
    ///
    /// Raises ``NotFoundError`` (``notifications.template_not_found``).
    query template(name: Name<TemplateName>) -> Template,
    example {
        /// >>> p.notifications.template("welcome").revision
        /// 0
    },
    |platform, context| platform.notifications().template(&context, &name.0).await;

    /// A revision of a template (permission ``notifications:templates``).
    ///
    /// Raises ``NotFoundError`` (``notifications.template_not_found``).
    query template_revision(name: Name<TemplateName>, revision: u32) -> Template,
    example {
        /// >>> template = p.notifications.put_template("shipped", "Your order", "It is on its way.")
        /// >>> p.notifications.template_revision("shipped", 1).parts.subject
        /// 'Your order'
    },
    |platform, context| platform.notifications().template_revision(&context, &name.0, revision).await;

    /// The revisions of a template, the newest first (permission ``notifications:templates``).
    pages template_revisions(name: Name<TemplateName>) -> Template,
    example {
        /// >>> template = p.notifications.put_template("shipped", "Your order", "It is on its way.", reason="new")
        /// >>> [template.reason for template in p.notifications.template_revisions("shipped")]
        /// ['new']
    },
    |platform, context, page| platform.notifications().template_revisions(&context, &name.0, page).await;

    /// The stored templates, by name (permission ``notifications:templates``).
    pages templates() -> Template,
    example {
        /// >>> [template.name for template in p.notifications.templates()]
        /// []
    },
    |platform, context, page| platform.notifications().templates(&context, page).await;

    /// What a template would say with some data; nothing is stored or sent (permission ``notifications:templates``).
    ///
    /// Raises ``NotFoundError`` (``notifications.template_not_found``), ``InvalidInputError``
    /// (``notifications.render_failed``).
    query preview(
        name: Name<TemplateName>;
        data: Option<JsonObject> = None,
        locale: Option<Name<Locale>> = None
    ) -> Rendered,
    example {
        /// >>> template = p.notifications.put_template("shipped", "Your order {{ order }}", "It is on its way.")
        /// >>> p.notifications.preview("shipped", data={"order": 7}).subject
        /// 'Your order 7'
    },
    |platform, context| {
        let data = data.map(|data| data.0.into_iter().collect()).unwrap_or_default();
        let request = PreviewRequest { data, locale: locale.map(|locale| locale.0) };
        platform.notifications().preview(&context, &name.0, request).await
    };

    /// What a user wants to receive: oneself, or with the permission ``notifications:read``.
    query preferences(user: Id<UserId>) -> Preferences,
    example {
        /// >>> p.notifications.preferences(ada.id)
        /// Preferences(categories={}, version=0)
    },
    |platform, context| platform.notifications().preferences(&context, user.0).await;

    /// Replaces what a user wants to receive: oneself, or with the permission ``notifications:send``. With ``expected`` only
    /// if the version is that one.
    ///
    /// Raises ``InvalidInputError`` (``notifications.category_required`` for ``security``), ``FailedPreconditionError``
    /// (``notifications.version_mismatch``), ``NotFoundError`` (``notifications.unknown_recipient``).
    command put_preferences(
        user: Id<UserId>,
        categories: Mapping<Name<Category>, bool>;
        expected: Option<u64> = None
    ) -> Preferences,
    example {
        /// >>> p.notifications.put_preferences(ada.id, {"news": False}).categories
        /// {'news': False}
    },
    |platform, context| {
        let preferences = PreferencesView { categories: categories.into_map(|name| name.0, |is_on| is_on) };
        platform.notifications().put_preferences(&context, user.0, preferences, expected).await
    };

    /// How many attempts to send ended how since the platform was opened (permission ``notifications:read``).
    memory attempts() -> Mapping<&'static str, u64>,
    example {
        /// >>> p.notifications.attempts()["sent"]
        /// 0
    },
    |platform, context| platform.notifications().attempts(context).map(|counts| counts.outcomes);
}
