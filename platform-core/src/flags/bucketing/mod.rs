//! How a share of subjects is chosen: the three generations of flagd's `fractional`.
//!
//! They give different subjects different buckets, so a flag set keeps the one it was made with.

mod cbor;
mod murmur3;

use serde::{Deserialize, Serialize};

pub(super) use cbor::{write_array_head, write_bool, write_canonical, write_number, write_text};
pub(super) use murmur3::Murmur3;

/// A generation of `fractional`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Bucketing {
    /// The absolute value of a signed 32-bit hash as a fraction of 100 (flagd to 0.13).
    V1,
    /// `hash × weights >> 32` over the bytes of the key (flagd 0.14 and later).
    #[default]
    V2,
    /// As v2, over the canonical CBOR of the key, which may then be any value.
    V3,
}

/// The largest sum of weights: what the reference implementation takes.
pub(super) const WEIGHTS: u32 = i32::MAX as u32;

/// The place of a hash among buckets that begin at 0 and end where `ends` says; `None` when it
/// falls beyond the last (v1 only: its largest hashes have no bucket).
pub(super) fn place(
    bucketing: Bucketing,
    hash: u32,
    total: u32,
    weights: impl Iterator<Item = u32>,
) -> Option<usize> {
    match bucketing {
        Bucketing::V1 => {
            let bucket = f64::from(hash.cast_signed()).abs() / f64::from(i32::MAX) * 100.0;
            let mut end = 0.0;
            first(weights, |weight| {
                end += 100.0 * f64::from(weight) / f64::from(total);
                bucket < end
            })
        }
        Bucketing::V2 | Bucketing::V3 => {
            let bucket = (u64::from(hash) * u64::from(total)) >> 32;
            let mut end = 0;
            first(weights, |weight| {
                end += u64::from(weight);
                bucket < end
            })
        }
    }
}

fn first(weights: impl Iterator<Item = u32>, mut within: impl FnMut(u32) -> bool) -> Option<usize> {
    weights.enumerate().find(|(_, weight)| within(*weight)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(text: &str) -> u32 {
        let mut hash = Murmur3::default();
        hash.update(text.as_bytes());
        hash.finish()
    }

    #[test]
    fn the_extreme_hashes_fall_into_the_first_and_the_last_bucket() {
        let lower_or_upper = |hash| place(Bucketing::V2, hash, 100, [50, 50].into_iter()).unwrap();
        assert_eq!([0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX].map(lower_or_upper), [0, 0, 0, 1, 1]);
        assert_eq!(place(Bucketing::V1, 0x8000_0000, 100, [50, 50].into_iter()), None);
    }

    #[test]
    fn shares_come_out_as_the_weights_say() {
        let subjects: Vec<u32> = (0..100_000).map(|index| hash(&format!("flag-user{index}"))).collect();
        for bucketing in [Bucketing::V1, Bucketing::V2] {
            let weights = [10, 20, 70];
            let mut counts = [0_u32; 3];
            for subject in &subjects {
                counts[place(bucketing, *subject, 100, weights.into_iter()).unwrap()] += 1;
            }
            for (count, weight) in counts.into_iter().zip(weights) {
                // Five standard deviations of a binomial share.
                let expected = f64::from(weight) * 1_000.0;
                let deviation = (expected * (1.0 - f64::from(weight) / 100.0)).sqrt();
                assert!((f64::from(count) - expected).abs() < 5.0 * deviation, "{bucketing:?} {counts:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_hash_has_a_bucket_with_weight(hash in any::<u32>(), weights in proptest::collection::vec(0_u32..1_000_000, 1..20)) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let index = place(Bucketing::V2, hash, total, weights.iter().copied()).unwrap();
            prop_assert!(weights[index] > 0);
        }

        #[test]
        fn raising_a_share_moves_nobody_out_of_it(hash in any::<u32>(), share in 0_u32..100, more in 0_u32..100) {
            let more = share.saturating_add(more).min(100);
            let inside = |share: u32| place(Bucketing::V2, hash, 100, [share, 100 - share].into_iter()) == Some(0);
            prop_assert!(!inside(share) || inside(more));
        }
    }
}
