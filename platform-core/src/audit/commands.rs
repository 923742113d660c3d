//! Opening a log, what is no event (denials, disclosures), signing, and the change of the origin.

use std::sync::Arc;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::error;
use super::leaf::Told;
use super::model::{Occurrence, Outcome};
use super::notices::{Matter, Notice, Taken};
use super::tables::{Head, Origin, Signed};
use super::tlog::{Checkpoint, SigningKey, VerifierKey};
use super::{Audit, MANAGE};
use crate::kernel::merkle::Frontier;
use crate::kernel::{Actor, Context, Error, EventId, IdempotencyKey, RawId, Result, limits};
use crate::ports::disclosure::{Disclosure, Witness};
use crate::ports::store::{Work, command};

/// Notices that are being written.
#[derive(Debug)]
pub(super) struct Unsettled {
    key: IdempotencyKey,
    occurrences: Vec<Occurrence>,
}

/// The key of the present origin, opened.
pub(super) type Signer = (u64, Arc<SigningKey>);

impl Audit {
    /// Makes the first origin of a new log, and signs what was appended before the last end.
    pub(super) async fn open_log(&self) -> Result<()> {
        if self.db.get::<Head>(Head::ID).await?.is_none() {
            self.make_log().await?;
        }
        self.sign().await.map(|_| ())
    }

    async fn make_log(&self) -> Result<()> {
        command(&self.db, &Context::system(), "audit.open", &(), async |mut work| {
            if work.load::<Head>(Head::ID).await?.is_none() {
                work.put(&Head::at(&Frontier::default(), 0))?;
                let origin = self.new_origin(&mut work, 0, 0).await?;
                self.append_opening(&mut work, &origin, Value::Null).await?;
            }
            work.reply(())
        })
        .await
        .map(|_| ())
    }

    /// Signs from now on under a new name with a new key: after a restore, when the old name may have
    /// signed entries that are not here. The entries stay; the first one under the new name tells of the
    /// old one. Returns the new verifier key.
    ///
    /// # Errors
    /// `auth.forbidden` without `audit:manage`; those of the store and of the keys.
    pub async fn reorigin(&self, context: &Context) -> Result<VerifierKey> {
        context.require(&MANAGE)?;
        let done = command(&self.db, context, "audit.reorigin", &(), async |mut work| {
            let head = work.load::<Head>(Head::ID).await?.ok_or_else(|| error::damaged("head"))?.value;
            let old = work.load::<Origin>(Origin::id_of(head.origin)).await?;
            let old = old.ok_or_else(|| error::damaged("origin"))?;
            let number = head.origin + 1;
            let root = head.frontier()?.root();
            let previous =
                json!({"origin": old.name, "verifier": old.verifier, "size": head.size, "root": root});
            let size = head.size;
            work.put(&Head { origin: number, ..head })?;
            let origin = self.new_origin(&mut work, number, size).await?;
            self.append_opening(&mut work, &origin, previous).await?;
            work.reply(origin.verifier)
        })
        .await?;
        self.sign().await?;
        done.value.parse()
    }

    async fn new_origin(&self, work: &mut Work, number: u64, size: u64) -> Result<Origin> {
        let random: [u8; 16] = self.db.runtime.random();
        let name = format!("{}/{}", self.config.origin, RawId(random).to_base32());
        let seed = Zeroizing::new(self.db.runtime.random::<32>());
        let key = SigningKey::from_seed(&name, &seed)?;
        let sealed_seed = self.db.keys.seal(&place(number), &*seed).await?;
        let verifier = key.verifier().to_string();
        let origin = Origin { number, name, verifier, sealed_seed, opened_at: work.now(), size };
        work.create(&origin)?;
        Ok(origin)
    }

    async fn append_opening(&self, work: &mut Work, origin: &Origin, previous: Value) -> Result<()> {
        let mut data = json!({"verifier": origin.verifier});
        if let (Value::Object(data), Value::Object(_)) = (&mut data, &previous) {
            data.insert("previous".to_owned(), previous);
        }
        let opening = Occurrence {
            id: work.new_id(),
            time: work.now(),
            action: "audit.origin_opened".to_owned(),
            actor: work.context().principal.actor.clone(),
            subject: origin.name.clone(),
            outcome: Outcome::Success,
            correlation_id: work.context().correlation_id.clone(),
            causation_id: None,
            source: None,
            count: None,
            data,
        };
        self.appender.append(work, vec![Told::by_occurrence(&opening)]).await
    }

    /// Records a request that was not allowed. It never waits: above ten a second of one client (a
    /// user, a service, else an address), and above what can wait, denials become counted entries.
    ///
    /// `action` is what was attempted (method and route), `subject` what it was attempted on, without
    /// anything personal. The client's address is sealed. See the module about what a crash may lose.
    pub fn record_denied(&self, context: &Context, action: &str, subject: &str, denial: &Error) {
        self.take_notice(context, action, subject, Matter::Denied(denial.code()));
    }

    fn take_notice(&self, context: &Context, action: &str, subject: &str, matter: Matter) {
        self.notices.lock().record(Notice {
            time: self.db.runtime.now(),
            actor: context.principal.actor.clone(),
            client: context.client.address,
            action: shortened(action),
            subject: shortened(subject),
            matter,
            correlation_id: context.correlation_id.clone(),
            count: 1,
        });
        self.wake.wake();
    }

