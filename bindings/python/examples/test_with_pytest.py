"""Tests of an application that uses the platform. Needs ``platform-core[pytest]``; ``pytest test_with_pytest.py``."""

import pytest

from platform_core import ForbiddenError, Platform, Principal


def buy(platform: Platform, price: int) -> None:
    """What is tested."""
    shop = platform.transactions.open_account("EUR", name="Shop")
    purse = platform.transactions.open_account("EUR", name="Purse")
    platform.transactions.transfer(purse.id, shop.id, "EUR", price)


def test_what_is_bought_is_paid_for(platform: Platform) -> None:
    buy(platform, 12)
    assert platform.transactions.counts().posted == 1


def test_every_test_has_a_platform_of_its_own(platform: Platform) -> None:
    assert platform.transactions.counts().posted == 0
    with pytest.raises(ForbiddenError):
        buy(platform.acting_as(Principal.service("guest", permissions=[])), 12)
