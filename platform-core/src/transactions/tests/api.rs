use std::time::Duration;

use super::*;
use crate::kernel::{Asset, Event, EventPosition, PageRequest};
use crate::transactions::events::{AccountOpened, PageCommitted};
use crate::transactions::ledger::page::Outcome;
use crate::transactions::ledger::rejection::Rejection;

fn pair(world: &World, domain: &Transactions) -> (AccountId, AccountId) {
    (world.account(domain, "EUR", None), world.account(domain, "EUR", Some("0")))
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn a_transfer_answers_with_both_balances_at_full_scale() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    let made = world.run(domain.transfer(&system(), &request(bank, ada, "12.5"))).unwrap();
    assert!(!made.existed);
    let transfer = made.transfer;
    assert_eq!((transfer.amount.as_str(), transfer.status), ("12.50", TransferStatus::Posted));
    assert_eq!(
        (transfer.debit_balance.posted.as_str(), transfer.credit_balance.posted.as_str()),
        ("-12.50", "12.50")
    );
    assert_eq!(world.run(domain.read_transfer(&system(), transfer.id)).unwrap(), transfer);
    assert_eq!(world.held(&domain, ada), ("12.50".into(), "0.00".into()));
    let short = world.run(domain.transfer(&system(), &request(ada, bank, "12.51")));
    assert_eq!(code(short), "ledger.insufficient_funds");
}

#[test]
fn a_pending_transfer_is_posted_in_part_and_shows_it() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    world.run(domain.transfer(&system(), &request(bank, ada, "100"))).unwrap();
    let held = world.run(domain.transfer(&system(), &reserve(ada, bank, "80", Some(60)))).unwrap().transfer;
    assert_eq!(held.status, TransferStatus::Pending);
    assert_eq!(held.expires_at, Some(held.created_at.plus(Duration::from_secs(60))));
    assert_eq!(held.debit_balance, AccountBalances { posted: "100.00".into(), pending: "-80.00".into() });
    let part = PostTransfer { amount: Some("30".into()) };
    let posted = world.run(domain.post(&system(), held.id, &part)).unwrap();
    assert_eq!(
        (posted.id, posted.status, posted.posted_amount.as_deref()),
        (held.id, TransferStatus::Posted, Some("30.00"))
    );
    assert_eq!(world.held(&domain, ada), ("70.00".into(), "0.00".into()));
    assert_eq!(code(world.run(domain.void(&system(), held.id))), "ledger.already_posted");
    assert_eq!(code(world.run(domain.post(&system(), id(99), &part))), "ledger.pending_not_found");
    assert_eq!(
        code(world.run(domain.post(&system(), id(99), &PostTransfer::default()))),
        "ledger.pending_not_found"
    );
}

#[test]
fn a_pending_transfer_expires_by_itself() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    world.run(domain.transfer(&system(), &request(bank, ada, "10"))).unwrap();
    let held = world.run(domain.transfer(&system(), &reserve(ada, bank, "10", Some(5)))).unwrap().transfer;
    world.run(world.sim.runtime().sleep(Duration::from_secs(6)));
    assert_eq!(world.held(&domain, ada), ("10.00".into(), "0.00".into()));
    let expired = world.run(domain.read_transfer(&system(), held.id)).unwrap();
    assert_eq!((expired.status, expired.posted_amount), (TransferStatus::Expired, None));
    assert_eq!(code(world.run(domain.void(&system(), held.id))), "ledger.expired");
}

#[test]
fn the_same_id_with_the_same_fields_returns_the_original() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    let one = with_id(request(bank, ada, "5"), 7);
    let first = world.run(domain.transfer(&system(), &one)).unwrap();
    world.run(domain.transfer(&system(), &request(bank, ada, "1"))).unwrap();
    let again = world.run(domain.transfer(&system(), &one)).unwrap();
    assert_eq!((again.transfer, again.existed), (first.transfer, true));
    let other = with_id(request(bank, ada, "6"), 7);
    assert_eq!(code(world.run(domain.transfer(&system(), &other))), "ledger.exists_with_different_amount");
}

