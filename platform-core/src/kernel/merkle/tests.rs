use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    #[serde(default)]
    leaf_idx: u64,
    #[serde(default)]
    tree_size: u64,
    #[serde(default)]
    size1: u64,
    #[serde(default)]
    size2: u64,
    #[serde(default)]
    start: u64,
    #[serde(default)]
    end: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    root: Option<String>,
    #[serde(default)]
    root1: Option<String>,
    #[serde(default)]
    root2: Option<String>,
    #[serde(default)]
    leaf_hash: Option<String>,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

/// Our hashes have 32 bytes by type; what the cases have of another length stays distinct from all others.
fn hash(text: &Option<String>) -> MerkleHash {
    let bytes = BASE64_STANDARD.decode(text.as_deref().unwrap_or_default()).unwrap();
    MerkleHash::from_slice(&bytes).unwrap_or_else(|| sha256(&[b"of another length", &bytes]))
}

fn verifies(folder: &str, case: &Case) -> bool {
    if case.leaf_hash.as_deref() == Some("") {
        return false; // no hash: our type does not admit it
    }
    let proof: Vec<_> = case.proof.iter().flatten().map(|text| hash(&Some(text.clone()))).collect();
    let (root, leaf) = (hash(&case.root), hash(&case.leaf_hash));
    let (root1, root2) = (hash(&case.root1), hash(&case.root2));
    match folder {
        "inclusion" => verify_inclusion(case.leaf_idx, case.tree_size, &leaf, &proof, &root),
        "consistency" => verify_consistency(case.size1, case.size2, &proof, &root1, &root2),
        "subtreeinclusion" => {
            verify_subtree_inclusion(case.leaf_idx, case.start, case.end, &leaf, &proof, &root)
        }
        "subtreeconsistency" => {
            verify_subtree_consistency(case.start, case.end, case.size, &proof, &root1, &root2)
        }
        other => panic!("no such folder of cases: {other}"),
    }
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

#[test]
fn the_518_public_cases_hold() {
    let Some(data) = crate::testdata::folder() else {
        eprintln!("skipped: no test data");
        return;
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    for folder in ["inclusion", "consistency", "subtreeinclusion", "subtreeconsistency"] {
        let mut paths = Vec::new();
        files(&data.join("merkle").join(folder), &mut paths);
        for path in paths {
            let case: Case = serde_json::from_slice(&std::fs::read(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            count += 1;
            if verifies(folder, &case) == case.want_err {
                wrong.push(format!("{}: {}", path.display(), case.desc));
            }
        }
    }
    assert_eq!((count, wrong), (518, Vec::new()));
}

#[test]
fn the_hashes_are_those_of_rfc_6962() {
    let hex = |hash: MerkleHash| hash.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(hex(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(
        hex(leaf_hash(b"L123456")),
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    );
}

/// The definition of RFC 6962, 2.1, word by word.
fn root_by_definition(leaves: &[MerkleHash]) -> MerkleHash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            node_hash(&root_by_definition(left), &root_by_definition(right))
        }
    }
}

fn leaves(count: u64) -> Vec<MerkleHash> {
    (0..count).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect()
}

fn proof(plan: Option<Plan>, leaves: &[MerkleHash]) -> Vec<MerkleHash> {
    plan.unwrap()
        .resolve(|node| {
            let (start, end) = (node.index << node.level, (node.index + 1) << node.level);
            leaves.get(start as usize..end as usize).map(root_by_definition)
        })
        .unwrap()
}

#[test]
fn every_prefix_of_a_growing_log_is_consistent_with_every_later_one() {
    let leaves = leaves(70);
    let mut roots = vec![empty_root()];
    let mut frontier = Frontier::default();
    for leaf in &leaves {
        frontier.append(*leaf);
        roots.push(frontier.root());
        let again = Frontier::from_parts(frontier.size(), frontier.peaks().to_vec()).unwrap();
        assert_eq!(again, frontier);
    }
    for new in 0..=leaves.len() {
        assert_eq!(roots[new], root_by_definition(&leaves[..new]));
        for old in 1..=new {
            let proof = proof(plan_consistency(old as u64, new as u64), &leaves);
            assert!(verify_consistency(old as u64, new as u64, &proof, &roots[old], &roots[new]));
        }
        for index in 0..new {
            let proof = proof(plan_inclusion(index as u64, new as u64), &leaves);
            assert!(verify_inclusion(index as u64, new as u64, &leaves[index], &proof, &roots[new]));
        }
    }
}

#[test]
fn what_lies_outside_of_the_tree_has_no_proof() {
    assert_eq!(plan_inclusion(5, 5), None);
    assert_eq!(plan_inclusion(0, 0), None);
    assert_eq!(plan_consistency(6, 5), None);
    assert_eq!(plan_subtree_inclusion(3, 3, 5), None);
    assert_eq!(plan_subtree_consistency(4, 4, 9), None);
    assert!(plan_inclusion(u64::MAX - 1, u64::MAX).is_some());
    assert!(plan_subtree_consistency(0, u64::MAX - 1, u64::MAX).is_some());
    assert!(Frontier::from_parts(3, vec![empty_root()]).is_none());
}

fn flip(hashes: &mut [MerkleHash], at: usize) {
    let bits = hashes.len() * 256;
    let bit = at % bits;
    hashes[bit / 256].0[bit % 256 / 8] ^= 1 << (bit % 8);
}

/// A valid subtree `start..end` of a tree of at least `end` leaves.
fn subtree() -> impl Strategy<Value = (u64, u64, u64)> {
    (0u32..7, 0u64..5, 0u64..60, any::<u64>()).prop_map(|(level, block, more, width)| {
        let start = block << level;
        let end = start + 1 + width % (1 << level);
        (start, end, end + more)
    })
}

proptest! {
    #[test]
    fn a_proof_of_inclusion_holds_and_with_one_bit_changed_does_not(
        (start, end, _) in subtree(), pick in any::<u64>(), bit in any::<usize>(),
    ) {
        let leaves = leaves(end);
        let index = start + pick % (end - start);
        let root = root_by_definition(&leaves[start as usize..end as usize]);
        let proof = proof(plan_subtree_inclusion(index, start, end), &leaves);
        let leaf = leaves[index as usize];
        prop_assert!(verify_subtree_inclusion(index, start, end, &leaf, &proof, &root));
        let mut changed = [&[leaf, root], proof.as_slice()].concat();
        flip(&mut changed, bit);
        prop_assert!(!verify_subtree_inclusion(index, start, end, &changed[0], &changed[2..], &changed[1]));
        let other = start + (pick + 1) % (end - start);
        prop_assert!(other == index || !verify_subtree_inclusion(other, start, end, &leaf, &proof, &root));
    }

    #[test]
    fn a_proof_of_consistency_holds_and_with_one_bit_changed_does_not(
        (start, end, size) in subtree(), bit in any::<usize>(),
    ) {
        let leaves = leaves(size);
        let part = root_by_definition(&leaves[start as usize..end as usize]);
        let root = root_by_definition(&leaves);
        let proof = proof(plan_subtree_consistency(start, end, size), &leaves);
        prop_assert!(verify_subtree_consistency(start, end, size, &proof, &part, &root));
        let mut changed = [&[part, root], proof.as_slice()].concat();
        flip(&mut changed, bit);
        prop_assert!(!verify_subtree_consistency(start, end, size, &changed[2..], &changed[0], &changed[1]));
        let shorter = proof.split_last().map_or(&[][..], |(_, rest)| rest);
        prop_assert!(
            proof.is_empty() || !verify_subtree_consistency(start, end, size, shorter, &part, &root)
        );
    }

    #[test]
    fn verification_ends_on_any_input(
        numbers in any::<[u64; 3]>(), small in any::<[u8; 3]>(), count in 0usize..70,
    ) {
        let proof = vec![empty_root(); count];
        for [a, b, c] in [numbers, small.map(u64::from)] {
            verify_subtree_inclusion(a, b, c, &empty_root(), &proof, &empty_root());
            verify_subtree_consistency(a, b, c, &proof, &empty_root(), &empty_root());
            verify_consistency(a, b, &proof, &empty_root(), &empty_root());
        }
    }
}
