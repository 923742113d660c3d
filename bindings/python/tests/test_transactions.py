"""The ledger from Python. What the ledger itself does is tested beside it."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal

import pytest

from platform_core import Account, ConflictError, InvalidInputError, NewTransfer, NotFoundError, Platform, TransferId


@pytest.fixture
def bank(p: Platform) -> Account:
    """Money comes from here."""
    return p.transactions.open_account("EUR")


@pytest.fixture
def purse(p: Platform) -> Account:
    """It never goes below zero."""
    return p.transactions.open_account("EUR", name="Purse", min_balance=0)


def test_amounts_are_decimals_and_never_floats(p: Platform, bank: Account, purse: Account) -> None:
    amounts: list[Decimal | str] = [Decimal("1.10"), Decimal("1.1000"), Decimal("110E-2"), "1.10"]
    for amount in amounts:
        moved = p.transactions.transfer(bank.id, purse.id, "EUR", amount)
        assert moved.amount == Decimal("1.10") and isinstance(moved.amount, Decimal)
    assert p.transactions.transfer(bank.id, purse.id, "EUR", 100).credit_balance.posted == Decimal("104.40")
    assert p.transactions.transfer(bank.id, purse.id, "EUR", Decimal("1E+2")).debit_balance.posted == Decimal("-204.40")
    for wrong in [1.5, True, None, b"1"]:
        with pytest.raises(TypeError):
            p.transactions.transfer(bank.id, purse.id, "EUR", wrong)  # type: ignore[arg-type]  # pyright: ignore
    refusals: list[Decimal | int | str] = [Decimal("NaN"), Decimal("Infinity"), Decimal("-1"), "1.001", Decimal("1.001"), -1, "1,0"]
    for refused in refusals:
        with pytest.raises(InvalidInputError) as raised:
            p.transactions.transfer(bank.id, purse.id, "EUR", refused)
        assert raised.value.code == "ledger.invalid_amount"


def test_a_refused_transfer_says_why(p: Platform, bank: Account, purse: Account) -> None:
    with pytest.raises(ConflictError) as raised:
        p.transactions.transfer(purse.id, bank.id, "EUR", 1)
    assert raised.value.code == "ledger.insufficient_funds"
    assert p.transactions.counts().rejected == {"ledger.insufficient_funds": 1}


def test_the_same_id_again_is_the_same_transfer(p: Platform, bank: Account, purse: Account) -> None:
    first = p.transactions.transfer(bank.id, purse.id, "EUR", 1)
    again = p.transactions.transfer(bank.id, purse.id, "EUR", 1, id=first.id)
    assert (first.existed, again.existed) == (False, True)
    assert p.transactions.account(purse.id).posted == 1


def test_a_batch_of_tuples_and_of_records(p: Platform, bank: Account, purse: Account) -> None:
    done = p.transactions.transfer_batch((bank.id, purse.id, "EUR", number) for number in range(1, 101))
    assert [item.result for item in done] == ["created"] * 100
    assert p.transactions.account(purse.id).posted == 5050
    assert sum(transfer.amount for transfer in p.transactions.transfers_of(purse.id)) == 5050
    held = NewTransfer(bank.id, purse.id, "EUR", "7", pending=True, expires_in_s=60)
    assert held == NewTransfer(bank.id, purse.id, "EUR", "7", pending=True, expires_in_s=60)
    item, refused = p.transactions.transfer_batch([held, (purse.id, bank.id, "EUR", 9999)])
    assert item.transfer is not None and item.transfer.status == "pending" and item.transfer.expires_at is not None
    assert (refused.result, refused.code, refused.transfer) == ("rejected", "ledger.insufficient_funds", None)
    with pytest.raises(ConflictError) as raised:
        p.transactions.transfer_batch([(bank.id, purse.id, "EUR", 1), (purse.id, bank.id, "EUR", 9999)], linked=True)
    assert raised.value.context["index"] == "1"
    with pytest.raises(InvalidInputError):
        p.transactions.transfer_batch([])
    with pytest.raises(TypeError):
        p.transactions.transfer_batch([[bank.id, purse.id, "EUR", 1]])  # type: ignore[list-item]  # pyright: ignore


def test_a_key_makes_a_repeated_batch_the_same(p: Platform, bank: Account, purse: Account) -> None:
    transfers = [(bank.id, purse.id, "EUR", 1), (bank.id, purse.id, "EUR", 2)]
    first = p.transactions.transfer_batch(transfers, idempotency_key="k")
    again = p.transactions.transfer_batch(transfers, idempotency_key="k")
    assert again == first
    assert p.transactions.account(purse.id).posted == 3


def test_balances_of_the_past_need_a_zone(p: Platform, purse: Account) -> None:
    assert p.transactions.account(purse.id, at=datetime.now(timezone.utc)).posted == 0
    with pytest.raises(TypeError, match="zone"):
        p.transactions.account(purse.id, at=datetime.now())
    with pytest.raises(InvalidInputError):
        p.transactions.account(purse.id, at=datetime(1969, 1, 1, tzinfo=timezone.utc))


def test_what_is_not_there_is_not_found(p: Platform, bank: Account, purse: Account) -> None:
    moved = p.transactions.transfer(bank.id, purse.id, "EUR", 1)
    assert p.transactions.read_transfer(moved.id).id == moved.id
    with pytest.raises(NotFoundError):
        p.transactions.void(TransferId("transfer_01041040g2081040g2081040g2"))
    proofs = p.transactions.page_proofs(moved.id)
    assert proofs.created.number >= 0 and proofs.ended is None
    check = p.transactions.check()
    assert check.balanced and check.assets[0].posted_minor == "0"
    assert p.transactions.verify().frames == check.frames