#[test]
fn a_key_answers_the_same_again_and_refuses_another_request() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    let first = world.run(domain.transfer(&keyed("k1"), &request(bank, ada, "5"))).unwrap();
    let again = world.run(domain.transfer(&keyed("k1"), &request(bank, ada, "5"))).unwrap();
    assert_eq!(first, again);
    assert_eq!(
        code(world.run(domain.transfer(&keyed("k1"), &request(bank, ada, "6")))),
        "idempotency.key_reused"
    );
    assert_eq!(world.held(&domain, ada).0, "5.00");
    // A refusal is answered again too, though it would be granted now.
    let spend = request(ada, bank, "7");
    assert_eq!(code(world.run(domain.transfer(&keyed("k2"), &spend))), "ledger.insufficient_funds");
    world.run(domain.transfer(&system(), &request(bank, ada, "5"))).unwrap();
    assert_eq!(code(world.run(domain.transfer(&keyed("k2"), &spend))), "ledger.insufficient_funds");
    // Another caller's key is another key.
    let other = user(3, &["ledger:transfer"]).with_key("k2".parse().unwrap());
    world.run(domain.transfer(&other, &spend)).unwrap();
    // After a day the key is forgotten.
    world.run(world.sim.runtime().sleep(Duration::from_secs(24 * 3600 + 1)));
    world.run(domain.transfer(&keyed("k1"), &request(bank, ada, "6"))).unwrap();
}

#[test]
fn keys_answer_for_batches_posts_voids_and_accounts() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    world.run(domain.transfer(&system(), &with_id(request(bank, ada, "1"), 50))).unwrap();
    let transfers = vec![
        request(bank, ada, "5"),
        request(bank, ada, "0"),
        request(ada, bank, "100"),
        with_id(request(bank, ada, "2"), 51),
        with_id(request(bank, ada, "2"), 51),
        with_id(request(bank, ada, "1"), 50),
        with_id(request(bank, ada, "9"), 50),
        request(bank, ada, "3"),
    ];
    let batch = TransferBatch { transfers: transfers.clone(), linked: false };
    let first = world.run(domain.transfer_batch(&keyed("b"), &batch)).unwrap();
    let again = world.run(domain.transfer_batch(&keyed("b"), &batch)).unwrap();
    assert_eq!(first, again);
    assert_eq!(world.held(&domain, ada).0, "11.00");
    let names: Vec<_> = first
        .items
        .iter()
        .map(|item| match item {
            BatchItem::Created(_) => "created",
            BatchItem::Exists(_) => "exists",
            BatchItem::Rejected { code, .. } => code.as_str(),
        })
        .collect();
    assert_eq!(
        names,
        [
            "created",
            "ledger.zero_amount",
            "ledger.insufficient_funds",
            "created",
            "exists",
            "exists",
            "ledger.exists_with_different_amount",
            "created",
        ]
    );

    let linked =
        TransferBatch { transfers: vec![request(bank, ada, "5"), request(ada, bank, "100")], linked: true };
    for _ in 0..2 {
        let error = world.run(domain.transfer_batch(&keyed("l"), &linked)).unwrap_err();
        assert_eq!(
            (error.code(), error.context().next()),
            ("ledger.insufficient_funds", Some(("index", "1")))
        );
    }
    let linked =
        TransferBatch { transfers: vec![request(bank, ada, "5"), request(ada, bank, "6")], linked: true };
    let first = world.run(domain.transfer_batch(&keyed("m"), &linked)).unwrap();
    assert_eq!(world.run(domain.transfer_batch(&keyed("m"), &linked)).unwrap(), first);

    let held = world.run(domain.transfer(&system(), &reserve(bank, ada, "4", None))).unwrap().transfer.id;
    let posted = world.run(domain.post(&keyed("p"), held, &PostTransfer::default())).unwrap();
    assert_eq!(world.run(domain.post(&keyed("p"), held, &PostTransfer::default())).unwrap(), posted);
    assert_eq!(
        code(world.run(domain.post(&system(), held, &PostTransfer::default()))),
        "ledger.already_posted"
    );

    let new = NewAccount { asset: "JPY".into(), name: Some("Till".into()), min_balance: None, owner: None };
    let opened = world.run(domain.open_account(&keyed("a"), &new)).unwrap();
    assert_eq!(world.run(domain.open_account(&keyed("a"), &new)).unwrap(), opened);
    assert_eq!(opened.posted, "0");
    world.run(domain.verify(&system())).unwrap();
}

#[test]
fn requests_under_one_key_at_the_same_moment_are_one() {
    let world = World::new(5);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    let one = request(bank, ada, "5");
    let (context, other) = (keyed("k"), keyed("k"));
    let (a, b) = world.run(async {
        futures_util::future::join(domain.transfer(&context, &one), domain.transfer(&other, &one)).await
    });
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(world.held(&domain, ada).0, "5.00");
}

