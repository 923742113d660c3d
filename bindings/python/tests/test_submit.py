"""Batches: of tuples, and of arrays whose rows never are Python objects."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from platform_core import (
    AccountId,
    AsyncPlatform,
    InvalidInputError,
    LimitExceededError,
    NewTransfer,
    Platform,
    TransferId,
    id_bytes,
    id_text,
)

np: Any = importlib.import_module("numpy")

ROW = [("debit_account", "V16"), ("credit_account", "V16"), ("amount_minor", "<u8")]


@pytest.fixture
def accounts(p: Platform) -> tuple[AccountId, AccountId]:
    """One without a floor, and one that cannot fall below zero."""
    return p.transactions.open_account("EUR").id, p.transactions.open_account("EUR", min_balance=0).id


def rows(accounts: tuple[AccountId, AccountId], amounts: list[int], dtype: Any = ROW) -> Any:
    """Transfers from the first account to the second."""
    array: Any = np.zeros(len(amounts), dtype=dtype)
    debit, credit = accounts
    for name, account in (("debit_account", debit), ("credit_account", credit)):
        array[name] = np.void(id_bytes(account)) if array.dtype[name].kind == "V" else account
    array["amount_minor"] = amounts
    return array


def test_rows_of_an_array_are_transfers_in_minor_units(p: Platform, accounts: tuple[AccountId, AccountId]) -> None:
    done = p.transactions.submit(rows(accounts, [125, 0, 250]))
    assert (done.created, done.existed, done.rejected) == (2, 0, 1)
    assert np.frombuffer(done.codes, np.uint8).tolist() == [0, 13, 0]
    assert [(row.index, row.code) for row in done.failed] == [(1, "ledger.zero_amount")]
    assert p.transactions.account(accounts[1]).posted == Decimal("3.75")
    third = TransferId(id_text("transfer", done.ids[32:]))
    assert p.transactions.read_transfer(third).amount == Decimal("2.50")
    assert repr(done).startswith("Submission(created=2, existed=0, rejected=1, codes='…', ids='…', failed=[")


def test_all_fields_and_text_for_ids(p: Platform, accounts: tuple[AccountId, AccountId]) -> None:
    dtype = [
        ("id", "S35"),
        ("credit_account", "S40"),
        ("debit_account", "S34"),
        ("pending", "?"),
        ("expires_in_s", "<u4"),
        ("asset", "S3"),
        ("amount_minor", "<i8"),
    ]
    array = rows(accounts, [1000, 100, 100], np.dtype(dtype, align=True))
    ids = [id_text("transfer", bytes([1] * 15 + [number])) for number in range(3)]
    array["id"], array["asset"] = ids, ["EUR", "EUR", "USD"]
    array["pending"][1], array["expires_in_s"][1] = True, 60
    done = p.transactions.submit(array)
    assert list(done.codes) == [0, 0, 17]
    held = p.transactions.read_transfer(TransferId(ids[1]))
    assert (held.status, held.amount, held.expires_at is not None) == ("pending", Decimal("1.00"), True)
    again = p.transactions.submit(array[:2])
    assert (again.created, again.existed, list(again.codes)) == (0, 2, [255, 255])
    assert done.failed[0].id == ids[2]
    assert p.transactions.account(accounts[1]).posted == Decimal("10.00")


def test_tuples_and_requests_are_amounts_with_a_point(p: Platform, accounts: tuple[AccountId, AccountId]) -> None:
    bank, purse = accounts
    p.transactions.put_asset("POINTS", 0)
    done = p.transactions.submit(
        [(bank, purse, "EUR", 5), NewTransfer(bank, purse, "EUR", "0.50"), (bank, purse, "POINTS", 5)]
    )
    assert list(done.codes) == [0, 0, 17]
    assert p.transactions.account(purse).posted == Decimal("5.50")
    with pytest.raises(InvalidInputError) as caught:
        p.transactions.submit([(bank, purse, "EUR", 5), (bank, purse, "EUR", "5.001")])
    assert (caught.value.code, caught.value.context["index"]) == ("ledger.invalid_amount", "1")


def test_a_linked_batch_is_all_or_none(p: Platform, accounts: tuple[AccountId, AccountId]) -> None:
    done = p.transactions.submit(rows(accounts, [1, 0, 1]), linked=True)
    assert (done.created, list(done.codes)) == (0, [1, 13, 1])


def test_a_view_of_an_array_is_read_with_its_strides(p: Platform, accounts: tuple[AccountId, AccountId]) -> None:
    array = rows(accounts, [1, 20, 300, 4000])
    assert p.transactions.submit(array[::-2]).created == 2
    assert p.transactions.account(accounts[1]).posted == Decimal("40.20")
    array.setflags(write=False)
    assert p.transactions.submit(array.view(np.recarray)).created == 4


@pytest.mark.parametrize(
    "dtype",
    [
        [("debit_account", "V16"), ("credit_account", "V16")],
        [*ROW, ("note", "S8")],
        [*ROW[:2], ("amount_minor", "<f8")],
        [*ROW[:2], ("amount_minor", ">u8")],
        [*ROW[:2], ("amount", "<u8")],
        [("debit_account", "V15"), *ROW[1:]],
        [("debit_account", "U34"), *ROW[1:]],
        [*ROW, ("pending", "<u8")],
        [*ROW, ("asset", "S17")],
        "<u8",
    ],
)
def test_another_field_is_a_type_error(p: Platform, dtype: Any) -> None:
    array: Any = np.zeros(1, dtype=dtype)
    with pytest.raises(TypeError):
        p.transactions.submit(array)


def test_another_shape_is_a_type_error(p: Platform) -> None:
    for array in (np.zeros((2, 2), ROW), np.zeros((), ROW), np.ma.zeros(2, ROW)):
        with pytest.raises(TypeError):
            p.transactions.submit(array)
    with pytest.raises(TypeError):
        p.transactions.submit([("one", "two")])  # type: ignore[list-item]


def test_what_a_row_says_wrong_is_told_with_its_place(p: Platform, accounts: tuple[AccountId, AccountId]) -> None:
    def refusal(array: Any) -> tuple[str, str | None]:
        with pytest.raises(InvalidInputError) as caught:
            p.transactions.submit(array)
        return caught.value.code, caught.value.context.get("index")

    signed = [*ROW[:2], ("amount_minor", "<i8")]
    assert refusal(rows(accounts, [1, -1], signed)) == ("ledger.invalid_amount", "1")
    text = rows(accounts, [1, 1], [("debit_account", "S34"), *ROW[1:]])
    text["debit_account"][1] = "user_01h455vb4pex5vsknk084sn02q"
    assert refusal(text) == ("request.invalid_id", "1")
    expiring = rows(accounts, [1], [*ROW, ("expires_in_s", "<u4")])
    expiring["expires_in_s"] = 5
    assert refusal(expiring) == ("ledger.expiry_without_pending", "0")
    assert refusal(np.zeros(0, ROW)) == ("ledger.empty_batch", None)
    assert p.transactions.check().frames == 2


def test_a_batch_has_a_largest_size(p: Platform, accounts: tuple[AccountId, AccountId]) -> None:
    assert p.transactions.submit(rows(accounts, [1] * 8190)).created == 8190
    assert p.transactions.account(accounts[1]).posted == Decimal("81.90")
    endless = ((accounts[0], accounts[1], "EUR", "0.01") for _ in iter(int, 1))
    for batch in (rows(accounts, [1] * 8191), endless):
        with pytest.raises(LimitExceededError) as caught:
            p.transactions.submit(batch)
        assert caught.value.code == "ledger.batch_too_large"


def test_awaited(p: Platform) -> None:
    async def story() -> Decimal:
        async with AsyncPlatform.in_memory() as memory:
            bank, purse = [(await memory.transactions.open_account("EUR")).id for _ in range(2)]
            assert (await memory.transactions.submit(rows((bank, purse), [7, 8]))).created == 2
            return (await memory.transactions.account(purse)).posted

    assert asyncio.run(story()) == Decimal("0.15")


def test_numpy_is_not_needed() -> None:
    script = """
import sys
sys.modules["numpy"] = None
from platform_core import Platform
with Platform.in_memory() as p:
    bank, purse = [p.transactions.open_account("EUR").id for _ in range(2)]
    print(p.transactions.submit([(bank, purse, "EUR", 1)]).created)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_ids_are_bytes_and_back() -> None:
    raw = bytes(range(16))
    assert id_bytes(id_text("account", raw)) == raw
    for call in (lambda: id_bytes("account_1"), lambda: id_text("account", b"1"), lambda: id_text("", raw)):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert caught.value.code == "request.invalid_id"
