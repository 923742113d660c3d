//! The audit trail: read, proven, signed under a new name; dead letters handled again.

use std::sync::Arc;

use platform_core::audit::EventsQuery;
use platform_core::kernel::merkle::{Frontier, MerkleHash};
use platform_core::kernel::{BoxFuture, PageRequest, Result};

use super::{Call, Model, Op, Scene};
use crate::random::Random;

/// What is known of the trail.
#[derive(Debug, Default)]
pub struct Trail {
    /// The tree over the entries that were seen: recomputed from their bytes.
    pub frontier: Frontier,
    /// The root at each size.
    pub roots: Vec<MerkleHash>,
    /// Heads that were signed and shown: each size has one root for ever.
    pub heads: Vec<(u64, MerkleHash)>,
    /// The sources of the entries that were seen.
    pub sources: std::collections::BTreeSet<(String, String)>,
    /// Denials in the entries that were seen.
    pub denials: u64,
}

/// Chooses a command.
pub fn plan(model: &mut Model, random: &mut Random) -> Arc<dyn Op> {
    let size = model.audit.frontier.size();
    Arc::new(match random.below(100) {
        0..40 => AuditOp::Query,
        40..70 if size > 0 => AuditOp::Prove { index: random.below(size) },
        70..75 => AuditOp::Reorigin,
        75..85 => AuditOp::Redrive,
        _ => AuditOp::Flush,
    })
}

/// A command about the audit trail.
#[derive(Debug, Clone)]
enum AuditOp {
    Query,
    Prove { index: u64 },
    Reorigin,
    Flush,
    Redrive,
}

impl Op for AuditOp {
    fn run<'a>(&'a self, scene: &'a Scene, call: &'a Call) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let audit = scene.platform.audit();
            match self {
                AuditOp::Query => {
                    audit.events(&call.ctx, &EventsQuery::default(), &PageRequest::default()).await?;
                }
                AuditOp::Prove { index } => {
                    let proof = audit.proof(&call.ctx, *index).await?;
                    scene.model.lock().audit.heads.push((proof.tree_size, proof.root));
                }
                AuditOp::Reorigin => {
                    audit.reorigin(&call.ctx).await?;
                }
                AuditOp::Flush => audit.flush().await?,
                AuditOp::Redrive => {
                    let letters = scene.platform.dead_letters();
                    for letter in letters.list(&call.ctx, &PageRequest::default()).await?.items {
                        // It may have been handled meanwhile.
                        let _ = letters.redrive(&call.ctx, letter.id).await;
                    }
                }
            }
            Ok(String::new())
        })
    }
}