    /// Writes the notices that are complete, or all at the end; what cannot be written waits on.
    pub(super) async fn write_notices(&self, all: bool) -> Result<()> {
        let mut unsettled = self.unsettled.lock().await;
        self.append_notices(&mut unsettled).await?;
        // They wait again when this fails or is given up.
        let taken = Taken::from(&self.notices, (!all).then(|| self.db.runtime.now()));
        if taken.notices().is_empty() {
            return Ok(());
        }
        *unsettled = Some(self.unsettled(taken.notices()).await?);
        taken.settled();
        self.append_notices(&mut unsettled).await
    }

    /// A failed write may have happened all the same: it is repeated as it was, under the same key, before
    /// any other. So each notice is counted once.
    async fn append_notices(&self, unsettled: &mut Option<Unsettled>) -> Result<()> {
        let Some(Unsettled { key, occurrences }) = unsettled.as_ref() else { return Ok(()) };
        let context = Context::system().with_key(key.clone());
        command(&self.db, &context, "audit.record_notices", &(), async |mut work| {
            self.appender.append(&mut work, occurrences.iter().map(Told::by_occurrence).collect()).await?;
            work.reply(())
        })
        .await?;
        *unsettled = None;
        Ok(())
    }

    async fn unsettled(&self, notices: &[Notice]) -> Result<Unsettled> {
        let mut occurrences = Vec::with_capacity(notices.len());
        for notice in notices {
            occurrences.push(self.occurrence(notice).await?);
        }
        let key: EventId = self.db.new_id();
        Ok(Unsettled { key: key.to_string().parse()?, occurrences })
    }

    async fn occurrence(&self, notice: &Notice) -> Result<Occurrence> {
        let (outcome, mut data) = match &notice.matter {
            Matter::Denied(code) => (Outcome::Denied, json!({"code": code})),
            Matter::Shown(people, shown) => (Outcome::Success, json!({"people": people, "shown": shown})),
        };
        if let (Some(client), Value::Object(data)) = (self.sealed_client(notice).await?, &mut data) {
            data.insert("client".to_owned(), client);
        }
        Ok(Occurrence {
            id: self.db.new_id(),
            time: notice.time,
            action: notice.action.clone(),
            actor: notice.actor.clone(),
            subject: notice.subject.clone(),
            outcome,
            correlation_id: notice.correlation_id.clone(),
            causation_id: None,
            source: None,
            count: (notice.count > 1).then_some(notice.count),
            data,
        })
    }

    /// The address under the user's key; of strangers, under a key for all strangers of that month.
    async fn sealed_client(&self, notice: &Notice) -> Result<Option<Value>> {
        let Some(address) = notice.client else { return Ok(None) };
        let person = match &notice.actor {
            Actor::User(user) => user.to_string(),
            _ => format!("strangers:{}", notice.time.to_string().get(..7).unwrap_or_default()),
        };
        match self.db.keys.seal_for(&person, "audit/client", address.to_string().as_bytes()).await {
            Ok(sealed) => Ok(serde_json::to_value(sealed).ok()),
            Err(error) if error.code() == "keys.erased" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The last checkpoint, over everything that is committed: signed now if the last one is over less.
    pub(super) async fn sign(&self) -> Result<Signed> {
        let head = self.db.get::<Head>(Head::ID).await?.ok_or_else(|| error::damaged("head"))?.value;
        let id = Origin::id_of(head.origin);
        if let Some(signed) = self.db.get::<Signed>(id.clone()).await?
            && signed.size >= head.size
        {
            return Ok(signed.value);
        }
        let key = self.signing_key(head.origin).await?;
        let root = head.frontier()?.root();
        let origin = key.verifier().name().to_owned();
        let checkpoint = Checkpoint { origin, size: head.size, root, extensions: Vec::new() };
        let note = checkpoint.sign(&key)?.to_string();
        // The head is no expect: it was committed, and more may be appended meanwhile.
        let done = command(&self.db, &Context::system(), "audit.sign", &(), async |mut work| {
            if let Some(signed) = work.load::<Signed>(id.clone()).await?
                && signed.size >= head.size
            {
                return work.reply(signed.value);
            }
            let signed = Signed { origin: head.origin, size: head.size, at: work.now(), note: note.clone() };
            work.put(&signed)?;
            work.reply(signed)
        })
        .await?;
        Ok(done.value)
    }

    async fn signing_key(&self, origin: u64) -> Result<Arc<SigningKey>> {
        if let Some((number, key)) = &*self.signer.lock()
            && *number == origin
        {
            return Ok(Arc::clone(key));
        }
        let stored = self.db.get::<Origin>(Origin::id_of(origin)).await?;
        let stored = stored.ok_or_else(|| error::damaged("origin"))?;
        let seed = Zeroizing::new(self.db.keys.open(&place(origin), &stored.sealed_seed).await?);
        let seed = <&[u8; 32]>::try_from(seed.as_slice()).map_err(|_| error::damaged("seed"))?;
        let key = Arc::new(SigningKey::from_seed(&stored.name, seed)?);
        if key.verifier().to_string() != stored.verifier {
            return Err(error::damaged("origin"));
        }
        *self.signer.lock() = Some((origin, Arc::clone(&key)));
        Ok(key)
    }
}

impl Witness for Audit {
    /// As [`Audit::record_denied`]: bounded, and merged when one client reads much.
    fn disclosed(&self, context: &Context, disclosure: Disclosure) {
        let Disclosure { action, subject, people, shown } = disclosure;
        self.take_notice(context, action, &subject, Matter::Shown(people, shown));
    }
}

/// What the seed of an origin is sealed to.
fn place(origin: u64) -> String {
    format!("audit/origin/{origin}")
}

fn shortened(text: &str) -> String {
    text.chars().take(limits::NAME_BYTES).collect()
}
