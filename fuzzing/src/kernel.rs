//! Ids, names, times, amounts, cursors, positions, events, sealed texts, proofs.

use std::str::FromStr;

use platform_core::flags::FlagKey;
use platform_core::gateway::RouteName;
use platform_core::kernel::merkle::{self, MerkleHash};
use platform_core::kernel::{
    AccountId, Actor, Amount, Asset, Balance, CorrelationId, Cursor, DataKey, DeadLetterId, Event, EventId,
    EventPosition, IdempotencyKey, NotificationId, Permission, Positions, RawId, Sealed, SessionId,
    Timestamp, TraceParent, TransferId, UserId,
};
use platform_core::notifications::{Locale, TemplateName};
use platform_core::ports::store::{IndexRange, KeyWriter};
use platform_core::users::{Email, RoleName};

use crate::input::{Input, has_one_text, reads_back, refused, text};

pub(crate) fn ids(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        has_one_text::<UserId>(text, "request.invalid_id");
        has_one_text::<SessionId>(text, "request.invalid_id");
        has_one_text::<AccountId>(text, "request.invalid_id");
        has_one_text::<TransferId>(text, "request.invalid_id");
        has_one_text::<NotificationId>(text, "request.invalid_id");
        has_one_text::<EventId>(text, "request.invalid_id");
        has_one_text::<DeadLetterId>(text, "request.invalid_id");
        has_one_text::<CorrelationId>(text, "request.invalid_request_id");
        if let Some(id) = RawId::from_base32(text) {
            assert_eq!(id.to_base32(), text);
        }
    }
    let mut input = Input(bytes);
    let (a, b) = (RawId(input.array()), RawId(input.array()));
    assert_eq!(RawId::from_base32(&a.to_base32()), Some(a));
    assert_eq!(a.to_base32().cmp(&b.to_base32()), a.cmp(&b), "the texts sort as the ids do");
    let at = Timestamp::from_millis(input.u64() >> 16);
    assert_eq!(RawId::v7(at, input.array()).time(), at);
}

pub(crate) fn names(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    has_one_text::<RoleName>(text, "users.invalid_role_name");
    has_one_text::<FlagKey>(text, "flags.invalid_key");
    has_one_text::<RouteName>(text, "gateway.invalid_route_name");
    has_one_text::<TemplateName>(text, "notifications.invalid_template_name");
    if let Some(locale) = has_one_text::<Locale>(text, "notifications.invalid_locale") {
        let chain: Vec<_> = locale.chain().collect();
        assert!(chain.windows(2).all(|pair| pair[0].starts_with(pair[1]) && pair[0] != pair[1]));
    }
    has_one_text::<Permission>(text, "users.invalid_permission");
    // The id in an actor has an error of its own.
    match text.parse::<Actor>() {
        Ok(actor) => assert_eq!(actor.to_string(), text),
        Err(error) => refused(&error, &["request.invalid_actor", "request.invalid_id"]),
    }
    reads_back::<TraceParent>(text, "request.invalid_traceparent");
    match text.parse::<IdempotencyKey>() {
        Ok(key) => assert_eq!(key.as_str(), text),
        Err(error) => refused(&error, &["idempotency.invalid_key"]),
    }
    match text.parse::<Email>() {
        Ok(email) => {
            assert_eq!(email.as_str(), text);
            assert_eq!(email.normalised(), email.normalised().to_lowercase(), "normalised once and for all");
        }
        Err(error) => refused(&error, &["users.invalid_email"]),
    }
}

pub(crate) fn timestamps(bytes: &[u8]) {
    if let Some(at) = text(bytes).and_then(|text| reads_back::<Timestamp>(text, "request.invalid_time")) {
        assert!(at <= Timestamp::MAX, "a time that has no text");
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
    }
    let at = Timestamp::from_micros(Input(bytes).u64());
    let read = Timestamp::from_str(&at.to_string()).expect("what is printed reads");
    assert_eq!(read, at.min(Timestamp::MAX));
}

pub(crate) fn amounts(bytes: &[u8]) {
    let mut input = Input(bytes);
    let scale = input.byte();
    let rest = input.0;
    if let Some(text) = text(rest) {
        match Amount::parse(text, scale) {
            Ok(amount) => {
                let written = amount.format(scale.min(Asset::SCALE_MAX));
                assert!(amount <= Amount::MAX);
                if scale <= Asset::SCALE_MAX {
                    assert_eq!(Amount::parse(&written, scale).unwrap(), amount, "{text} as {written}");
                }
            }
            Err(error) => refused(&error, &["ledger.invalid_amount"]),
        }
        match Balance::parse(text, scale) {
            Ok(balance) if scale <= Asset::SCALE_MAX => {
                assert_eq!(Balance::parse(&balance.format(scale), scale).unwrap(), balance);
            }
            Ok(_) => {}
            Err(error) => refused(&error, &["ledger.invalid_amount"]),
        }
        match Asset::new(text, scale) {
            Ok(asset) => assert_eq!((asset.code.as_str(), asset.scale), (text, scale)),
            Err(error) => refused(&error, &["ledger.invalid_asset"]),
        }
    }
    let amount = |input: &mut Input<'_>| Amount::from_minor(u128::from_be_bytes(input.array()) >> 1).unwrap();
    let (a, b) = (amount(&mut input), amount(&mut input));
    let scale = scale % (Asset::SCALE_MAX + 1);
    assert_eq!(Amount::parse(&a.format(scale), scale).unwrap(), a);
    assert_eq!(a.checked_add(b).and_then(|sum| sum.checked_sub(b)), a.checked_add(b).map(|_| a));
    let balance = Balance::from_minor(i128::from_be_bytes(input.array()));
    assert_eq!(balance.credit(a).and_then(|after| after.debit(a)), balance.credit(a).map(|_| balance));
}

