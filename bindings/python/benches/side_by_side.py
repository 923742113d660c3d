"""What a call from Python costs, and what its peers take in the same process.

    pip install bindings/python -r bindings/python/benches/requirements.txt
    python bindings/python/benches/side_by_side.py            # all rows; minutes
    python bindings/python/benches/side_by_side.py --quick    # whether it works; its numbers say nothing

A row is the best of five rounds (threads and batches: of the whole run). A peer that is not installed is a dash.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from platform_core import AccountId, Platform, Principal, id_bytes

ROUNDS = 5
THREADS = 64
BATCH = 8_190
CLIENTS = 2
ACCOUNTS = 10_000
PASSWORD = "a long enough password"


def each_us(call: Callable[[], object], seconds: float) -> float:
    """Microseconds of one call: the best round, of about so many seconds each."""
    once = timed(call, 1)
    count = max(1, min(1_000_000, int(seconds / max(once, 1e-7))))
    return min(timed(call, count) / count for _ in range(ROUNDS)) * 1e6


def timed(call: Callable[[], object], count: int) -> float:
    """Seconds of so many calls."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begin


def peer(module: str) -> Any:
    """A peer, if it is installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


class Table:
    """Rows as they come."""

    def __init__(self) -> None:
        print("| what | here | peer | peer / here |\n|---|---|---|---|")

    def row(self, what: str, here: float, unit: str, other: float | None = None) -> None:
        """One row; for rates the factor is the other way round."""
        shown = "—" if other is None else f"{other:,.2f} {unit}"
        factor = "—" if other is None else f"{other / here:,.1f}"
        print(f"| {what} | {here:,.2f} {unit} | {shown} | {factor} |", flush=True)


def flags(p: Platform, table: Table, seconds: float) -> None:
    """Evaluations, beside OpenFeature's SDK with its provider in memory."""
    p.flags.put("static", {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"})
    targeting = {"if": [{"==": [{"var": "tier"}, "gold"]}, "on", None]}
    variants = {"on": True, "off": False}
    p.flags.put(
        "targeted", {"state": "ENABLED", "variants": variants, "defaultVariant": "off", "targeting": targeting}
    )
    other = None
    if (sdk := peer("openfeature.api")) is not None:
        memory = importlib.import_module("openfeature.provider.in_memory_provider")
        flag = memory.InMemoryFlag("on", variants)
        sdk.set_provider(memory.InMemoryProvider({"static": flag}))
        client = sdk.get_client()
        other = each_us(lambda: client.get_boolean_details("static", False), seconds)
    evaluate = p.flags.evaluate
    table.row("flag, static", each_us(lambda: evaluate("static"), seconds), "µs", other)
    attributes = {"tier": "gold"}
    targeted = each_us(lambda: evaluate("targeted", targeting_key="ada", attributes=attributes), seconds)
    table.row("flag, targeted", targeted, "µs", other)


def tokens(p: Platform, table: Table, seconds: float) -> None:
    """A token that was seen before, beside PyJWT with EdDSA; and a permission."""
    p.auth.register("ada@example.org", PASSWORD)
    token = p.auth.login("ada@example.org", PASSWORD).access_token
    other = None
    if (jwt := peer("jwt")) is not None and peer("cryptography") is not None:
        ed25519 = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
        key = ed25519.Ed25519PrivateKey.generate()
        claims = {"sub": "ada", "iss": "platform", "aud": "platform", "exp": int(time.time()) + 3600}
        text, public = jwt.encode(claims, key, algorithm="EdDSA"), key.public_key()
        other = each_us(lambda: jwt.decode(text, public, algorithms=["EdDSA"], audience="platform"), seconds)
    table.row("token, verified again", each_us(lambda: p.auth.authenticate(token), seconds), "µs", other)
    who = Principal.service("bench", permissions=["ledger:read", "ledger:transfer"])
    table.row("permission", each_us(lambda: who.may("ledger:transfer"), seconds), "µs")


def singles(p: Platform, table: Table, seconds: float) -> None:
    """Single transfers of many threads, each durable when it returns."""
    accounts = [p.transactions.open_account("EUR").id for _ in range(2 * THREADS)]
    until = time.perf_counter() + seconds * ROUNDS
    counts = [0] * THREADS

    def send(number: int) -> None:
        debit, credit = accounts[2 * number], accounts[2 * number + 1]
        while time.perf_counter() < until:
            p.transactions.transfer(debit, credit, "EUR", 1)
            counts[number] += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in range(THREADS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table.row(f"transfers, {THREADS} threads", sum(counts) / (time.perf_counter() - begin), "/s")


def batches(p: Platform, table: Table, seconds: float, accounts: int) -> None:
    """Full batches of two threads: tuples, and the rows of an array. Rust's own is the row ``ledger-batches`` of benches/README.md,
    with as many clients and accounts."""
    with ThreadPoolExecutor(THREADS) as pool:
        ids = [account.id for account in pool.map(lambda _: p.transactions.open_account("EUR"), range(accounts))]
    pairs = [(ids[row % accounts], ids[(7 * row + 1) % accounts]) for row in range(BATCH)]
    pairs = [pair if pair[0] != pair[1] else (ids[0], ids[1]) for pair in pairs]

    def rate(transfers: Any) -> float:
        submit = p.transactions.submit
        submit(transfers)
        begin = time.perf_counter()
        until = begin + seconds * ROUNDS

        def send(_: int) -> int:
            count = 0
            while time.perf_counter() < until or not count:
                count += submit(transfers).created
            return count

        with ThreadPoolExecutor(CLIENTS) as pool:
            return sum(pool.map(send, range(CLIENTS))) / (time.perf_counter() - begin)

    table.row(f"batches of {BATCH:,} tuples", rate([(debit, credit, "EUR", "1.00") for debit, credit in pairs]), "/s")
    if (numpy := peer("numpy")) is not None:
        table.row(f"batches of {BATCH:,} rows of an array", rate(array(numpy, pairs)), "/s")


def array(numpy: Any, pairs: list[tuple[AccountId, AccountId]]) -> Any:
    """Transfers without a Python object for each."""
    rows = numpy.zeros(len(pairs), [("debit_account", "V16"), ("credit_account", "V16"), ("amount_minor", "<u8")])
    rows["debit_account"] = [numpy.void(id_bytes(debit)) for debit, _ in pairs]
    rows["credit_account"] = [numpy.void(id_bytes(credit)) for _, credit in pairs]
    rows["amount_minor"] = 100
    return rows


def module(table: Table) -> None:
    """The import in a fresh interpreter, beside one that imports nothing; what is installed; an opening in memory."""

    def process(program: str) -> float:
        command = [sys.executable, "-c", program]
        return min(timed(lambda: subprocess.run(command, check=True), 1) for _ in range(ROUNDS)) * 1e3

    table.row("import", process("import platform_core") - process("pass"), "ms")
    files = importlib.metadata.files("platform-core") or []
    size = sum(Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).is_file())
    table.row("installed", size / 1e6, "MB")

    def opened() -> None:
        Platform.in_memory().close()

    table.row("in memory, opened and closed", each_us(opened, 0.1) / 1e3, "ms")


def main() -> None:
    """All rows, over a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="whether it works")
    parser.add_argument("--folder", type=Path, help="where the data lie (a disk that matters)")
    options = parser.parse_args()
    seconds = 0.01 if options.quick else 1.0
    table = Table()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, Platform.open(Path(folder) / "data") as p:
        flags(p, table, seconds)
        tokens(p, table, seconds)
        singles(p, table, seconds)
        batches(p, table, seconds, 100 if options.quick else ACCOUNTS)
    module(table)


if __name__ == "__main__":
    main()
