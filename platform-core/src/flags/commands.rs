//! What changes flags. Every change counts up the revision of the set in the same commit.

use serde_json::Value as Json;

use super::definition::{Definition, FlagState, escape, metadata, plain};
use super::error::{self, Fault};
use super::events::{FlagChanged, SetChanged};
use super::memory::read_heads;
use super::model::{Change, Flag, FlagKey, FlagSet, Revision};
use super::rule::Compiler;
use super::snapshot::check;
use super::tables::{FlagHead, SetDocument, revision_id};
use super::{FLAGS_WRITE, Flags};
use crate::kernel::{Context, Result, limits};
use crate::ports::store::{Reply, Work, command};

/// Flags of a set: about 100 MB compiled.
const FLAGS: u64 = 10_000;
/// Evaluators of a set.
const EVALUATORS: usize = 1_000;
/// Bytes of the settings of a set as JSON.
const SETTINGS_BYTES: usize = 1024 * 1024;

impl Flags {
    /// Sets a flag's definition, in flagd's format (permission `flags:write`). `revision` is what the caller
    /// has read (`If-Match`). Effective at once. The definition that is in force already changes nothing.
    /// What [`Flags::get`] shows may be sent back: its `key` has to be this one, its `revision` counts like
    /// an `If-Match`.
    ///
    /// # Errors
    /// `flags.invalid_definition` with the JSON pointer of the place, `flags.stale_revision`,
    /// `flags.too_many_flags`, `auth.forbidden`.
    pub async fn put(
        &self,
        ctx: &Context,
        key: &FlagKey,
        revision: Option<u64>,
        definition: &Json,
    ) -> Result<Flag> {
        ctx.require(&FLAGS_WRITE)?;
        let (definition, shown_revision) =
            without_identity(key, definition).map_err(error::invalid_definition)?;
        let revision = revision.or(shown_revision);
        let parsed = Definition::parse(&definition).map_err(error::invalid_definition)?;
        let request = (key, revision, &parsed);
        let done = command(&self.db, ctx, "flags.put", &request, |work| async {
            let edit = Edit::begin(work, key, revision).await?;
            if edit.head.definition.as_ref() == Some(&parsed.to_json()) {
                return edit.unchanged();
            }
            edit.finish(Change::Put, None, Some(parsed.clone()))
        })
        .await?;
        self.memory.changed(&self.db).await;
        Ok(done.value)
    }

    /// Disables a flag (permission `flags:write`): evaluations give the callers' own defaults. Effective at
    /// once. A flag that is disabled stays so.
    ///
    /// # Errors
    /// `flags.not_found`, `flags.stale_revision`, `auth.forbidden`.
    pub async fn kill(&self, ctx: &Context, key: &FlagKey, revision: Option<u64>) -> Result<Flag> {
        ctx.require(&FLAGS_WRITE)?;
        let done = command(&self.db, ctx, "flags.kill", &(key, revision), |work| async {
            let edit = Edit::begin(work, key, revision).await?;
            let mut definition = edit.definition()?.ok_or_else(error::not_found)?;
            if definition.state == FlagState::Disabled {
                return edit.unchanged();
            }
            definition.state = FlagState::Disabled;
            edit.finish(Change::Kill, None, Some(definition))
        })
        .await?;
        self.memory.changed(&self.db).await;
        Ok(done.value)
    }

    /// Takes the definition of an earlier revision again, as a new revision (permission `flags:write`).
    /// Effective at once. A deleted flag comes back.
    ///
    /// # Errors
    /// `flags.revision_not_found`, `flags.revision_without_definition`, `flags.invalid_definition` when the
    /// set has lost an evaluator since, `auth.forbidden`.
    pub async fn restore(&self, ctx: &Context, key: &FlagKey, revision: u64) -> Result<Flag> {
        ctx.require(&FLAGS_WRITE)?;
        let done = command(&self.db, ctx, "flags.restore", &(key, revision), |work| async {
            let mut edit = Edit::begin(work, key, None).await?;
            let earlier = edit.work.load::<Revision>(revision_id(key, revision)).await?;
            let earlier = earlier.ok_or_else(|| error::revision_not_found(revision))?.value;
            let json = earlier.definition.ok_or_else(|| error::revision_without_definition(revision))?;
            let definition = Definition::parse(&json).map_err(|_| error::damaged(key.as_str()))?;
            edit.finish(Change::Restore, Some(revision), Some(definition))
        })
        .await?;
        self.memory.changed(&self.db).await;
        Ok(done.value)
    }

    /// Deletes a flag (permission `flags:write`). Its revisions stay, and can be restored.
    ///
    /// # Errors
    /// `flags.not_found`, `flags.stale_revision`, `auth.forbidden`.
    pub async fn delete(&self, ctx: &Context, key: &FlagKey, revision: Option<u64>) -> Result<()> {
        ctx.require(&FLAGS_WRITE)?;
        command(&self.db, ctx, "flags.delete", &(key, revision), |work| async {
            let edit = Edit::begin(work, key, revision).await?;
            if edit.head.definition.is_none() {
                return Err(error::not_found());
            }
            edit.finish(Change::Delete, None, None)
        })
        .await?;
        self.memory.changed(&self.db).await;
        Ok(())
    }