pub(crate) fn cursors(bytes: &[u8]) {
    let cursor = match text(bytes) {
        Some(text) => has_one_text::<Cursor>(text, "request.invalid_cursor"),
        None => None,
    };
    for cursor in cursor.into_iter().chain([Cursor::from_bytes(bytes.to_vec())]) {
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        let range = IndexRange::index("orders", "by_customer").prefix(b"a").after(Some(cursor.clone()));
        match range.after_entry() {
            Ok(after) => {
                let (entry, id) = after.expect("there is a cursor");
                let begin = KeyWriter::new().bytes(&entry).bytes(&id).finish();
                assert!(cursor.as_bytes().starts_with(&begin));
                let within = range.after_within().unwrap();
                assert_eq!(within.is_some(), entry.as_slice() >= b"a".as_slice(), "nothing is opened");
            }
            Err(error) => refused(&error, &["request.invalid_cursor"]),
        }
    }
}

pub(crate) fn positions(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        reads_back::<Positions>(text, "positions.invalid");
        reads_back::<EventPosition>(text, "event.invalid_position");
    }
    let mut input = Input(bytes);
    let mut position = || EventPosition { commit: input.u64(), index: u16::from_be_bytes(input.array()) };
    let (a, b) = (position(), position());
    assert_eq!(a.to_string().parse::<EventPosition>().unwrap(), a);
    assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b), "the texts sort as the positions do");
}

pub(crate) fn event_envelope(bytes: &[u8]) {
    match Event::from_json(bytes) {
        Ok(event) => {
            let written = event.to_json();
            let again = Event::from_json(&written).expect("what is written reads");
            assert_eq!(again, event);
            assert_eq!(again.to_json(), written);
            match event.new.to_json() {
                Ok(json) => assert_eq!(Event::from_json(&json).unwrap().new, event.new),
                Err(error) => refused(&error, &["event.too_large"]),
            }
        }
        Err(error) => refused(&error, &["event.invalid"]),
    }
}

pub(crate) fn sealed(bytes: &[u8]) {
    let key = DataKey::new(&[7; 32]).unwrap();
    match key.open(b"users/1", &Sealed::from_bytes(bytes.to_vec())) {
        // The seed, and nothing else that was not sealed with the key.
        Ok(text) => assert_eq!(text, b"the seed"),
        Err(error) => refused(&error, &["keys.open_failed"]),
    }
    let mut input = Input(bytes);
    let (nonce, flip) = (input.array(), input.u32() as usize);
    let sealed = key.seal(nonce, b"users/1", input.0).unwrap();
    assert_eq!(key.open(b"users/1", &sealed).unwrap(), input.0);
    let mut changed = sealed.as_bytes().to_vec();
    let at = flip % changed.len();
    changed[at] ^= 1 << (flip % 8);
    assert!(key.open(b"users/1", &Sealed::from_bytes(changed)).is_err(), "a changed text does not open");
    let json = serde_json::to_string(&sealed).unwrap();
    assert_eq!(serde_json::from_str::<Sealed>(&json).unwrap(), sealed);
}

pub(crate) fn merkle_proofs(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (size, index, old) = (u64::from(input.byte() % 40), input.u64(), input.u64());
    let leaves: Vec<MerkleHash> = (0..size).map(|number| merkle::leaf_hash(&number.to_be_bytes())).collect();
    let root_of = |size: u64| merkle::root(leaves[..size as usize].iter().copied());
    let root = root_of(size);
    let leaf = match leaves.get(usize::from(input.byte())) {
        Some(leaf) => *leaf,
        None => MerkleHash(input.array()),
    };
    // An honest proof to change: the fuzzer cannot find hashes.
    let mut proof: Vec<MerkleHash> = match input.byte() {
        0 => Vec::new(),
        _ => honest_inclusion(&leaves, index),
    };
    while !input.is_empty() && proof.len() < 70 {
        proof.push(MerkleHash(input.array()));
    }
    if merkle::verify_inclusion(index, size, &leaf, &proof, &root) {
        assert_eq!(leaves.get(index as usize), Some(&leaf), "a proof of what is not so");
    }
    assert!(!merkle::verify_inclusion(index, u64::MAX, &leaf, &proof, &root));
    let old_root = MerkleHash(merkle::leaf_hash(bytes).0);
    let claimed = if old <= size { root_of(old) } else { old_root };
    if merkle::verify_consistency(old, size, &proof, &claimed, &root) {
        assert!(old <= size, "a tree does not shrink");
    }
    assert!(!merkle::verify_consistency(old, size, &proof, &old_root, &root) || old == 0 && size == 0);
}

/// The hashes beside the way from a leaf to the root.
fn honest_inclusion(leaves: &[MerkleHash], index: u64) -> Vec<MerkleHash> {
    fn below(leaves: &[MerkleHash], index: usize, proof: &mut Vec<MerkleHash>) {
        if leaves.len() < 2 {
            return;
        }
        let half = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(half);
        let (own, other, at) = if index < half { (left, right, index) } else { (right, left, index - half) };
        below(own, at, proof);
        proof.push(merkle::root(other.iter().copied()));
    }
    let mut proof = Vec::new();
    if (index as usize) < leaves.len() {
        below(leaves, index as usize, &mut proof);
        assert!(merkle::verify_inclusion(
            index,
            leaves.len() as u64,
            &leaves[index as usize],
            &proof,
            &merkle::root(leaves.iter().copied())
        ));
    }
    proof
}
