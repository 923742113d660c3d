//! What is asked about flags, and their evaluation.

use super::commands::shown;
use super::error;
use super::model::{Flag, FlagKey, FlagSet, Revision, VariantCount};
use super::ofrep::{BulkEvaluation, FlagEvaluation};
use super::snapshot::Snapshot;
use super::tables::{EVALUATIONS, FlagHead, SetDocument, prefix};
use super::{EvaluationContext, FLAGS_READ, Flags};
use crate::kernel::{Actor, Context, Error, Page, PageRequest, Result, limits};
use crate::ports::store::{Body, Document, IndexRange, KeyReader};

impl Flags {
    /// Reads a flag (permission `flags:read`).
    ///
    /// # Errors
    /// `flags.not_found`, `auth.forbidden`.
    pub async fn get(&self, ctx: &Context, key: &FlagKey) -> Result<Flag> {
        ctx.require(&FLAGS_READ)?;
        let head = self.db.get::<FlagHead>(key.as_str()).await?;
        let head = head.filter(|head| head.definition.is_some()).ok_or_else(error::not_found)?;
        Ok(shown(&head))
    }

    /// Lists flags in the order of their keys (permission `flags:read`). A page may have fewer than asked for.
    ///
    /// # Errors
    /// `auth.forbidden`, `request.invalid_limit`, `request.invalid_cursor`.
    pub async fn list(&self, ctx: &Context, page: &PageRequest) -> Result<Page<Flag>> {
        ctx.require(&FLAGS_READ)?;
        let range =
            IndexRange::ids(FlagHead::COLLECTION.name).limit(page.limit()?).after(page.cursor.clone());
        let heads = self.db.scan::<FlagHead>(&range).await?;
        let items = heads.items.iter().filter(|head| head.definition.is_some());
        Ok(Page { items: items.map(|head| shown(head)).collect(), next_cursor: heads.next_cursor })
    }

    /// The revisions of a flag, newest first, also of a deleted one (permission `flags:read`).
    ///
    /// # Errors
    /// `flags.not_found` for one that never was, `auth.forbidden`.
    pub async fn revisions(
        &self,
        ctx: &Context,
        key: &FlagKey,
        page: &PageRequest,
    ) -> Result<Page<Revision>> {
        ctx.require(&FLAGS_READ)?;
        let range = IndexRange::ids(Revision::COLLECTION.name)
            .prefix(&prefix(key))
            .backward()
            .limit(page.limit()?)
            .after(page.cursor.clone());
        let revisions = self.db.scan::<Revision>(&range).await?;
        if revisions.items.is_empty() && page.cursor.is_none() {
            return Err(error::not_found());
        }
        Ok(revisions.map(|revision| revision.value))
    }

    /// What holds for all flags (permission `flags:read`).
    ///
    /// # Errors
    /// `auth.forbidden`.
    pub async fn set(&self, ctx: &Context) -> Result<FlagSet> {
        ctx.require(&FLAGS_READ)?;
        let set = self.db.get::<SetDocument>(SetDocument::ID).await?;
        Ok(set.map(|set| set.value.settings).unwrap_or_default())
    }

    /// How often each variant of a flag was given (permission `flags:read`).
    ///
    /// # Errors
    /// `auth.forbidden`, `flags.not_found` for one that never was.
    pub async fn evaluations(&self, ctx: &Context, key: &FlagKey) -> Result<Vec<VariantCount>> {
        ctx.require(&FLAGS_READ)?;
        if self.db.get::<FlagHead>(key.as_str()).await?.is_none() {
            return Err(error::not_found());
        }
        self.memory.write_counts(&self.db).await?;
        let range = IndexRange::ids(EVALUATIONS.name).prefix(&prefix(key)).limit(limits::SCAN_DOCUMENTS);
        let mut counts = Vec::new();
        for doc in self.db.store.scan(&range).await?.docs {
            let mut id = KeyReader::new(&doc.id);
            let (_, variant) = (id.text()?, id.text()?);
            let Body::Json(text) = &doc.body else { return Err(error::damaged(key.as_str())) };
            let count = text.parse().map_err(|_| error::damaged(key.as_str()))?;
            counts.push(VariantCount { variant: Some(variant).filter(|name| !name.is_empty()), count });
        }
        Ok(counts)
    }

    /// Evaluates a flag for whoever is signed in. Failures of the evaluation are part of the answer.
    ///
    /// # Errors
    /// `auth.not_signed_in`.
    pub fn evaluate(&self, ctx: &Context, key: &str, context: &EvaluationContext) -> Result<FlagEvaluation> {
        signed_in(ctx)?;
        Ok(self.memory.guard().evaluate_one(key, context, self.now_s()))
    }

    /// Evaluates all flags for whoever is signed in, unless they have the evaluations of this tag already
    /// (`known`, an `If-None-Match`).
    ///
    /// # Errors
    /// `auth.not_signed_in`.
    pub fn evaluate_all(
        &self,
        ctx: &Context,
        context: &EvaluationContext,
        known: Option<&str>,
    ) -> Result<BulkEvaluation> {
        signed_in(ctx)?;
        Ok(self.memory.guard().evaluate_all(context, known, self.now_s()))
    }

    /// The set as it is compiled now: for other domains in this process.
    pub fn snapshot(&self) -> std::sync::Arc<Snapshot> {
        self.memory.snapshot()
    }

    fn now_s(&self) -> u64 {
        self.db.runtime.now().as_secs()
    }
}

fn signed_in(ctx: &Context) -> Result<()> {
    match ctx.principal.actor {
        Actor::Anonymous => Err(Error::unauthenticated("auth.not_signed_in", "sign in first")),
        Actor::User(_) | Actor::Service(_) | Actor::System => Ok(()),
    }
}
