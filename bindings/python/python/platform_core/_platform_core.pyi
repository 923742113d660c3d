# Made from the tables in bindings/python/src by `cargo xtask python stubs`: not to be edited.

from collections.abc import AsyncIterator, Collection, Generator, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from os import PathLike
from types import GenericAlias, TracebackType
from typing import Any, ClassVar, Generic, Literal, TypeVar, final
from platform_core._ids import AccountId, SessionId, TransferId, UserId

_Item = TypeVar("_Item", covariant=True)

@final
class Platform:
    """An open data folder: everything that the platform is, in this process.

    It is a context manager; ``close`` ends it, and so does the end of the process. What was answered is on
    the disk, whatever ends the process. Threads share one platform.
    """
    @staticmethod
    def open(path: str | PathLike[str], *, service: str = "python") -> Platform:
        """Opens a data folder, and makes it when it is not there. The key that seals it is made beside it
        (``data.key``). Code in this process acts as the service ``service``, which may do everything; see
        ``acting_as``.
        """
    def close(self) -> None:
        """Lets the calls of other threads end, stops what runs beside them and closes the folder."""
    @property
    def closed(self) -> bool: ...
    def acting_as(
        self,
        who: Principal | str,
        *,
        correlation_id: str | None = None,
        reason: str | None = None,
        address: str | None = None,
        user_agent: str | None = None,
    ) -> Platform:
        """The same platform, with calls that act as somebody else: a ``Principal``, or a service by its name. Each
        domain checks what they may do. ``correlation_id`` is the id of the request that all the calls belong to (each
        is one of its own when it is absent), ``reason`` says why a change is made; ``address`` and ``user_agent``
        are the client's.
        """
    def settled(self) -> None:
        """Waits until everything has happened that follows from what was done so far."""
    def __enter__(self) -> Platform: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    @property
    def transactions(self) -> Transactions:
        """Assets, accounts and transfers."""
    @property
    def users(self) -> Users:
        """Profiles, roles, permissions."""

@final
class AsyncPlatform:
    """An open data folder, for asyncio: as ``Platform``, with methods that are awaited.

    A call begins when it is awaited. When its task is cancelled nobody waits any more, but the call goes on
    to its end.
    """
    @staticmethod
    def open(path: str | PathLike[str], *, service: str = "python") -> AsyncOpening:
        """Opens a data folder, as ``Platform.open`` does: ``await`` it, or enter it with ``async with``."""
    async def close(self) -> None:
        """As ``Platform.close``."""
    @property
    def closed(self) -> bool: ...
    def acting_as(
        self,
        who: Principal | str,
        *,
        correlation_id: str | None = None,
        reason: str | None = None,
        address: str | None = None,
        user_agent: str | None = None,
    ) -> AsyncPlatform:
        """As ``Platform.acting_as``. It is not awaited."""
    async def settled(self) -> None:
        """As ``Platform.settled``."""
    async def __aenter__(self) -> AsyncPlatform: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    @property
    def transactions(self) -> AsyncTransactions:
        """Assets, accounts and transfers."""
    @property
    def users(self) -> AsyncUsers:
        """Profiles, roles, permissions."""

@final
class AsyncOpening:
    """A platform that is being opened: to be awaited, or entered with ``async with``."""
    def __await__(self) -> Generator[Any, Any, AsyncPlatform]: ...
    async def __aenter__(self) -> AsyncPlatform: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Principal:
    """Somebody with what they may do, as it was established when it was made: by ``auth.authenticate``, or by the
    application that has the platform in its process.
    """
    @staticmethod
    def anonymous() -> Principal:
        """Nobody in particular, who may do nothing that is not open to everybody."""
    @staticmethod
    def service(name: str, *, permissions: Collection[str] | None = None) -> Principal:
        """An application or a part of it, by name. With ``permissions`` it may do what they say and nothing else;
        without them, everything.
        """
    @property
    def actor(self) -> str:
        """Who: ``user:ID``, ``service:NAME``, ``anonymous`` or ``system``."""
    @property
    def user_id(self) -> UserId | None:
        """The user, when it is one."""
    @property
    def session_id(self) -> SessionId | None:
        """The session, when a user signed in."""
    @property
    def permissions(self) -> frozenset[str] | None:
        """What they may do; ``None``: everything."""
    def may(self, permission: str) -> bool:
        """Whether they hold a permission."""

@final
class Pages(Generic[_Item]):
    """A list: iterate over it, which reads page after page, or ask for one page."""
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def __iter__(self) -> Iterator[_Item]: ...
    def page(self, *, limit: int | None = None, cursor: str | None = None) -> Page[_Item]:
        """One page: at most ``limit`` items (1 to 500; 50 when nothing is said), from where ``cursor`` says on."""