#[test]
fn balances_are_told_as_of_any_past_moment() {
    let world = World::new(1);
    let domain = world.open();
    let before = world.now();
    world.run(world.sim.runtime().sleep(Duration::from_secs(1)));
    let (bank, ada) = pair(&world, &domain);
    let mut moments = Vec::new();
    for round in 1..=300u32 {
        world.run(world.sim.runtime().sleep(Duration::from_millis(10)));
        let made = world.run(domain.transfer(&system(), &request(bank, ada, "1"))).unwrap().transfer;
        moments.push((made.created_at, format!("{round}.00")));
    }
    assert!(!domain.ledger.view().read().runs.is_empty(), "old frames are in runs");
    for (at, posted) in moments {
        let then = world.run(domain.account(&system(), ada, Some(at))).unwrap();
        assert_eq!(then.posted, posted);
        let earlier =
            world.run(domain.account(&system(), ada, Some(at.minus(Duration::from_micros(1))))).unwrap();
        assert_ne!(earlier.posted, posted);
    }
    assert_eq!(world.run(domain.account(&system(), ada, Some(before))).unwrap().posted, "0.00");
    assert_eq!(world.run(domain.account(&system(), ada, Some(Timestamp::MAX))).unwrap().posted, "300.00");
}

#[test]
fn an_accounts_transfers_come_newest_first_in_pages() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    let eve = world.account(&domain, "EUR", None);
    let mut expected = Vec::new();
    for round in 0..120 {
        let made = match round % 3 {
            0 => world.run(domain.transfer(&system(), &request(bank, ada, "2"))).unwrap().transfer.id,
            1 => {
                world.run(domain.transfer(&system(), &request(bank, eve, "2"))).unwrap();
                continue;
            }
            _ => {
                let held =
                    world.run(domain.transfer(&system(), &reserve(ada, eve, "1", None))).unwrap().transfer.id;
                if round % 2 == 0 {
                    world.run(domain.post(&system(), held, &PostTransfer::default())).unwrap();
                }
                held
            }
        };
        expected.insert(0, made);
    }
    for limit in [1, 7, 80, 500] {
        let mut page = PageRequest { limit: Some(limit), cursor: None };
        let mut listed = Vec::new();
        loop {
            let got = world.run(domain.transfers_of(&system(), ada, &page)).unwrap();
            assert!(got.items.len() <= limit);
            for transfer in &got.items {
                let read = world.run(domain.read_transfer(&system(), transfer.id)).unwrap();
                assert_eq!(&read, transfer);
            }
            listed.extend(got.items.into_iter().map(|transfer| transfer.id));
            page.cursor = got.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected, "in pages of {limit}");
    }
}

