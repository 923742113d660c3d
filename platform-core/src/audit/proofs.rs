//! Proofs, checkpoints and the parts of the log under their standard paths.

use serde::{Deserialize, Serialize};

use super::error;
use super::reader;
use super::tables::{Head, Origin};
use super::tlog::{Checkpoint, Resource, Tile, VerifierKey};
use super::{Audit, READ};
use crate::kernel::merkle::{
    MerkleHash, leaf_hash, plan_consistency, plan_inclusion, verify_consistency, verify_inclusion,
};
use crate::kernel::{Context, Result};

/// Proof that an entry is in the log of a signed checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryProof {
    /// The number of the entry.
    pub index: u64,
    /// The number of entries of the log that it is proven to be in.
    pub tree_size: u64,
    /// The entry: exactly the text whose bytes are hashed.
    pub entry: String,
    /// `SHA256(0x00 ‖ entry)`.
    pub leaf_hash: MerkleHash,
    /// The hashes from the leaf to the root.
    pub proof: Vec<MerkleHash>,
    /// The root that they lead to.
    pub root: MerkleHash,
    /// The signed checkpoint with that size and root.
    pub checkpoint: String,
}

/// Proof that nothing was changed between two sizes of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsistencyProof {
    /// The smaller size.
    pub from: u64,
    /// Its root.
    pub from_root: MerkleHash,
    /// The larger size.
    pub to: u64,
    /// Its root.
    pub to_root: MerkleHash,
    /// The hashes of RFC 6962, 2.1.2.
    pub proof: Vec<MerkleHash>,
    /// A signed checkpoint over at least `to` entries.
    pub checkpoint: String,
}

impl Audit {
    /// The signed checkpoint over all committed entries.
    ///
    /// # Errors
    /// `auth.forbidden` without `audit:read`; those of the store and of the keys.
    pub async fn checkpoint(&self, context: &Context) -> Result<String> {
        context.require(&READ)?;
        Ok(self.sign().await?.note)
    }

    /// The key that checks the checkpoints.
    ///
    /// # Errors
    /// `auth.forbidden` without `audit:read`; those of the store.
    pub async fn verifier_key(&self, context: &Context) -> Result<VerifierKey> {
        context.require(&READ)?;
        let head = self.db.get::<Head>(Head::ID).await?.ok_or_else(|| error::damaged("head"))?;
        let origin = self.db.get::<Origin>(Origin::id_of(head.origin)).await?;
        origin.ok_or_else(|| error::damaged("origin"))?.verifier.parse()
    }

    /// Proof that an entry is in the log. It is verified before it is given out.
    ///
    /// # Errors
    /// `audit.not_found`; `audit.damaged` when the stored log does not prove it; `auth.forbidden` without
    /// `audit:read`.
    pub async fn proof(&self, context: &Context, index: u64) -> Result<EntryProof> {
        self.proofs(context, &[index]).await?.pop().ok_or_else(error::not_found)
    }

    /// Proofs of several entries under the same checkpoint, in their order.
    ///
    /// # Errors
    /// As [`Audit::proof`].
    pub async fn proofs(&self, context: &Context, indexes: &[u64]) -> Result<Vec<EntryProof>> {
        context.require(&READ)?;
        let signed = self.sign().await?;
        let checkpoint: Checkpoint = self.opened(&signed.note).await?;
        let mut proofs = Vec::with_capacity(indexes.len());
        for index in indexes {
            proofs.push(self.prove(*index, &checkpoint, &signed.note).await?);
        }
        Ok(proofs)
    }

    async fn prove(&self, index: u64, checkpoint: &Checkpoint, note: &str) -> Result<EntryProof> {
        let plan = plan_inclusion(index, checkpoint.size).ok_or_else(error::not_found)?;
        let leaf = reader::leaf(&*self.db.store, index).await?.ok_or_else(error::not_found)?;
        let proof = reader::resolve(&*self.db.store, &plan).await?;
        let hash = leaf_hash(&leaf);
        if !verify_inclusion(index, checkpoint.size, &hash, &proof, &checkpoint.root) {
            return Err(error::damaged("proof").with("index", index));
        }
        Ok(EntryProof {
            index,
            tree_size: checkpoint.size,
            entry: String::from_utf8(leaf).map_err(|_| error::invalid_entry())?,
            leaf_hash: hash,
            proof,
            root: checkpoint.root,
            checkpoint: note.to_owned(),
        })
    }

    /// Proof that the log of `from` entries is a prefix of the log of `to` entries (the signed size when
    /// absent). It is verified before it is given out.
    ///
    /// # Errors
    /// `audit.invalid_range` unless 1 ≤ from ≤ to ≤ signed size; `audit.damaged` when the stored log does
    /// not prove it; `auth.forbidden` without `audit:read`.
    pub async fn consistency(
        &self,
        context: &Context,
        from: u64,
        to: Option<u64>,
    ) -> Result<ConsistencyProof> {
        context.require(&READ)?;
        let signed = self.sign().await?;
        let to = to.unwrap_or(signed.size);
        let plan = plan_consistency(from, to).filter(|_| from > 0 && to <= signed.size);
        let plan = plan.ok_or_else(error::invalid_range)?;
        let store = &*self.db.store;
        let (from_root, to_root) = (reader::root_at(store, from).await?, reader::root_at(store, to).await?);
        let proof = reader::resolve(store, &plan).await?;
        if !verify_consistency(from, to, &proof, &from_root, &to_root) {
            return Err(error::damaged("proof"));
        }
        Ok(ConsistencyProof { from, from_root, to, to_root, proof, checkpoint: signed.note })
    }

    /// A part of the log under its path of C2SP tlog-tiles: `checkpoint`, `tile/…`, `tile/entries/…`.
    ///
    /// # Errors
    /// `audit.invalid_path`; `audit.not_found` beyond the signed size; `auth.forbidden` without
    /// `audit:read`.
    pub async fn resource(&self, context: &Context, path: &str) -> Result<Vec<u8>> {
        context.require(&READ)?;
        let resource: Resource = path.parse()?;
        let signed = self.sign().await?;
        let within = |level, index, width| width > 0 && width <= Tile::width_at(level, index, signed.size);
        match resource {
            Resource::Checkpoint => Ok(signed.note.into_bytes()),
            Resource::Tile(tile) if within(tile.level, tile.index, tile.width) => {
                reader::tile(&*self.db.store, tile).await
            }
            Resource::Entries { index, width } if within(0, index, width) => {
                reader::bundle(&*self.db.store, index, width).await
            }
            Resource::Tile(_) | Resource::Entries { .. } => Err(error::not_found()),
        }
    }

    async fn opened(&self, note: &str) -> Result<Checkpoint> {
        let context = Context::system();
        Checkpoint::open(note, &self.verifier_key(&context).await?)
    }
}