@final
class AsyncPages(Generic[_Item]):
    """A list: ``async for`` over it reads page after page; or ask for one page."""
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def __aiter__(self) -> AsyncIterator[_Item]: ...
    async def page(self, *, limit: int | None = None, cursor: str | None = None) -> Page[_Item]:
        """One page: at most ``limit`` items (1 to 500; 50 when nothing is said), from where ``cursor`` says on."""

@final
class Page(Generic[_Item]):
    """One page of a list."""
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    @property
    def items(self) -> list[_Item]:
        """The items."""
    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins; ``None`` on the last."""
    def __iter__(self) -> Iterator[_Item]: ...
    def __len__(self) -> int: ...

@final
class Transactions:
    """Assets, accounts, and a ledger of double-entry transfers. Amounts are ``Decimal``; an ``int`` and a decimal text are
    taken, too, a ``float`` never.
    """
    def put_asset(self, code: str, scale: int, *, idempotency_key: str | None = None) -> Asset:
        """Registers an asset (permission ``ledger:accounts``). Doing it again is no error; its scale never changes. Those of
        ISO 4217 are built in.

        Raises ``InvalidInputError`` (``ledger.invalid_asset``), ``ConflictError`` (``ledger.asset_scale_fixed``).

        >>> p.transactions.put_asset("POINTS", 0)
        Asset(code='POINTS', scale=0)
        """
    def read_asset(self, code: str) -> Asset:
        """An asset by its code. Anybody who is signed in may know which there are.

        Raises ``NotFoundError`` (``ledger.asset_not_found``).

        >>> p.transactions.read_asset("JPY").scale
        0
        """
    def open_account(
        self,
        asset: str,
        *,
        name: str | None = None,
        min_balance: Decimal | int | str | None = None,
        owner: UserId | None = None,
        idempotency_key: str | None = None,
    ) -> Account:
        """Opens an account (permission ``ledger:accounts``). It may fall to ``min_balance``, or to any depth without one. Its
        owner is the signed-in user when nothing is said.

        Raises ``NotFoundError`` (``ledger.asset_not_found``), ``InvalidInputError`` (``ledger.invalid_amount``,
        ``ledger.invalid_name``).

        >>> p.transactions.open_account("EUR", name="Till", min_balance=0).min_balance
        Decimal('0.00')
        """
    def transfer(
        self,
        debit_account: AccountId,
        credit_account: AccountId,
        asset: str,
        amount: Decimal | int | str,
        *,
        id: TransferId | None = None,
        pending: bool = False,
        expires_in_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Makes a transfer (permission ``ledger:transfer``). It is durable when this returns, and both balances are those after
        it. ``pending`` only reserves the amount, until it is posted, voided or ``expires_in_s`` seconds are over. With an
        ``id`` of the caller's, sending the same again changes nothing.

        Raises ``ConflictError`` (``ledger.insufficient_funds`` and others), ``NotFoundError``
        (``ledger.debit_account_not_found`` and others), ``InvalidInputError`` (``ledger.invalid_amount`` and others).

        >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", Decimal("12.50"))
        >>> moved.credit_balance.posted
        Decimal('12.50')
        """
    def transfer_batch(
        self,
        transfers: Iterable[NewTransfer | tuple[AccountId, AccountId, str, Decimal | int | str]],
        *,
        linked: bool = False,
        idempotency_key: str | None = None,
    ) -> list[BatchItem]:
        """Makes transfers together, in their order, 8,190 at most (permission ``ledger:transfer``): ``NewTransfer``s, or tuples
        of debit account, credit account, asset and amount. ``linked``: all or none. What was refused is told by its item.

        Raises ``InvalidInputError`` (``ledger.empty_batch``, ``ledger.batch_too_large``); of a linked batch what refused
        the one that failed, with its ``index`` in the context.

        >>> done = p.transactions.transfer_batch([
        ...     (bank.id, purse.id, "EUR", "1.00"),
        ...     (purse.id, bank.id, "EUR", Decimal("1000.00")),
        ... ])
        >>> [(item.result, item.code) for item in done]
        [('created', None), ('rejected', 'ledger.insufficient_funds')]
        """
    def post(
        self,
        id: TransferId,
        *,
        amount: Decimal | int | str | None = None,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Posts a pending transfer, all of it or a part; the rest is released (permission ``ledger:transfer``).

        Raises ``NotFoundError`` (``ledger.pending_not_found``), ``ConflictError`` (``ledger.already_posted`` and others).

        >>> held = p.transactions.transfer(bank.id, purse.id, "EUR", 10, pending=True)
        >>> p.transactions.post(held.id, amount=4).posted_amount
        Decimal('4.00')
        """
    def void(self, id: TransferId, *, idempotency_key: str | None = None) -> Transfer:
        """Voids a pending transfer: what was reserved is released (permission ``ledger:transfer``).

        Raises as ``post`` does.

        >>> held = p.transactions.transfer(bank.id, purse.id, "EUR", 10, pending=True)
        >>> p.transactions.void(held.id).status
        'voided'
        """
    def account(self, id: AccountId, *, at: datetime | None = None) -> Account:
        """An account with what it holds, or held at a moment of the past: its owner's, or with the permission ``ledger:read``.

        Raises ``NotFoundError`` (``ledger.account_not_found``).

        >>> before = datetime.now(timezone.utc)
        >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", 5)
        >>> p.transactions.account(purse.id).posted, p.transactions.account(purse.id, at=before).posted
        (Decimal('5.00'), Decimal('0.00'))
        """
    def accounts_of(self, owner: UserId) -> Pages[Account]:
        """The accounts of an owner, oldest first: one's own, or with the permission ``ledger:read``.

        >>> [account.name for account in p.transactions.accounts_of(ada.id)]
        ['Purse']
        """
    def read_transfer(self, id: TransferId) -> Transfer:
        """A transfer: for the owners of its accounts, or with the permission ``ledger:read``.

        Raises ``NotFoundError`` (``ledger.transfer_not_found``).

        >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", 5)
        >>> p.transactions.read_transfer(moved.id).amount
        Decimal('5.00')
        """
    def transfers_of(self, account: AccountId) -> Pages[Transfer]:
        """The transfers from and to an account, newest first: its owner's, or with the permission ``ledger:read``.

        Raises ``NotFoundError`` (``ledger.account_not_found``).

        >>> for amount in (1, 2):
        ...     moved = p.transactions.transfer(bank.id, purse.id, "EUR", amount)
        >>> [transfer.amount for transfer in p.transactions.transfers_of(purse.id)]
        [Decimal('2.00'), Decimal('1.00')]
        """
    def check(self) -> LedgerCheck:
        """The sums over all accounts, from memory (permission ``ledger:read``).

        >>> p.transactions.check().balanced
        True
        """
    def verify(self) -> LedgerVerification:
        """Reads every frame from the first on and checks hashes and balances (permission ``ledger:read``). It takes its time.

        Raises ``DataLossError`` when something is damaged.

        >>> p.transactions.verify().frames > 0
        True
        """
    def counts(self) -> LedgerCounts:
        """What became of transfers since the platform was opened (permission ``ledger:read``).

        >>> p.transactions.counts()
        LedgerCounts(posted=0, rejected={})
        """
    def page_proofs(self, id: TransferId) -> PageProofs:
        """Proofs that the frames of a transfer are in their pages: for whoever may read the transfer.

        Raises ``NotFoundError`` (``ledger.transfer_not_found``).

        >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", 5)
        >>> p.transactions.page_proofs(moved.id).ledger
        'main'
        """

@final
class AsyncTransactions:
    """Assets, accounts, and a ledger of double-entry transfers. Amounts are ``Decimal``; an ``int`` and a decimal text are
    taken, too, a ``float`` never.
    """
    async def put_asset(self, code: str, scale: int, *, idempotency_key: str | None = None) -> Asset:
        """Registers an asset (permission ``ledger:accounts``). Doing it again is no error; its scale never changes. Those of
        ISO 4217 are built in.

        Raises ``InvalidInputError`` (``ledger.invalid_asset``), ``ConflictError`` (``ledger.asset_scale_fixed``).
        """
    async def read_asset(self, code: str) -> Asset:
        """An asset by its code. Anybody who is signed in may know which there are.

        Raises ``NotFoundError`` (``ledger.asset_not_found``).
        """
    async def open_account(
        self,
        asset: str,
        *,
        name: str | None = None,
        min_balance: Decimal | int | str | None = None,
        owner: UserId | None = None,
        idempotency_key: str | None = None,
    ) -> Account:
        """Opens an account (permission ``ledger:accounts``). It may fall to ``min_balance``, or to any depth without one. Its
        owner is the signed-in user when nothing is said.

        Raises ``NotFoundError`` (``ledger.asset_not_found``), ``InvalidInputError`` (``ledger.invalid_amount``,
        ``ledger.invalid_name``).
        """
    async def transfer(
        self,
        debit_account: AccountId,
        credit_account: AccountId,
        asset: str,
        amount: Decimal | int | str,
        *,
        id: TransferId | None = None,
        pending: bool = False,
        expires_in_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Makes a transfer (permission ``ledger:transfer``). It is durable when this returns, and both balances are those after
        it. ``pending`` only reserves the amount, until it is posted, voided or ``expires_in_s`` seconds are over. With an
        ``id`` of the caller's, sending the same again changes nothing.

        Raises ``ConflictError`` (``ledger.insufficient_funds`` and others), ``NotFoundError``
        (``ledger.debit_account_not_found`` and others), ``InvalidInputError`` (``ledger.invalid_amount`` and others).
        """
    async def transfer_batch(
        self,
        transfers: Iterable[NewTransfer | tuple[AccountId, AccountId, str, Decimal | int | str]],
        *,
        linked: bool = False,
        idempotency_key: str | None = None,
    ) -> list[BatchItem]:
        """Makes transfers together, in their order, 8,190 at most (permission ``ledger:transfer``): ``NewTransfer``s, or tuples
        of debit account, credit account, asset and amount. ``linked``: all or none. What was refused is told by its item.

        Raises ``InvalidInputError`` (``ledger.empty_batch``, ``ledger.batch_too_large``); of a linked batch what refused
        the one that failed, with its ``index`` in the context.
        """
    async def post(
        self,
        id: TransferId,
        *,
        amount: Decimal | int | str | None = None,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Posts a pending transfer, all of it or a part; the rest is released (permission ``ledger:transfer``).

        Raises ``NotFoundError`` (``ledger.pending_not_found``), ``ConflictError`` (``ledger.already_posted`` and others).
        """
    async def void(self, id: TransferId, *, idempotency_key: str | None = None) -> Transfer:
        """Voids a pending transfer: what was reserved is released (permission ``ledger:transfer``).

        Raises as ``post`` does.
        """
    async def account(self, id: AccountId, *, at: datetime | None = None) -> Account:
        """An account with what it holds, or held at a moment of the past: its owner's, or with the permission ``ledger:read``.

        Raises ``NotFoundError`` (``ledger.account_not_found``).
        """
    def accounts_of(self, owner: UserId) -> AsyncPages[Account]:
        """The accounts of an owner, oldest first: one's own, or with the permission ``ledger:read``."""
    async def read_transfer(self, id: TransferId) -> Transfer:
        """A transfer: for the owners of its accounts, or with the permission ``ledger:read``.

        Raises ``NotFoundError`` (``ledger.transfer_not_found``).
        """
    def transfers_of(self, account: AccountId) -> AsyncPages[Transfer]:
        """The transfers from and to an account, newest first: its owner's, or with the permission ``ledger:read``.

        Raises ``NotFoundError`` (``ledger.account_not_found``).
        """
    def check(self) -> LedgerCheck:
        """The sums over all accounts, from memory (permission ``ledger:read``)."""
    async def verify(self) -> LedgerVerification:
        """Reads every frame from the first on and checks hashes and balances (permission ``ledger:read``). It takes its time.

        Raises ``DataLossError`` when something is damaged.
        """
    def counts(self) -> LedgerCounts:
        """What became of transfers since the platform was opened (permission ``ledger:read``)."""
    async def page_proofs(self, id: TransferId) -> PageProofs:
        """Proofs that the frames of a transfer are in their pages: for whoever may read the transfer.

        Raises ``NotFoundError`` (``ledger.transfer_not_found``).
        """

@final
class Users:
    """Profiles, search, roles and permissions."""
    def create(
        self,
        email: str,
        *,
        id: UserId | None = None,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Profile:
        """Makes a profile (permission ``users:write``). With an ``id`` of the caller's, the same again is answered as the
        first time.

        Raises ``AlreadyExistsError`` (``users.email_taken``), ``InvalidInputError`` (``users.invalid_email``,
        ``users.invalid_name``).

        >>> p.users.create("grace@example.org", name="Grace").email
        'grace@example.org'
        """
    def get(self, user: UserId) -> Profile:
        """A profile: one's own, or with the permission ``users:read``.

        Raises ``NotFoundError`` (``users.not_found``).

        >>> p.users.get(ada.id).name
        'Ada'
        """
    def search(
        self,
        *,
        email_prefix: str | None = None,
        name_prefix: str | None = None,
        role: str | None = None,
    ) -> Pages[Profile]:
        """Profiles (permission ``users:read``): by address when its prefix is given, else by name when its prefix is given,
        else by role, else in the order in which they were made. Everything that is given has to hold.

        >>> [profile.name for profile in p.users.search(name_prefix="ad")]
        ['Ada']
        >>> p.users.search().page(limit=1).items[0].name
        'Ada'
        """
    def update(
        self,
        user: UserId,
        *,
        name: str | None = ...,
        locale: str | None = ...,
        time_zone: str | None = ...,
        attributes: Mapping[str, Any] | None = ...,
        status: Literal["active", "deactivated"] | None = None,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Profile:
        """Changes a profile: one's own, or with the permission ``users:write``. What is not given stays, ``None`` removes;
        ``attributes`` are merged (RFC 7396). ``status`` is changed with ``users:write`` only. ``version`` is what the
        caller has read: when it is not true any more, nothing changes.

        Raises ``NotFoundError`` (``users.not_found``), ``FailedPreconditionError`` (``users.version_mismatch``),
        ``ConflictError`` (``users.last_administrator``), ``ForbiddenError`` (``users.beyond_own_permissions``),
        ``InvalidInputError``.

        >>> p.users.update(ada.id, locale="en-GB", attributes={"team": "engines"}).attributes
        {'team': 'engines'}
        """
    def erase(self, user: UserId, *, version: int | None = None, idempotency_key: str | None = None) -> None:
        """Erases a person: oneself, or with the permission ``users:write``. The profile is deleted and the person's key
        destroyed, so that what was sealed under it reads nowhere again.

        Raises as ``update`` does.

        >>> p.users.erase(p.users.create("gone@example.org").id)
        """
    def permissions(self, user: UserId) -> HeldPermissions:
        """What a user may do: oneself, or with the permission ``users:read``.

        Raises ``NotFoundError`` (``users.not_found``), also for one who is deactivated.

        >>> p.users.permissions(ada.id)
        HeldPermissions(everything=False, permissions=frozenset())
        """
    def check(self, user: UserId, permission: str) -> bool:
        """Whether a user holds a permission (oneself, or with the permission ``users:read``), from memory. Nobody, and one
        who is deactivated, holds none.

        >>> p.users.check(ada.id, "orders:read")
        False
        """
    def access(self, user: UserId) -> Principal | None:
        """An active user as a principal to act as, with what they may do at this moment; ``None`` for nobody and for one who
        is deactivated (permission ``users:read``). For an application that has its own way to know who is there.

        >>> p.acting_as(p.users.access(ada.id)).users.get(ada.id).name
        'Ada'
        """
    def has_administrator(self) -> bool:
        """Whether there is an administrator.

        >>> p.users.has_administrator()
        False
        """
    def grant(self, user: UserId, role: str, *, idempotency_key: str | None = None) -> Profile:
        """Gives a role to a user (permission ``roles:write``, and everything that the role permits). Effective at once. A role
        that is held already stays.

        Raises ``NotFoundError`` (``users.not_found``, ``users.role_not_found``), ``ForbiddenError``
        (``users.beyond_own_permissions``).

        >>> p.users.put_role("clerk", permissions=["orders:read"]).id
        'clerk'
        >>> p.users.grant(ada.id, "clerk").roles
        frozenset({'clerk'})
        >>> p.users.check(ada.id, "orders:read")
        True
        """
    def grant_first_administrator(self, user: UserId, *, idempotency_key: str | None = None) -> Profile:
        """Makes a user the first administrator, when there is none (permission ``roles:write``, and every other).

        Raises ``ConflictError`` (``users.already_set_up``), ``NotFoundError`` (``users.not_found``).

        >>> p.users.grant_first_administrator(ada.id).roles
        frozenset({'admin'})
        """
    def revoke(self, user: UserId, role: str, *, idempotency_key: str | None = None) -> Profile:
        """Takes a role from a user (permission ``roles:write``, and everything that the role permits). Effective at once. A
        role that is not held stays away.

        Raises ``NotFoundError`` (``users.not_found``), ``ConflictError`` (``users.last_administrator``),
        ``ForbiddenError`` (``users.beyond_own_permissions``).

        >>> p.users.put_role("guest").permissions
        frozenset()
        >>> p.users.grant(ada.id, "guest").roles
        frozenset({'guest'})
        >>> p.users.revoke(ada.id, "guest").roles
        frozenset()
        """
    def put_role(
        self,
        name: str,
        *,
        permissions: Collection[str] | None = None,
        includes: Collection[str] | None = None,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Role:
        """Defines a role, or defines it anew (permission ``roles:write``, and everything that the role permits before and
        after). Effective at once for everybody who holds it.

        Raises ``ConflictError`` (``users.role_cycle``, ``users.role_built_in``), ``NotFoundError``
        (``users.role_not_found`` for an included role), ``FailedPreconditionError`` (``users.role_version_mismatch``),
        ``ForbiddenError`` (``users.beyond_own_permissions``).

        >>> p.users.put_role("reader", permissions=["orders:read"]).permissions
        frozenset({'orders:read'})
        """
    def delete_role(self, name: str, *, idempotency_key: str | None = None) -> None:
        """Deletes a role that no user holds and no role contains (permission ``roles:write``, and everything that the role
        permits).

        Raises ``NotFoundError`` (``users.role_not_found``), ``ConflictError`` (``users.role_in_use``,
        ``users.role_built_in``), ``ForbiddenError`` (``users.beyond_own_permissions``).

        >>> p.users.put_role("passing").built_in
        False
        >>> p.users.delete_role("passing")
        """
    def role(self, name: str) -> Role:
        """A role (permission ``roles:read``). ``admin`` is built in; its version is 0.

        Raises ``NotFoundError`` (``users.role_not_found``).

        >>> p.users.role("admin").built_in
        True
        """
    def roles(self) -> Pages[RoleSummary]:
        """The roles in order of their names, without the built-in one (permission ``roles:read``).

        >>> [role.id for role in p.users.roles()]
        []
        """

@final
class AsyncUsers:
    """Profiles, search, roles and permissions."""
    async def create(
        self,
        email: str,
        *,
        id: UserId | None = None,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Profile:
        """Makes a profile (permission ``users:write``). With an ``id`` of the caller's, the same again is answered as the
        first time.

        Raises ``AlreadyExistsError`` (``users.email_taken``), ``InvalidInputError`` (``users.invalid_email``,
        ``users.invalid_name``).
        """
    async def get(self, user: UserId) -> Profile:
        """A profile: one's own, or with the permission ``users:read``.

        Raises ``NotFoundError`` (``users.not_found``).
        """
    def search(
        self,
        *,
        email_prefix: str | None = None,
        name_prefix: str | None = None,
        role: str | None = None,
    ) -> AsyncPages[Profile]:
        """Profiles (permission ``users:read``): by address when its prefix is given, else by name when its prefix is given,
        else by role, else in the order in which they were made. Everything that is given has to hold.
        """
    async def update(
        self,
        user: UserId,
        *,
        name: str | None = ...,
        locale: str | None = ...,
        time_zone: str | None = ...,
        attributes: Mapping[str, Any] | None = ...,
        status: Literal["active", "deactivated"] | None = None,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Profile:
        """Changes a profile: one's own, or with the permission ``users:write``. What is not given stays, ``None`` removes;
        ``attributes`` are merged (RFC 7396). ``status`` is changed with ``users:write`` only. ``version`` is what the
        caller has read: when it is not true any more, nothing changes.

        Raises ``NotFoundError`` (``users.not_found``), ``FailedPreconditionError`` (``users.version_mismatch``),
        ``ConflictError`` (``users.last_administrator``), ``ForbiddenError`` (``users.beyond_own_permissions``),
        ``InvalidInputError``.
        """
    async def erase(
        self,
        user: UserId,
        *,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Erases a person: oneself, or with the permission ``users:write``. The profile is deleted and the person's key
        destroyed, so that what was sealed under it reads nowhere again.

        Raises as ``update`` does.
        """
    async def permissions(self, user: UserId) -> HeldPermissions:
        """What a user may do: oneself, or with the permission ``users:read``.

        Raises ``NotFoundError`` (``users.not_found``), also for one who is deactivated.
        """
    async def check(self, user: UserId, permission: str) -> bool:
        """Whether a user holds a permission (oneself, or with the permission ``users:read``), from memory. Nobody, and one
        who is deactivated, holds none.
        """
    async def access(self, user: UserId) -> Principal | None:
        """An active user as a principal to act as, with what they may do at this moment; ``None`` for nobody and for one who
        is deactivated (permission ``users:read``). For an application that has its own way to know who is there.
        """
    async def has_administrator(self) -> bool:
        """Whether there is an administrator."""
    async def grant(self, user: UserId, role: str, *, idempotency_key: str | None = None) -> Profile:
        """Gives a role to a user (permission ``roles:write``, and everything that the role permits). Effective at once. A role
        that is held already stays.

        Raises ``NotFoundError`` (``users.not_found``, ``users.role_not_found``), ``ForbiddenError``
        (``users.beyond_own_permissions``).
        """
    async def grant_first_administrator(self, user: UserId, *, idempotency_key: str | None = None) -> Profile:
        """Makes a user the first administrator, when there is none (permission ``roles:write``, and every other).

        Raises ``ConflictError`` (``users.already_set_up``), ``NotFoundError`` (``users.not_found``).
        """
    async def revoke(self, user: UserId, role: str, *, idempotency_key: str | None = None) -> Profile:
        """Takes a role from a user (permission ``roles:write``, and everything that the role permits). Effective at once. A
        role that is not held stays away.

        Raises ``NotFoundError`` (``users.not_found``), ``ConflictError`` (``users.last_administrator``),
        ``ForbiddenError`` (``users.beyond_own_permissions``).
        """
    async def put_role(
        self,
        name: str,
        *,
        permissions: Collection[str] | None = None,
        includes: Collection[str] | None = None,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Role:
        """Defines a role, or defines it anew (permission ``roles:write``, and everything that the role permits before and
        after). Effective at once for everybody who holds it.

        Raises ``ConflictError`` (``users.role_cycle``, ``users.role_built_in``), ``NotFoundError``
        (``users.role_not_found`` for an included role), ``FailedPreconditionError`` (``users.role_version_mismatch``),
        ``ForbiddenError`` (``users.beyond_own_permissions``).
        """
    async def delete_role(self, name: str, *, idempotency_key: str | None = None) -> None:
        """Deletes a role that no user holds and no role contains (permission ``roles:write``, and everything that the role
        permits).

        Raises ``NotFoundError`` (``users.role_not_found``), ``ConflictError`` (``users.role_in_use``,
        ``users.role_built_in``), ``ForbiddenError`` (``users.beyond_own_permissions``).
        """
    async def role(self, name: str) -> Role:
        """A role (permission ``roles:read``). ``admin`` is built in; its version is 0.

        Raises ``NotFoundError`` (``users.role_not_found``).
        """
    def roles(self) -> AsyncPages[RoleSummary]:
        """The roles in order of their names, without the built-in one (permission ``roles:read``)."""

@final
class Account:
    """An account."""
    @property
    def id(self) -> AccountId:
        """Its id."""
    @property
    def name(self) -> str | None:
        """A name for people."""
    @property
    def asset(self) -> str:
        """What it counts."""
    @property
    def posted(self) -> Decimal:
        """What has moved: credits minus debits."""
    @property
    def pending(self) -> Decimal:
        """What is reserved: pending credits minus pending debits."""
    @property
    def min_balance(self) -> Decimal | None:
        """The least it may hold, reserved amounts deducted; ``None``: there is no floor."""
    @property
    def owner(self) -> UserId | None:
        """Whose it is."""
    @property
    def opened_at(self) -> datetime:
        """When it was opened."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["name"], Literal["asset"], Literal["posted"], Literal["pending"], Literal["min_balance"], Literal["owner"], Literal["opened_at"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class AccountBalances:
    """What an account holds: credits minus debits."""
    @property
    def posted(self) -> Decimal:
        """What has moved."""
    @property
    def pending(self) -> Decimal:
        """What is reserved."""
    __match_args__: ClassVar[tuple[Literal["posted"], Literal["pending"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Asset:
    """An asset: what accounts count."""
    @property
    def code(self) -> str:
        """Its code: of ISO 4217, or a registered one."""
    @property
    def scale(self) -> int:
        """Digits behind the decimal point."""
    __match_args__: ClassVar[tuple[Literal["code"], Literal["scale"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class AssetCheck:
    """The sums of an asset over all accounts: zero, because what one gives another receives."""
    @property
    def asset(self) -> str:
        """The asset."""
    @property
    def posted_minor(self) -> str:
        """The sum of all credits minus all debits, in minor units."""
    @property
    def pending_minor(self) -> str:
        """The same of what is reserved."""
    __match_args__: ClassVar[tuple[Literal["asset"], Literal["posted_minor"], Literal["pending_minor"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class BatchItem:
    """What became of one transfer of a batch."""
    @property
    def result(self) -> Literal["created", "exists", "rejected"]:
        """Recorded now, recorded before with the same fields, or refused."""
    @property
    def transfer(self) -> Transfer | None:
        """The transfer, unless it was refused."""
    @property
    def code(self) -> str | None:
        """Why it was refused: the stable code."""
    @property
    def detail(self) -> str | None:
        """Why it was refused: a sentence for people."""
    __match_args__: ClassVar[tuple[Literal["result"], Literal["transfer"], Literal["code"], Literal["detail"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class LedgerCheck:
    """The sums of the ledger at one moment."""
    @property
    def balanced(self) -> bool:
        """Whether the debits equal the credits, for every asset."""
    @property
    def accounts(self) -> int:
        """Accounts."""
    @property
    def frames(self) -> int:
        """Frames."""
    @property
    def pages(self) -> int:
        """Pages."""
    @property
    def assets(self) -> list[AssetCheck]:
        """The sums of each asset."""
    __match_args__: ClassVar[tuple[Literal["balanced"], Literal["accounts"], Literal["frames"], Literal["pages"], Literal["assets"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class LedgerCounts:
    """What became of transfers since the platform was opened."""
    @property
    def posted(self) -> int:
        """Recorded."""
    @property
    def rejected(self) -> dict[str, int]:
        """Refused, by the stable code of the reason; only those that occurred."""
    __match_args__: ClassVar[tuple[Literal["posted"], Literal["rejected"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class LedgerVerification:
    """What a reading of every frame came to."""
    @property
    def frames(self) -> int:
        """Frames."""
    @property
    def pages(self) -> int:
        """Pages."""
    @property
    def hash(self) -> str:
        """The hash over all pages, in base 64."""
    __match_args__: ClassVar[tuple[Literal["frames"], Literal["pages"], Literal["hash"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class NewTransfer:
    """A transfer to be made in a batch."""
    @property
    def debit_account(self) -> AccountId:
        """The account that gives."""
    @property
    def credit_account(self) -> AccountId:
        """The account that receives."""
    @property
    def asset(self) -> str:
        """What moves: both accounts must count it."""
    @property
    def amount(self) -> Decimal:
        """How much, more than zero."""
    @property
    def id(self) -> TransferId | None:
        """Its id, when the caller makes it: sending the same again then changes nothing."""
    @property
    def pending(self) -> bool:
        """Only reserve it: to be posted or voided later."""
    @property
    def expires_in_s(self) -> int | None:
        """Seconds after which a pending transfer is released by itself; never when ``None``."""
    def __new__(cls, debit_account: AccountId, credit_account: AccountId, asset: str, amount: Decimal | int | str, *, id: TransferId | None = None, pending: bool = False, expires_in_s: int | None = None) -> NewTransfer: ...
    __match_args__: ClassVar[tuple[Literal["debit_account"], Literal["credit_account"], Literal["asset"], Literal["amount"], Literal["id"], Literal["pending"], Literal["expires_in_s"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PageProof:
    """That a frame is in its page."""
    @property
    def number(self) -> int:
        """The number of the frame in the ledger, from 0."""
    @property
    def frame(self) -> str:
        """The frame's 128 bytes, in base 64."""
    @property
    def path(self) -> list[str]:
        """The hashes of RFC 6962, 2.1.1, from the frame to the root of its page, in base 64."""
    __match_args__: ClassVar[tuple[Literal["number"], Literal["frame"], Literal["path"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PageProofs:
    """The proofs of the frames of a transfer."""
    @property
    def id(self) -> TransferId:
        """The transfer itself: what the id of an end (a post, a void) belongs to."""
    @property
    def ledger(self) -> str:
        """The ledger that it is in."""
    @property
    def created(self) -> PageProof:
        """Of the frame that recorded it."""
    @property
    def ended(self) -> PageProof | None:
        """Of the frame that ended it, when it was pending and has ended."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["ledger"], Literal["created"], Literal["ended"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Transfer:
    """A transfer."""
    @property
    def id(self) -> TransferId:
        """Its id."""
    @property
    def debit_account(self) -> AccountId:
        """The account that gives."""
    @property
    def credit_account(self) -> AccountId:
        """The account that receives."""
    @property
    def asset(self) -> str:
        """What moves."""
    @property
    def amount(self) -> Decimal:
        """How much moved, or was reserved."""
    @property
    def status(self) -> Literal["posted", "pending", "voided", "expired"]:
        """Where it stands."""
    @property
    def posted_amount(self) -> Decimal | None:
        """What was posted of a pending transfer."""
    @property
    def created_at(self) -> datetime:
        """When it was recorded."""
    @property
    def expires_at(self) -> datetime | None:
        """When it is (or would have been) released by itself."""
    @property
    def resolved_at(self) -> datetime | None:
        """When a pending transfer ended."""
    @property
    def debit_balance(self) -> AccountBalances:
        """What the account that gives held after it (after its end, when it was pending and has ended)."""
    @property
    def credit_balance(self) -> AccountBalances:
        """What the account that receives held after it (after its end, when it was pending and has ended)."""
    @property
    def existed(self) -> bool:
        """Whether it was there before the call."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["debit_account"], Literal["credit_account"], Literal["asset"], Literal["amount"], Literal["status"], Literal["posted_amount"], Literal["created_at"], Literal["expires_at"], Literal["resolved_at"], Literal["debit_balance"], Literal["credit_balance"], Literal["existed"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class HeldPermissions:
    """What a user may do."""
    @property
    def everything(self) -> bool:
        """Whether every permission is held."""
    @property
    def permissions(self) -> frozenset[str]:
        """The permissions that are held, by whatever role; empty when every one is."""
    __match_args__: ClassVar[tuple[Literal["everything"], Literal["permissions"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Profile:
    """What is known of a person."""
    @property
    def id(self) -> UserId:
        """The user."""
    @property
    def email(self) -> str:
        """Where mail is sent; also what the user signs in with."""
    @property
    def name(self) -> str | None:
        """What the person is called."""
    @property
    def locale(self) -> str | None:
        """Language and region (BCP 47), for example ``de-AT``."""
    @property
    def time_zone(self) -> str | None:
        """Time zone by its IANA name, for example ``Europe/Vienna``."""
    @property
    def attributes(self) -> dict[str, Any]:
        """What the application adds."""
    @property
    def status(self) -> Literal["active", "deactivated"]:
        """Whether the user may act."""
    @property
    def roles(self) -> frozenset[str]:
        """The roles that the user holds."""
    @property
    def created_at(self) -> datetime:
        """When the profile was made."""
    @property
    def updated_at(self) -> datetime:
        """When it was changed last."""
    @property
    def version(self) -> int:
        """Its version, for a later change that expects it."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["email"], Literal["name"], Literal["locale"], Literal["time_zone"], Literal["attributes"], Literal["status"], Literal["roles"], Literal["created_at"], Literal["updated_at"], Literal["version"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Role:
    """A role."""
    @property
    def id(self) -> str:
        """Its name."""
    @property
    def permissions(self) -> frozenset[str]:
        """Permissions of its own."""
    @property
    def includes(self) -> frozenset[str]:
        """Roles that it contains."""
    @property
    def built_in(self) -> bool:
        """Whether it is the built-in role that holds every permission."""
    @property
    def version(self) -> int:
        """Its version, for a later change that expects it."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["permissions"], Literal["includes"], Literal["built_in"], Literal["version"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RoleSummary:
    """A role of a list."""
    @property
    def id(self) -> str:
        """Its name."""
    @property
    def permissions(self) -> frozenset[str]:
        """Permissions of its own."""
    @property
    def includes(self) -> frozenset[str]:
        """Roles that it contains."""
    @property
    def built_in(self) -> bool:
        """Whether it is the built-in role that holds every permission."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["permissions"], Literal["includes"], Literal["built_in"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...