    /// Sets what holds for all flags (permission `flags:write`). Effective at once.
    ///
    /// # Errors
    /// `flags.invalid_definition`, `flags.bucketing_pinned`, `flags.evaluator_in_use`, `auth.forbidden`.
    pub async fn put_set(&self, ctx: &Context, settings: &FlagSet) -> Result<FlagSet> {
        ctx.require(&FLAGS_WRITE)?;
        check_settings(settings).map_err(error::invalid_definition)?;
        let done = command(&self.db, ctx, "flags.put_set", settings, |mut work| async move {
            let set = work.load::<SetDocument>(SetDocument::ID).await?;
            let mut set = set.map(|set| set.value).unwrap_or_default().understood()?;
            if set.settings == *settings {
                return work.reply(settings.clone());
            }
            if set.settings.bucketing != settings.bucketing && set.flags > 0 {
                return Err(error::bucketing_pinned());
            }
            // Every change of a flag writes the set too, so the flags are the ones of this revision.
            for (head, definition) in read_heads(work.database()).await? {
                check(&definition, &settings.evaluators)
                    .map_err(|fault| error::evaluator_in_use(head.key.as_str(), fault))?;
            }
            set.revision += 1;
            set.settings_revision = set.revision;
            set.settings = settings.clone();
            work.put(&set)?;
            work.publish(&SetChanged { set_revision: set.revision })?;
            work.reply(settings.clone())
        })
        .await?;
        self.memory.changed(&self.db).await;
        Ok(done.value)
    }
}

/// A change of one flag: the flag and the set as they are.
struct Edit {
    work: Work,
    set: SetDocument,
    head: FlagHead,
}

impl Edit {
    async fn begin(mut work: Work, key: &FlagKey, revision: Option<u64>) -> Result<Edit> {
        let set = work.load::<SetDocument>(SetDocument::ID).await?;
        let head = work.load::<FlagHead>(key.as_str()).await?;
        let head = head
            .map_or_else(|| FlagHead { key: key.clone(), revision: 0, definition: None }, |head| head.value);
        if revision.is_some_and(|revision| head.definition.is_none() || revision != head.revision) {
            return Err(error::stale_revision(head.revision));
        }
        let set = set.map(|set| set.value).unwrap_or_default().understood()?;
        Ok(Edit { work, set, head })
    }

    fn definition(&self) -> Result<Option<Definition>> {
        let parse = |json| Definition::parse(json).map_err(|_| error::damaged(self.head.key.as_str()));
        self.head.definition.as_ref().map(parse).transpose()
    }

    fn unchanged(self) -> Result<Reply<Flag>> {
        let flag = shown(&self.head);
        self.work.reply(flag)
    }

    /// A new revision, which has this definition; checked against the evaluators of the set.
    fn finish(
        self,
        change: Change,
        restored: Option<u64>,
        definition: Option<Definition>,
    ) -> Result<Reply<Flag>> {
        let Edit { mut work, mut set, mut head } = self;
        if let Some(definition) = &definition {
            check(definition, &set.settings.evaluators).map_err(error::invalid_definition)?;
        }
        let existed = head.definition.is_some();
        head.revision += 1;
        head.definition = definition.as_ref().map(Definition::to_json);
        set.revision += 1;
        match (existed, head.definition.is_some()) {
            (false, true) if set.flags >= FLAGS => return Err(error::too_many_flags(FLAGS)),
            (false, true) => set.flags += 1,
            (true, false) => set.flags = set.flags.saturating_sub(1),
            _ => {}
        }
        work.put(&head)?;
        work.put(&set)?;
        work.create(&Revision {
            key: head.key.clone(),
            revision: head.revision,
            change,
            restored,
            definition: head.definition.clone(),
            author: work.context().principal.actor.clone(),
            reason: work.context().reason.clone(),
            at: work.now(),
        })?;
        work.publish(&FlagChanged {
            flag: head.key.clone(),
            change,
            revision: head.revision,
            set_revision: set.revision,
            restored,
        })?;
        let flag = shown(&head);
        work.reply(flag)
    }
}

/// A definition without the fields `key` and `revision`, which are not part of it, and the revision.
fn without_identity(key: &FlagKey, json: &Json) -> Result<(Json, Option<u64>), Fault> {
    let mut json = json.clone();
    let Some(map) = json.as_object_mut() else { return Ok((json, None)) };
    if map.remove("key").is_some_and(|named| named.as_str() != Some(key.as_str())) {
        return Err(Fault::new("/key", "the key is another one than that of the path"));
    }
    let revision = match map.remove("revision") {
        None => None,
        Some(revision) => {
            Some(revision.as_u64().ok_or_else(|| Fault::new("/revision", "a revision is a whole number"))?)
        }
    };
    Ok((json, revision))
}

/// A flag as it is shown.
pub(super) fn shown(head: &FlagHead) -> Flag {
    let definition = match &head.definition {
        Some(Json::Object(map)) => map.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        _ => Default::default(),
    };
    Flag { key: head.key.clone(), revision: head.revision, definition }
}

pub(super) fn check_settings(settings: &FlagSet) -> Result<(), Fault> {
    if settings.evaluators.len() > EVALUATORS {
        return Err(Fault::new("/$evaluators", "a set has at most 1,000 evaluators"));
    }
    for (name, rule) in &settings.evaluators {
        plain(rule, &format!("/$evaluators/{}", escape(name)), limits::JSON_DEPTH)?;
    }
    let size: usize =
        settings.evaluators.iter().map(|(name, rule)| name.len() + rule.to_string().len()).sum();
    if size > SETTINGS_BYTES {
        return Err(Fault::new("/$evaluators", "the evaluators are at most 1 MiB"));
    }
    let metadata_json = settings.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    metadata(Some(&Json::Object(metadata_json)), "/metadata")?;
    Compiler::new(&settings.evaluators).all_evaluators()
}
