//! A channel that fails as mail servers do.

use std::sync::Arc;
use std::time::Duration;

use platform_core::kernel::BoxFuture;
use platform_core::ports::channel::{Channel, Message, Receipt, SendError};

use crate::stage::Stage;

/// The channel `email` of a node.
pub struct FaultyChannel(Arc<Stage>);

impl FaultyChannel {
    /// Into the world of this stage.
    pub fn new(stage: &Arc<Stage>) -> FaultyChannel {
        FaultyChannel(Arc::clone(stage))
    }
}

impl Channel for FaultyChannel {
    fn name(&self) -> &'static str {
        "email"
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move {
            let (stage, rates) = (&self.0, &self.0.settings.channel);
            let pause = match () {
                () if stage.strikes(rates.hangs) => Duration::from_secs(stage.within(100, 200)),
                () if stage.strikes(rates.slow) => Duration::from_millis(stage.within(1, 5_000)),
                () => Duration::from_millis(1),
            };
            stage.outside.sleep(pause).await;
            if stage.strikes(rates.transient) {
                return Err(SendError::Transient("451".to_owned()));
            }
            if stage.strikes(rates.permanent) {
                return Err(SendError::Permanent("550".to_owned()));
            }
            let is_ambiguous = stage.strikes(rates.ambiguous);
            if is_ambiguous && stage.strikes(500) {
                return Err(SendError::Ambiguous("no answer".to_owned()));
            }
            // The step that cannot be undone.
            let now = stage.now();
            if message.deadline.is_some_and(|deadline| deadline <= now) {
                return Err(SendError::Expired);
            }
            stage.note(format_args!("mail {} {}", message.id, message.subject));
            stage.truth.lock().sent(&message.id, &message.subject, now);
            match is_ambiguous {
                true => Err(SendError::Ambiguous("no answer".to_owned())),
                false => Ok(Receipt { provider_reference: "250".to_owned() }),
            }
        })
    }
}
