//! What this domain does about events of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::Inner;
use super::commands::{EMAIL, accept};
use super::tables::{Preferences, SendRequest};
use crate::backbone::{Handler, Topics};
use crate::kernel::{BoxFuture, Error, Event, Result, UserId};
use crate::ports::Database;
use crate::ports::store::Work;
use crate::users::events::ProfileErased;

/// `auth.account_registered`, as far as it concerns us: whom to welcome. Address and name are read from the
/// profile when the mail is written, so that nothing here has to open what is sealed.
#[derive(Deserialize)]
struct AccountRegistered {
    user_id: UserId,
}

/// A new account gets the template `welcome`.
pub(super) struct Welcome(pub(super) Arc<Inner>);

impl Handler for Welcome {
    fn name(&self) -> &'static str {
        "notifications.welcome"
    }

    fn topics(&self) -> Topics {
        Topics::Of(&["auth"])
    }

    fn database(&self) -> &Database {
        &self.0.db
    }

    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for event in events.iter().filter(|event| event.event_type == "auth.account_registered") {
                let registered = event.data.read::<AccountRegistered>().map_err(|error| {
                    Error::data_loss("event.invalid", "the data are not what the type says").because(error)
                })?;
                work.caused_by(event);
                self.0.welcome(registered.user_id, work).await?;
            }
            Ok(())
        })
    }
}

impl Inner {
    async fn welcome(&self, user: UserId, work: &mut Work) -> Result<()> {
        // Erased or deactivated in the meantime: nobody to welcome.
        let Some(profile) = self.recipient(user).await? else { return Ok(()) };
        let data =
            profile.name.map(|name| ("name".to_owned(), name.into())).into_iter().collect::<BTreeMap<_, _>>();
        let request = SendRequest {
            user_id: Some(user),
            to: None,
            channel: EMAIL.to_owned(),
            template: "welcome".parse()?,
            data,
            locale: None,
            send_at: None,
            deadline: None,
        };
        let language = profile.locale.and_then(|tag| tag.parse().ok());
        let missing = (!self.channels.contains_key(EMAIL)).then_some("no channel is configured");
        accept(work, &request, language.as_ref(), missing).await.map(drop)
    }
}

/// An erased person leaves no preferences. Stored contents became unreadable with the person's key, and what
/// waits is suppressed when its time comes.
pub(super) struct Forget(pub(super) Arc<Inner>);

impl Handler for Forget {
    fn name(&self) -> &'static str {
        "notifications.forget"
    }

    fn topics(&self) -> Topics {
        Topics::Of(&["users"])
    }

    fn database(&self) -> &Database {
        &self.0.db
    }

    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for event in events {
                if let Some(erased) = event.decode::<ProfileErased>()? {
                    work.delete::<Preferences>(*erased.user_id.as_bytes());
                }
            }
            Ok(())
        })
    }
}