#[test]
fn every_method_demands_its_permission_and_owners_read_what_is_theirs() {
    let world = World::new(1);
    let domain = world.open();
    let nobody = user(1, &[]);
    let opener = user(2, &["ledger:accounts"]);
    let mover = user(3, &["ledger:transfer"]);
    let reader = user(4, &["ledger:read"]);
    let new = NewAccount { asset: "EUR".into(), name: None, min_balance: None, owner: Some(user_id(1)) };
    assert_eq!(code(world.run(domain.open_account(&nobody, &new))), "auth.forbidden");
    let own = world.run(domain.open_account(&opener, &new)).unwrap();
    assert_eq!(own.owner, Some(user_id(1)));
    let other = world.run(domain.open_account(&opener, &NewAccount { owner: None, ..new })).unwrap();
    assert_eq!(other.owner, Some(user_id(2)));
    let one = request(own.id, other.id, "1");
    assert_eq!(code(world.run(domain.transfer(&nobody, &one))), "auth.forbidden");
    assert_eq!(code(world.run(domain.transfer(&opener, &one))), "auth.forbidden");
    let made = world.run(domain.transfer(&mover, &one)).unwrap().transfer;
    let page = PageRequest::default();
    for context in [&nobody, &opener, &reader] {
        assert_eq!(world.run(domain.read_transfer(context, made.id)).unwrap(), made);
    }
    assert_eq!(code(world.run(domain.read_transfer(&mover, made.id))), "auth.forbidden");
    assert_eq!(code(world.run(domain.read_transfer(&mover, id(9)))), "auth.forbidden");
    assert_eq!(code(world.run(domain.read_transfer(&reader, id(9)))), "ledger.transfer_not_found");
    assert!(world.run(domain.account(&nobody, own.id, None)).is_ok());
    assert_eq!(code(world.run(domain.account(&nobody, other.id, None))), "auth.forbidden");
    assert_eq!(code(world.run(domain.account(&nobody, AccountId(RawId([5; 16])), None))), "auth.forbidden");
    assert_eq!(
        code(world.run(domain.account(&reader, AccountId(RawId([5; 16])), None))),
        "ledger.account_not_found"
    );
    assert_eq!(world.run(domain.transfers_of(&nobody, own.id, &page)).unwrap().items, [made]);
    assert_eq!(code(world.run(domain.transfers_of(&nobody, other.id, &page))), "auth.forbidden");
    let owned = world.run(domain.accounts_of(&nobody, user_id(1), &page)).unwrap().items;
    assert_eq!(owned.iter().map(|account| account.posted.as_str()).collect::<Vec<_>>(), ["-1.00"]);
    assert_eq!(code(world.run(domain.accounts_of(&nobody, user_id(2), &page))), "auth.forbidden");
    assert_eq!(code(domain.check(&mover)), "auth.forbidden");
    assert_eq!(code(world.run(domain.verify(&mover))), "auth.forbidden");
    assert_eq!(code(world.run(domain.put_asset(&mover, &Asset::new("BTC", 8).unwrap()))), "auth.forbidden");
    assert_eq!(code(world.run(domain.submit(&nobody, Vec::new(), false))), "auth.forbidden");
    assert_eq!(code(world.run(domain.prepare(&nobody, &[]))), "auth.forbidden");
    assert_eq!(code(world.run(domain.void(&reader, id(1)))), "auth.forbidden");
    assert_eq!(code(world.run(domain.post(&reader, id(1), &PostTransfer::default()))), "auth.forbidden");
}

#[test]
fn assets_are_built_in_or_registered_once() {
    let world = World::new(1);
    let domain = world.open();
    let asset = |code: &str, scale| Asset { code: code.into(), scale };
    world.run(domain.put_asset(&system(), &asset("EUR", 2))).unwrap();
    assert_eq!(code(world.run(domain.put_asset(&system(), &asset("EUR", 3)))), "ledger.asset_scale_fixed");
    let new = NewAccount { asset: "BTC".into(), name: None, min_balance: Some("-0.5".into()), owner: None };
    assert_eq!(code(world.run(domain.open_account(&system(), &new))), "ledger.asset_not_found");
    world.run(domain.put_asset(&system(), &asset("BTC", 8))).unwrap();
    world.run(domain.put_asset(&system(), &asset("BTC", 8))).unwrap();
    assert_eq!(code(world.run(domain.put_asset(&system(), &asset("BTC", 9)))), "ledger.asset_scale_fixed");
    assert_eq!(code(world.run(domain.put_asset(&system(), &asset("btc", 9)))), "ledger.invalid_asset");
    let opened = world.run(domain.open_account(&system(), &new)).unwrap();
    assert_eq!(opened.min_balance.as_deref(), Some("-0.50000000"));
    let euro = world.account(&domain, "EUR", None);
    assert_eq!(world.run(domain.read_asset(&user(1, &[]), "BTC")).unwrap().scale, 8);
    assert_eq!(code(world.run(domain.read_asset(&user(1, &[]), "LTC"))), "ledger.asset_not_found");
    let nobody = Context::anonymous(CorrelationId::from_raw(RawId([0; 16])));
    assert_eq!(code(world.run(domain.read_asset(&nobody, "BTC"))), "auth.not_signed_in");
    let mixed = TransferRequest { asset: "BTC".into(), ..request(opened.id, euro, "0.1") };
    assert_eq!(code(world.run(domain.transfer(&system(), &mixed))), "ledger.different_assets");
}

#[test]
fn malformed_requests_are_told_what_is_wrong() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    for (wrong, expected) in [
        (request(bank, ada, "1.234"), "ledger.invalid_amount"),
        (request(bank, ada, "-1"), "ledger.invalid_amount"),
        (request(bank, ada, "0"), "ledger.zero_amount"),
        (request(bank, bank, "1"), "ledger.same_accounts"),
        (TransferRequest { asset: "EURO".into(), ..request(bank, ada, "1") }, "ledger.asset_not_found"),
        (
            TransferRequest { expires_in_s: Some(1), ..request(bank, ada, "1") },
            "ledger.expiry_without_pending",
        ),
        (reserve(bank, ada, "1", Some(0)), "ledger.invalid_expiry"),
        (
            TransferRequest { id: Some(TransferId(RawId([0; 16]))), ..request(bank, ada, "1") },
            "ledger.invalid_id",
        ),
        (request(AccountId(RawId([7; 16])), ada, "1"), "ledger.debit_account_not_found"),
    ] {
        assert_eq!(code(world.run(domain.transfer(&system(), &wrong))), expected, "{wrong:?}");
    }
    let batch = |transfers| TransferBatch { transfers, linked: false };
    assert_eq!(code(world.run(domain.transfer_batch(&system(), &batch(Vec::new())))), "ledger.empty_batch");
    let many = vec![request(bank, ada, "1"); 8_191];
    assert_eq!(
        code(world.run(domain.transfer_batch(&system(), &batch(many.clone())))),
        "ledger.batch_too_large"
    );
    let full = batch(many.into_iter().take(8_190).collect());
    assert_eq!(world.run(domain.transfer_batch(&keyed("full"), &full)).unwrap().items.len(), 8_190);
    let mut new =
        NewAccount { asset: "EUR".into(), name: Some("a\nb".into()), min_balance: None, owner: None };
    assert_eq!(code(world.run(domain.open_account(&system(), &new))), "ledger.invalid_name");
    (new.name, new.min_balance) = (None, Some("1e3".into()));
    assert_eq!(code(world.run(domain.open_account(&system(), &new))), "ledger.invalid_amount");
}

#[test]
fn requests_are_prepared_for_submission_with_ids_and_assets_of_their_own() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    let named = TransferRequest { id: Some(id(7)), ..request(bank, ada, "0.50") };
    let yen = TransferRequest { asset: "JPY".into(), ..request(bank, ada, "3") };
    let requests = [request(bank, ada, "1"), yen, named];
    let prepared = world.run(domain.prepare(&system(), &requests)).unwrap();
    assert_eq!(prepared[2].id, id(7));
    assert_ne!(prepared[0].id, prepared[1].id);
    let outcomes = world.run(domain.submit(&system(), prepared, false)).unwrap();
    assert!(matches!(
        outcomes[..],
        [Outcome::Created(_), Outcome::Rejected(Rejection::AssetMismatch), Outcome::Created(_)]
    ));
    assert_eq!(world.held(&domain, ada).0, "1.50");
    let wrong = [request(bank, ada, "1"), request(bank, ada, "1.001")];
    let error = world.run(domain.prepare(&system(), &wrong)).unwrap_err();
    assert_eq!(
        (error.code(), error.context().collect::<Vec<_>>()),
        ("ledger.invalid_amount", vec![("index", "1")])
    );
}

#[test]
fn a_page_publishes_one_event_and_an_account_its_own() {
    let world = World::new(1);
    let domain = world.open();
    let (bank, ada) = pair(&world, &domain);
    let batch = TransferBatch { transfers: vec![request(bank, ada, "1"); 20], linked: false };
    world.run(domain.transfer_batch(&system(), &batch)).unwrap();
    let outbox = world.run(domain.db.store.outbox(EventPosition::START, 100)).unwrap();
    let events: Vec<Event> = outbox.iter().map(|(_, json)| Event::from_json(json).unwrap()).collect();
    let opened: Vec<_> = events.iter().filter_map(|e| e.decode::<AccountOpened>().unwrap()).collect();
    assert_eq!(opened.iter().map(|event| event.account_id).collect::<Vec<_>>(), [bank, ada]);
    let pages: Vec<_> = events.iter().filter_map(|e| e.decode::<PageCommitted>().unwrap()).collect();
    assert_eq!(
        pages.iter().map(|page| (page.page, page.first, page.end)).collect::<Vec<_>>(),
        [(1, 0, 1), (2, 1, 2), (3, 2, 22)]
    );
    let verified = world.run(domain.verify(&system())).unwrap();
    assert_eq!((verified.hash, verified.pages), (pages[2].hash, 3));
    let check = domain.check(&system()).unwrap();
    assert!(check.balanced);
    assert_eq!((check.accounts, check.frames, check.pages), (2, 22, 3));
}
