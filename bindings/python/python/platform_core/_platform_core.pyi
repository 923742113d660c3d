# Made from the tables in bindings/python/src by `cargo xtask python stubs`: not to be edited.

import builtins
from collections.abc import AsyncIterator, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from os import PathLike
from types import GenericAlias, TracebackType
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, final
from platform_core._ids import AccountId, DeadLetterId, EventId, NotificationId, SessionId, TransferId, UserId

_Item = TypeVar("_Item", covariant=True)

class _StructuredArray(Protocol):
    """An array with named fields, as NumPy has them."""
    @property
    def dtype(self) -> Any: ...

def id_bytes(id: str) -> bytes:
    """The 16 bytes of an id: a UUID, ordered by time."""

def id_text(kind: str, raw: bytes) -> str:
    """The id of 16 bytes: ``kind`` is what stands before its ``_`` (``account``, ``transfer``, …)."""

@final
class Platform:
    """An open data folder: everything that the platform is, in this process.

    It is a context manager; ``close`` ends it, and so does the end of the process. What was answered is on
    the disk, whatever ends the process. Threads share one platform.
    """
    @staticmethod
    def open(
        path: str | PathLike[str],
        *,
        service: str = "python",
        smtp_url: str | None = None,
        mail_from: str | None = None,
    ) -> Platform:
        """Opens a data folder, and makes it when it is not there. The key that seals it is made beside it
        (``data.key``). Code in this process acts as the service ``service``, which may do everything; see
        ``acting_as``. With ``smtp_url`` (``smtps://user:password@mail.example.org``) and ``mail_from`` messages go out;
        without them what is sent is refused.

        Raises ``UnavailableError`` (``store.locked``) when the folder is open already, here or in another process,
        ``InvalidInputError`` (``config.invalid_smtp_url``, ``config.invalid_sender``).
        """
    @staticmethod
    def in_memory(*, service: str = "python") -> Platform:
        """A platform in memory, for tests and for trying out: empty, there within milliseconds, and gone when it is
        closed. What it sends it keeps: see ``sent_mail``.
        """
    def sent_mail(self) -> list[SentMail]:
        """What a platform in memory has sent so far, the oldest first.

        Raises ``ConflictError`` (``platform.not_in_memory``) where it stands in a folder.
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
    def events(self, name: str | None = None, *, stores: Sequence[str] = ...) -> Events:
        """What happens, as it happens: an iterator that waits for the next event. Under a ``name`` it goes on, also after a
        restart, behind the last event that was done under it, and a new name begins with the oldest; without one it
        begins with the next. ``stores`` are the domains whose events it has (``["users"]``); all, when none is named.
        Permission ``events:subscribe``.

        Events of one key come in their order, each at least once. One is done when the next is asked for, and with
        ``done``; what was not done comes again: after a crash up to 64 that were. Iterators of one name share the
        events. Nothing is read ahead but 64 at most. ``close``, the end of a ``with``, or that of the platform ends the
        iteration.

        Raises ``InvalidInputError`` (``events.invalid_name``, ``events.unknown_store``).
        """
    def serve(
        self,
        *,
        listen: str = "127.0.0.1:8080",
        tls_certificates: str | PathLike[str] | None = None,
        tls_key: str | PathLike[str] | None = None,
        trusted_proxies: Sequence[str] = ...,
    ) -> Serving:
        """Serves this platform, with every endpoint and the gateway's routes, until ``stop`` or until the platform is
        closed: the very server that the command line starts, within this process. ``listen`` is an address with a
        port (0: any that is free). With ``tls_certificates`` and ``tls_key`` (PEM files) it speaks TLS. What
        ``trusted_proxies`` (``10.0.0.0/8``) say of their clients is believed.

        Raises ``UnavailableError`` (``server.cannot_listen``), ``InvalidInputError`` (``request.invalid_address``,
        ``config.invalid_tls``).
        """
    def settled(self) -> None:
        """Waits until everything has happened that follows from what was done so far."""
    def wait_for(self, *, within: float = 10.0) -> None:
        """Waits until everything has happened that follows from what was done through this very object (``acting_as``
        makes another), ``within`` so many seconds: ``settled`` waits for what everybody did.

        Raises ``UnavailableError`` (``positions.not_reached``).
        """
    def backup(self, into: str | PathLike[str]) -> datetime:
        """Copies the folder into a new one, while it is in use; returns when the copy was taken. ``platform restore``
        puts it back. The key beside the folder is not in it.

        Raises ``AlreadyExistsError`` (``backup.exists``), ``UnavailableError`` (``backup.failed``), ``ConflictError``
        (``platform.in_memory``).
        """
    def __enter__(self) -> Platform: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    @property
    def audit(self) -> Audit:
        """The audit trail."""
    @property
    def auth(self) -> Auth:
        """Accounts, logins, sessions and tokens."""
    @property
    def dead_letters(self) -> DeadLetters:
        """Events that could not be handled."""
    @property
    def flags(self) -> Flags:
        """Feature flags."""
    @property
    def gateway(self) -> Gateway:
        """Routes, and who may use them."""
    @property
    def notifications(self) -> Notifications:
        """Messages to people."""
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
    def open(
        path: str | PathLike[str],
        *,
        service: str = "python",
        smtp_url: str | None = None,
        mail_from: str | None = None,
    ) -> AsyncOpening:
        """Opens a data folder, as ``Platform.open`` does: ``await`` it, or enter it with ``async with``."""
    @staticmethod
    def in_memory(*, service: str = "python") -> AsyncOpening:
        """A platform in memory, as ``Platform.in_memory`` makes it: ``await`` it, or enter it with ``async with``."""
    def sent_mail(self) -> list[SentMail]:
        """As ``Platform.sent_mail``. It is not awaited."""
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
    def events(self, name: str | None = None, *, stores: Sequence[str] = ...) -> AsyncEvents:
        """As ``Platform.events``, for ``async for``. It is not awaited: it subscribes with ``async with``, else with the
        first event that is asked for.
        """
    def serve(
        self,
        *,
        listen: str = "127.0.0.1:8080",
        tls_certificates: str | PathLike[str] | None = None,
        tls_key: str | PathLike[str] | None = None,
        trusted_proxies: Sequence[str] = ...,
    ) -> AsyncServing:
        """As ``Platform.serve``. It is not awaited: it listens when this returns."""
    async def settled(self) -> None:
        """As ``Platform.settled``."""
    async def wait_for(self, *, within: float = 10.0) -> None:
        """As ``Platform.wait_for``."""
    async def backup(self, into: str | PathLike[str]) -> datetime:
        """As ``Platform.backup``."""
    async def __aenter__(self) -> AsyncPlatform: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    @property
    def audit(self) -> AsyncAudit:
        """The audit trail."""
    @property
    def auth(self) -> AsyncAuth:
        """Accounts, logins, sessions and tokens."""
    @property
    def dead_letters(self) -> AsyncDeadLetters:
        """Events that could not be handled."""
    @property
    def flags(self) -> AsyncFlags:
        """Feature flags."""
    @property
    def gateway(self) -> AsyncGateway:
        """Routes, and who may use them."""
    @property
    def notifications(self) -> AsyncNotifications:
        """Messages to people."""
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
class Events:
    """What has happened, as it happens: see ``Platform.events``. It is an iterator and a context manager."""
    def __iter__(self) -> Events: ...
    def __next__(self) -> Event: ...
    def done(self) -> None:
        """Says that the event at hand is done, and all before it. Otherwise they are when the next is asked for, at the
        latest after 64 of them.

        Raises ``ConflictError`` (``events.closed``).
        """
    def close(self) -> None:
        """Ends the iteration, also one that waits in another thread. Once more does nothing; a platform that is closed
        has ended it.
        """
    def __enter__(self) -> Events: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class AsyncEvents:
    """What has happened, as it happens: see ``AsyncPlatform.events``. It is an asynchronous iterator and context manager."""
    def __aiter__(self) -> AsyncEvents: ...
    async def __anext__(self) -> Event: ...
    async def done(self) -> None:
        """As ``Events.done``."""
    def close(self) -> None:
        """As ``Events.close``. It is not awaited."""
    async def __aenter__(self) -> AsyncEvents: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Serving:
    """A server that runs in this process: see ``Platform.serve``. It is a context manager."""
    @property
    def address(self) -> str:
        """Where it listens: ``127.0.0.1:8080``."""
    @property
    def url(self) -> str:
        """The address as the beginning of a URL: ``http://127.0.0.1:8080``."""
    def stop(self) -> None:
        """Takes no new connections, and returns when the running requests have ended (10 seconds at most). Once more
        does nothing; a platform that is closed has stopped its servers.
        """
    def __enter__(self) -> Serving: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class AsyncServing:
    """A server that runs in this process: see ``AsyncPlatform.serve``. It is an asynchronous context manager."""
    @property
    def address(self) -> str:
        """Where it listens: ``127.0.0.1:8080``."""
    @property
    def url(self) -> str:
        """The address as the beginning of a URL: ``http://127.0.0.1:8080``."""
    async def stop(self) -> None:
        """As ``Serving.stop``."""
    async def __aenter__(self) -> AsyncServing: ...
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
class Audit:
    """The audit trail: a log that only grows, with proofs. What happens is in it milliseconds later (``settled`` waits for
    that).
    """
    def events(
        self,
        *,
        actor: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
    ) -> Pages[AuditEntry]:
        """The entries that fit everything that is given, newest first (permission ``audit:read``). ``from_time`` is inclusive,
        ``to_time`` is not.

        >>> p.settled()
        >>> [entry.action for entry in p.audit.events(subject=ada.id)]
        ['users.profile_created']
        """
    def event(self, index: int) -> AuditEntry:
        """One entry (permission ``audit:read``).

        Raises ``NotFoundError`` (``audit.not_found``).

        >>> p.audit.event(0).index
        0
        """
    def checkpoint(self) -> str:
        """The signed checkpoint over all entries (C2SP tlog-checkpoint; permission ``audit:read``).

        >>> p.audit.checkpoint().splitlines()[0].startswith("localhost/audit")
        True
        """
    def verifier_key(self) -> str:
        """The key that checks the checkpoints, as a C2SP verifier key (permission ``audit:read``).

        >>> p.audit.verifier_key().startswith("localhost/audit")
        True
        """
    def proof(self, index: int) -> EntryProof:
        """Proof that an entry is in the log; it is verified before it is given out (permission ``audit:read``).

        Raises ``NotFoundError`` (``audit.not_found``), ``DataLossError`` (``audit.damaged``).

        >>> p.audit.proof(0).index
        0
        """
    def proofs(self, indexes: Sequence[int]) -> list[EntryProof]:
        """Proofs of several entries under the same checkpoint, in their order (permission ``audit:read``).

        Raises as ``proof`` does.

        >>> [proof.index for proof in p.audit.proofs([0])]
        [0]
        """
    def consistency(self, from_size: int, *, to_size: int | None = None) -> ConsistencyProof:
        """Proof that the log of ``from_size`` entries is the beginning of the log of ``to_size`` entries (of all that are signed
        when absent; permission ``audit:read``).

        Raises ``InvalidInputError`` (``audit.invalid_range``), ``DataLossError`` (``audit.damaged``).

        >>> p.audit.consistency(1).from_size
        1
        """
    def resource(self, path: str) -> bytes:
        """A part of the log under its path of C2SP tlog-tiles: ``checkpoint``, ``tile/…``, ``tile/entries/…`` (permission
        ``audit:read``).

        Raises ``InvalidInputError`` (``audit.invalid_path``), ``NotFoundError`` (``audit.not_found``).

        >>> p.audit.resource("checkpoint").decode() == p.audit.checkpoint()
        True
        """
    def record_denied(self, action: str, subject: str) -> None:
        """Records that whoever acts was refused something by the application: ``action`` is what was attempted (a method and a
        route), ``subject`` what it was attempted on, without anything personal. It never waits; above ten a second of one
        client denials become counted entries.

        >>> p.acting_as(Principal.anonymous()).audit.record_denied("GET /orders", "orders")
        """
    def reorigin(self) -> str:
        """Begins a new log with an origin and a key of its own (permission ``audit:manage``); gives its verifier key.

        >>> before = p.audit.verifier_key()
        >>> p.audit.reorigin() != before
        True
        """
    def flush(self) -> None:
        """Writes and signs what was denied or shown so far, which happens by itself within 1.5 seconds.

        >>> p.acting_as(Principal.anonymous()).audit.record_denied("GET /orders", "orders")
        >>> p.audit.flush()
        >>> [entry.action for entry in p.audit.events(subject="orders")]
        ['GET /orders']
        """

@final
class AsyncAudit:
    """The audit trail: a log that only grows, with proofs. What happens is in it milliseconds later (``settled`` waits for
    that).
    """
    def events(
        self,
        *,
        actor: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
    ) -> AsyncPages[AuditEntry]:
        """The entries that fit everything that is given, newest first (permission ``audit:read``). ``from_time`` is inclusive,
        ``to_time`` is not.
        """
    async def event(self, index: int) -> AuditEntry:
        """One entry (permission ``audit:read``).

        Raises ``NotFoundError`` (``audit.not_found``).
        """
    async def checkpoint(self) -> str:
        """The signed checkpoint over all entries (C2SP tlog-checkpoint; permission ``audit:read``)."""
    async def verifier_key(self) -> str:
        """The key that checks the checkpoints, as a C2SP verifier key (permission ``audit:read``)."""
    async def proof(self, index: int) -> EntryProof:
        """Proof that an entry is in the log; it is verified before it is given out (permission ``audit:read``).

        Raises ``NotFoundError`` (``audit.not_found``), ``DataLossError`` (``audit.damaged``).
        """
    async def proofs(self, indexes: Sequence[int]) -> list[EntryProof]:
        """Proofs of several entries under the same checkpoint, in their order (permission ``audit:read``).

        Raises as ``proof`` does.
        """
    async def consistency(self, from_size: int, *, to_size: int | None = None) -> ConsistencyProof:
        """Proof that the log of ``from_size`` entries is the beginning of the log of ``to_size`` entries (of all that are signed
        when absent; permission ``audit:read``).

        Raises ``InvalidInputError`` (``audit.invalid_range``), ``DataLossError`` (``audit.damaged``).
        """
    async def resource(self, path: str) -> bytes:
        """A part of the log under its path of C2SP tlog-tiles: ``checkpoint``, ``tile/…``, ``tile/entries/…`` (permission
        ``audit:read``).

        Raises ``InvalidInputError`` (``audit.invalid_path``), ``NotFoundError`` (``audit.not_found``).
        """
    def record_denied(self, action: str, subject: str) -> None:
        """Records that whoever acts was refused something by the application: ``action`` is what was attempted (a method and a
        route), ``subject`` what it was attempted on, without anything personal. It never waits; above ten a second of one
        client denials become counted entries.
        """
    async def reorigin(self) -> str:
        """Begins a new log with an origin and a key of its own (permission ``audit:manage``); gives its verifier key."""
    async def flush(self) -> None:
        """Writes and signs what was denied or shown so far, which happens by itself within 1.5 seconds."""

@final
class Auth:
    """Accounts, logins, sessions and tokens."""
    def register(
        self,
        email: str,
        password: str,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> UserId:
        """Registers: makes a profile with a password, usable for a login at once. The password has 15 to 1,024 bytes.

        Raises ``AlreadyExistsError`` (``auth.email_taken``), ``InvalidInputError`` (``auth.password_too_weak`` and others),
        ``UnavailableError`` (``runtime.busy``).

        >>> grace = p.auth.register("grace@example.org", "a long enough password", name="Grace")
        >>> p.users.get(grace).name
        'Grace'
        """
    def login(self, email: str, password: str) -> TokenPair:
        """Signs in with address and password. ``acting_as(Principal.anonymous(), address=…)`` says from where, which the lockout
        goes by.

        Raises ``UnauthenticatedError`` (``auth.invalid_credentials``), ``LimitExceededError`` (``auth.too_many_attempts``),
        ``UnavailableError`` (``runtime.busy``).

        >>> grace = p.auth.register("grace@example.org", "a long enough password")
        >>> p.auth.login("grace@example.org", "a long enough password").token_type
        'Bearer'
        """
    def refresh(self, refresh_token: str) -> TokenPair:
        """Exchanges a refresh token for a new pair. A token is spent once.

        Raises ``UnauthenticatedError`` (``auth.invalid_refresh_token`` and others).

        >>> grace = p.auth.register("grace@example.org", "a long enough password")
        >>> pair = p.auth.login("grace@example.org", "a long enough password")
        >>> p.auth.refresh(pair.refresh_token).refresh_token != pair.refresh_token
        True
        """
    def logout(self, *, refresh_token: str | None = None) -> None:
        """Ends the session of whoever acts, or that of the refresh token. One that has ended already stays so.

        Raises ``UnauthenticatedError`` (``auth.not_signed_in``, ``auth.invalid_refresh_token``).

        >>> grace = p.auth.register("grace@example.org", "a long enough password")
        >>> pair = p.auth.login("grace@example.org", "a long enough password")
        >>> p.acting_as(p.auth.authenticate(pair.access_token)).auth.logout()
        """
    def change_password(self, current_password: str, new_password: str) -> None:
        """Changes one's own password, and ends every other session of the user.

        Raises ``UnauthenticatedError`` (``auth.invalid_credentials``), ``LimitExceededError``
        (``auth.too_many_attempts``), ``InvalidInputError`` (``auth.password_too_weak``).

        >>> grace = p.auth.register("grace@example.org", "a long enough password")
        >>> pair = p.auth.login("grace@example.org", "a long enough password")
        >>> themselves = p.acting_as(p.auth.authenticate(pair.access_token))
        >>> themselves.auth.change_password("a long enough password", "another long password")
        """
    def authenticate(self, bearer_token: str) -> Principal:
        """Whose access token it is, with what they may do at this moment: to be given to ``acting_as``. A token that was
        verified before is answered from memory; whatever ends or changes what it stands for is effective at once.

        Raises ``UnauthenticatedError`` (``auth.invalid_token``, ``auth.token_expired``, ``auth.session_ended``).

        >>> grace = p.auth.register("grace@example.org", "a long enough password")
        >>> pair = p.auth.login("grace@example.org", "a long enough password")
        >>> p.auth.authenticate(pair.access_token).user_id == grace
        True
        """
    def sessions(self, user: UserId) -> Pages[Session]:
        """The sessions of a user that have not ended: one's own, or with the permission ``sessions:read``.

        >>> grace = p.auth.register("grace@example.org", "a long enough password")
        >>> pair = p.auth.login("grace@example.org", "a long enough password")
        >>> [session.current for session in p.auth.sessions(grace)]
        [False]
        """
    def revoke_session(self, session: SessionId) -> None:
        """Ends a session: one's own, or with the permission ``sessions:write``. Effective for its very next request.

        Raises ``NotFoundError`` (``auth.session_not_found``).

        >>> grace = p.auth.register("grace@example.org", "a long enough password")
        >>> pair = p.auth.login("grace@example.org", "a long enough password")
        >>> for session in p.auth.sessions(grace):
        ...     p.auth.revoke_session(session.id)
        """
    def rotate_keys(self) -> None:
        """Makes a new key for signing; the one before still verifies (permission ``auth:rotate_keys``).

        >>> p.auth.rotate_keys()
        >>> len(p.auth.jwks())
        2
        """
    def jwks(self) -> list[Jwk]:
        """The public keys that verify access tokens (RFC 7517).

        >>> p.auth.jwks()[0].alg
        'EdDSA'
        """
    def setup_token(self) -> str | None:
        """The setup token, until there is an administrator: whoever has it may make the first one. It is made anew whenever the
        folder is opened.

        >>> p.auth.setup_token() is None
        False
        """
    def setup(self, token: str, email: str, password: str) -> TokenPair:
        """Makes the first administrator (role ``admin``, which holds every permission), and signs them in.

        Raises ``UnauthenticatedError`` (``auth.invalid_setup_token``), ``ConflictError`` (``auth.already_set_up``).

        >>> pair = p.auth.setup(p.auth.setup_token(), "root@example.org", "a long enough password")
        >>> p.users.has_administrator()
        True
        """

@final
class AsyncAuth:
    """Accounts, logins, sessions and tokens."""
    async def register(
        self,
        email: str,
        password: str,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> UserId:
        """Registers: makes a profile with a password, usable for a login at once. The password has 15 to 1,024 bytes.

        Raises ``AlreadyExistsError`` (``auth.email_taken``), ``InvalidInputError`` (``auth.password_too_weak`` and others),
        ``UnavailableError`` (``runtime.busy``).
        """
    async def login(self, email: str, password: str) -> TokenPair:
        """Signs in with address and password. ``acting_as(Principal.anonymous(), address=…)`` says from where, which the lockout
        goes by.

        Raises ``UnauthenticatedError`` (``auth.invalid_credentials``), ``LimitExceededError`` (``auth.too_many_attempts``),
        ``UnavailableError`` (``runtime.busy``).
        """
    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchanges a refresh token for a new pair. A token is spent once.

        Raises ``UnauthenticatedError`` (``auth.invalid_refresh_token`` and others).
        """
    async def logout(self, *, refresh_token: str | None = None) -> None:
        """Ends the session of whoever acts, or that of the refresh token. One that has ended already stays so.

        Raises ``UnauthenticatedError`` (``auth.not_signed_in``, ``auth.invalid_refresh_token``).
        """
    async def change_password(self, current_password: str, new_password: str) -> None:
        """Changes one's own password, and ends every other session of the user.

        Raises ``UnauthenticatedError`` (``auth.invalid_credentials``), ``LimitExceededError``
        (``auth.too_many_attempts``), ``InvalidInputError`` (``auth.password_too_weak``).
        """
    async def authenticate(self, bearer_token: str) -> Principal:
        """Whose access token it is, with what they may do at this moment: to be given to ``acting_as``. A token that was
        verified before is answered from memory; whatever ends or changes what it stands for is effective at once.

        Raises ``UnauthenticatedError`` (``auth.invalid_token``, ``auth.token_expired``, ``auth.session_ended``).
        """
    def sessions(self, user: UserId) -> AsyncPages[Session]:
        """The sessions of a user that have not ended: one's own, or with the permission ``sessions:read``."""
    async def revoke_session(self, session: SessionId) -> None:
        """Ends a session: one's own, or with the permission ``sessions:write``. Effective for its very next request.

        Raises ``NotFoundError`` (``auth.session_not_found``).
        """
    async def rotate_keys(self) -> None:
        """Makes a new key for signing; the one before still verifies (permission ``auth:rotate_keys``)."""
    def jwks(self) -> list[Jwk]:
        """The public keys that verify access tokens (RFC 7517)."""
    async def setup_token(self) -> str | None:
        """The setup token, until there is an administrator: whoever has it may make the first one. It is made anew whenever the
        folder is opened.
        """
    async def setup(self, token: str, email: str, password: str) -> TokenPair:
        """Makes the first administrator (role ``admin``, which holds every permission), and signs them in.

        Raises ``UnauthenticatedError`` (``auth.invalid_setup_token``), ``ConflictError`` (``auth.already_set_up``).
        """

@final
class DeadLetters:
    """Events that could not be handled."""
    def list(self) -> Pages[DeadLetter]:
        """The waiting events of all handlers, those of a key in the order in which they will be handled (permission
        ``deadletters:read``).

        >>> list(p.dead_letters.list())
        []
        """
    def get(self, id: DeadLetterId) -> DeadLetter:
        """One waiting event (permission ``deadletters:read``).

        Raises ``NotFoundError`` (``deadletters.not_found``).

        >>> try:
        ...     p.dead_letters.get(DeadLetterId("deadletter_01041040g2081040g2081040g2"))
        ... except NotFoundError as error:
        ...     error.code
        'deadletters.not_found'
        """
    def redrive(self, id: DeadLetterId) -> Redriven:
        """Handles the waiting events of this letter's key now, in order, until one fails (permission ``deadletters:redrive``).

        Raises ``NotFoundError`` (``deadletters.not_found``).

        >>> try:
        ...     p.dead_letters.redrive(DeadLetterId("deadletter_01041040g2081040g2081040g2"))
        ... except NotFoundError as error:
        ...     error.code
        'deadletters.not_found'
        """

@final
class AsyncDeadLetters:
    """Events that could not be handled."""
    def list(self) -> AsyncPages[DeadLetter]:
        """The waiting events of all handlers, those of a key in the order in which they will be handled (permission
        ``deadletters:read``).
        """
    async def get(self, id: DeadLetterId) -> DeadLetter:
        """One waiting event (permission ``deadletters:read``).

        Raises ``NotFoundError`` (``deadletters.not_found``).
        """
    async def redrive(self, id: DeadLetterId) -> Redriven:
        """Handles the waiting events of this letter's key now, in order, until one fails (permission ``deadletters:redrive``).

        Raises ``NotFoundError`` (``deadletters.not_found``).
        """

@final
class Flags:
    """Feature flags, in flagd's format."""
    def put(
        self,
        key: str,
        definition: Mapping[str, Any],
        *,
        revision: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Flag:
        """Sets a flag's definition, in flagd's format (permission ``flags:write``). Effective at once. ``revision`` is what
        the caller has read: when it is not true any more, nothing changes. ``reason`` stands in the revision.

        Raises ``InvalidInputError`` (``flags.invalid_definition``, with the place), ``FailedPreconditionError``
        (``flags.stale_revision``).

        >>> p.flags.put("dark-mode", {
        ...     "state": "ENABLED",
        ...     "variants": {"on": True, "off": False},
        ...     "defaultVariant": "off",
        ... }).revision
        1
        """
    def kill(
        self,
        key: str,
        *,
        revision: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Flag:
        """Disables a flag (permission ``flags:write``): evaluations give the callers' own defaults. Effective at once. A flag
        that is disabled stays so.

        Raises ``NotFoundError`` (``flags.not_found``), ``FailedPreconditionError`` (``flags.stale_revision``).

        >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        >>> p.flags.kill("beta", reason="it burns").definition["state"]
        'DISABLED'
        """
    def restore(
        self,
        key: str,
        revision: int,
        *,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Flag:
        """Takes the definition of an earlier revision again (permission ``flags:write``). Effective at once.

        Raises ``NotFoundError`` (``flags.revision_not_found``).

        >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        >>> killed = p.flags.kill("beta")
        >>> p.flags.restore("beta", 1).definition["state"]
        'ENABLED'
        """
    def delete(
        self,
        key: str,
        *,
        revision: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Deletes a flag; its revisions stay (permission ``flags:write``). Effective at once.

        Raises ``NotFoundError`` (``flags.not_found``), ``FailedPreconditionError`` (``flags.stale_revision``).

        >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        >>> p.flags.delete("beta")
        """
    def put_set(
        self,
        *,
        bucketing: Literal["v1", "v2", "v3"] | None = None,
        evaluators: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> FlagSet:
        """Replaces what holds for all flags (permission ``flags:write``): what is not given is as it was in the beginning.
        ``bucketing`` cannot change while there are flags.

        Raises ``InvalidInputError`` (``flags.invalid_settings`` and others), ``ConflictError``.

        >>> p.flags.put_set(metadata={"team": "engines"}).metadata
        {'team': 'engines'}
        """
    def get(self, key: str) -> Flag:
        """A flag (permission ``flags:read``).

        Raises ``NotFoundError`` (``flags.not_found``).

        >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        >>> p.flags.get("beta") == flag
        True
        """
    def list(self) -> Pages[Flag]:
        """The flags in the order of their keys (permission ``flags:read``).

        >>> [flag.key for flag in p.flags.list()]
        []
        """
    def revisions(self, key: str) -> Pages[FlagRevision]:
        """The revisions of a flag, the newest first (permission ``flags:read``).

        >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        >>> killed = p.flags.kill("beta", reason="it burns")
        >>> [(revision.change, revision.reason) for revision in p.flags.revisions("beta")]
        [('kill', 'it burns'), ('put', None)]
        """
    def set(self) -> FlagSet:
        """What holds for all flags (permission ``flags:read``).

        >>> p.flags.set().bucketing
        'v2'
        """
    def evaluations(self, key: str) -> builtins.list[VariantCount]:
        """How often each variant of a flag was given, up to the last 5 seconds (permission ``flags:read``).

        Raises ``NotFoundError`` (``flags.not_found``).

        >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        >>> p.flags.evaluations("beta")
        []
        """
    def evaluate(
        self,
        key: str,
        *,
        targeting_key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> FlagEvaluation:
        """Evaluates a flag, from memory, for whoever is signed in. A failure of the evaluation is part of the answer.
        ``targeting_key`` and ``attributes`` are OpenFeature's context.

        Raises ``InvalidInputError`` (``flags.invalid_context``).

        >>> flag = p.flags.put("price", {
        ...     "state": "ENABLED",
        ...     "variants": {"high": 12, "low": 10},
        ...     "defaultVariant": "high",
        ...     "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "low", None]},
        ... })
        >>> p.flags.evaluate("price").value
        12
        >>> p.flags.evaluate("price", targeting_key="ada", attributes={"tier": "gold"}).value
        10
        >>> p.flags.evaluate("nothing").error_code
        'FLAG_NOT_FOUND'
        """
    def evaluate_all(
        self,
        *,
        targeting_key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        known: str | None = None,
    ) -> BulkEvaluation:
        """Evaluates all flags, from memory, for whoever is signed in, unless they have the evaluations of the tag ``known``.

        Raises as ``evaluate`` does.

        >>> all = p.flags.evaluate_all(targeting_key="ada")
        >>> all.flags
        []
        >>> p.flags.evaluate_all(targeting_key="ada", known=all.etag).flags is None
        True
        """

@final
class AsyncFlags:
    """Feature flags, in flagd's format."""
    async def put(
        self,
        key: str,
        definition: Mapping[str, Any],
        *,
        revision: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Flag:
        """Sets a flag's definition, in flagd's format (permission ``flags:write``). Effective at once. ``revision`` is what
        the caller has read: when it is not true any more, nothing changes. ``reason`` stands in the revision.

        Raises ``InvalidInputError`` (``flags.invalid_definition``, with the place), ``FailedPreconditionError``
        (``flags.stale_revision``).
        """
    async def kill(
        self,
        key: str,
        *,
        revision: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Flag:
        """Disables a flag (permission ``flags:write``): evaluations give the callers' own defaults. Effective at once. A flag
        that is disabled stays so.

        Raises ``NotFoundError`` (``flags.not_found``), ``FailedPreconditionError`` (``flags.stale_revision``).
        """
    async def restore(
        self,
        key: str,
        revision: int,
        *,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Flag:
        """Takes the definition of an earlier revision again (permission ``flags:write``). Effective at once.

        Raises ``NotFoundError`` (``flags.revision_not_found``).
        """
    async def delete(
        self,
        key: str,
        *,
        revision: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Deletes a flag; its revisions stay (permission ``flags:write``). Effective at once.

        Raises ``NotFoundError`` (``flags.not_found``), ``FailedPreconditionError`` (``flags.stale_revision``).
        """
    async def put_set(
        self,
        *,
        bucketing: Literal["v1", "v2", "v3"] | None = None,
        evaluators: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> FlagSet:
        """Replaces what holds for all flags (permission ``flags:write``): what is not given is as it was in the beginning.
        ``bucketing`` cannot change while there are flags.

        Raises ``InvalidInputError`` (``flags.invalid_settings`` and others), ``ConflictError``.
        """
    async def get(self, key: str) -> Flag:
        """A flag (permission ``flags:read``).

        Raises ``NotFoundError`` (``flags.not_found``).
        """
    def list(self) -> AsyncPages[Flag]:
        """The flags in the order of their keys (permission ``flags:read``)."""
    def revisions(self, key: str) -> AsyncPages[FlagRevision]:
        """The revisions of a flag, the newest first (permission ``flags:read``)."""
    async def set(self) -> FlagSet:
        """What holds for all flags (permission ``flags:read``)."""
    async def evaluations(self, key: str) -> builtins.list[VariantCount]:
        """How often each variant of a flag was given, up to the last 5 seconds (permission ``flags:read``).

        Raises ``NotFoundError`` (``flags.not_found``).
        """
    def evaluate(
        self,
        key: str,
        *,
        targeting_key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> FlagEvaluation:
        """Evaluates a flag, from memory, for whoever is signed in. A failure of the evaluation is part of the answer.
        ``targeting_key`` and ``attributes`` are OpenFeature's context.

        Raises ``InvalidInputError`` (``flags.invalid_context``).
        """
    def evaluate_all(
        self,
        *,
        targeting_key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        known: str | None = None,
    ) -> BulkEvaluation:
        """Evaluates all flags, from memory, for whoever is signed in, unless they have the evaluations of the tag ``known``.

        Raises as ``evaluate`` does.
        """

@final
class Gateway:
    """Routes, and who may use them. They are data: the server that forwards requests is the binary."""
    def put(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        revision: int | None = None,
        idempotency_key: str | None = None,
    ) -> Route:
        """Sets a route (permission ``gateway:write``). ``definition`` is the JSON of the REST interface. ``revision`` is what the
        caller has read: when it is not true any more, nothing changes.

        Raises ``InvalidInputError`` (``gateway.invalid_route``, with the place), ``ConflictError``
        (``gateway.route_conflict``), ``FailedPreconditionError`` (``gateway.stale_revision``).

        >>> p.gateway.put("orders", {
        ...     "match": {"path": "/orders/{*rest}"},
        ...     "access": "signed_in",
        ...     "target": {"upstreams": ["http://127.0.0.1:8080"]},
        ... }).revision
        1
        """
    def delete(self, name: str, *, revision: int | None = None, idempotency_key: str | None = None) -> None:
        """Deletes a route (permission ``gateway:write``), effective when this returns.

        Raises ``NotFoundError`` (``gateway.route_not_found``), ``FailedPreconditionError`` (``gateway.stale_revision``).

        >>> route = p.gateway.put("orders", {
        ...     "match": {"path": "/orders"}, "access": "open", "target": {"upstreams": ["http://127.0.0.1:8080"]},
        ... })
        >>> p.gateway.delete("orders")
        """
    def get(self, name: str) -> Route:
        """A route (permission ``gateway:read``).

        Raises ``NotFoundError`` (``gateway.route_not_found``).

        >>> route = p.gateway.put("orders", {
        ...     "match": {"path": "/orders"}, "access": "open", "target": {"upstreams": ["http://127.0.0.1:8080"]},
        ... })
        >>> p.gateway.get("orders").definition["access"]
        'open'
        """
    def list(self) -> Pages[Route]:
        """The routes in the order of their names (permission ``gateway:read``).

        >>> [route.name for route in p.gateway.list()]
        []
        """

@final
class AsyncGateway:
    """Routes, and who may use them. They are data: the server that forwards requests is the binary."""
    async def put(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        revision: int | None = None,
        idempotency_key: str | None = None,
    ) -> Route:
        """Sets a route (permission ``gateway:write``). ``definition`` is the JSON of the REST interface. ``revision`` is what the
        caller has read: when it is not true any more, nothing changes.

        Raises ``InvalidInputError`` (``gateway.invalid_route``, with the place), ``ConflictError``
        (``gateway.route_conflict``), ``FailedPreconditionError`` (``gateway.stale_revision``).
        """
    async def delete(
        self,
        name: str,
        *,
        revision: int | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Deletes a route (permission ``gateway:write``), effective when this returns.

        Raises ``NotFoundError`` (``gateway.route_not_found``), ``FailedPreconditionError`` (``gateway.stale_revision``).
        """
    async def get(self, name: str) -> Route:
        """A route (permission ``gateway:read``).

        Raises ``NotFoundError`` (``gateway.route_not_found``).
        """
    def list(self) -> AsyncPages[Route]:
        """The routes in the order of their names (permission ``gateway:read``)."""

@final
class Notifications:
    """Messages to people. They are kept until a channel takes them: that of a platform in memory keeps them for
    ``sent_mail``; that of one in a folder is named when it is opened, and without it what
    is sent is refused.
    """
    def send(
        self,
        template: str,
        *,
        user_id: UserId | None = None,
        to: str | None = None,
        channel: str | None = None,
        data: Mapping[str, Any] | None = None,
        locale: str | None = None,
        send_at: datetime | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Notification:
        """Accepts a notification (permission ``notifications:send``): rendered, stored, and from then on certain to reach a
        final state. It goes to ``user_id`` or to the address ``to``, not before ``send_at`` and not after ``deadline``;
        ``channel`` is ``email`` when nothing is said.

        Raises ``InvalidInputError`` (``notifications.invalid_recipient`` and others), ``NotFoundError``
        (``notifications.template_not_found``, ``notifications.unknown_recipient``), ``ConflictError``.

        >>> try:
        ...     p.notifications.send("welcome", user_id=ada.id, data={"name": "Ada"})
        ... except Error as error:
        ...     error.code
        'notifications.channel_not_configured'
        """
    def retry(self, id: NotificationId, *, idempotency_key: str | None = None) -> Notification:
        """Begins a dead delivery anew, with all its attempts (permission ``notifications:send``).

        Raises ``NotFoundError`` (``notifications.not_found``), ``ConflictError`` (``notifications.not_dead`` and others).

        >>> try:
        ...     p.notifications.retry(NotificationId("notification_01041040g2081040g2081040g2"))
        ... except NotFoundError as error:
        ...     error.code
        'notifications.not_found'
        """
    def get(self, id: NotificationId) -> Notification:
        """What became of a notification: one's own, or with the permission ``notifications:read``.

        Raises ``NotFoundError`` (``notifications.not_found``).

        >>> try:
        ...     p.notifications.get(NotificationId("notification_01041040g2081040g2081040g2"))
        ... except NotFoundError as error:
        ...     error.code
        'notifications.not_found'
        """
    def list(self, *, user: UserId | None = None) -> Pages[Notification]:
        """Notifications, the newest first: of a user (one's own), or of all (permission ``notifications:read``).

        >>> list(p.notifications.list(user=ada.id))
        []
        """
    def put_template(
        self,
        name: str,
        subject: str,
        text: str,
        *,
        html: str | None = None,
        category: str | None = None,
        if_unknown: Literal["resend", "hold"] | None = None,
        locales: Mapping[str, TemplateParts] | None = None,
        expected: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Template:
        """Writes a new revision of a template (permission ``notifications:templates``). ``locales`` are its parts in other
        languages. With ``expected`` only if the present revision is that one. ``reason`` stands in the revision.

        Raises ``InvalidInputError`` (``notifications.template_invalid``), ``FailedPreconditionError``
        (``notifications.version_mismatch``).

        >>> p.notifications.put_template("shipped", "Your order {{ order }}", "It is on its way.").revision
        1
        """
    def template(self, name: str) -> Template:
        """A template as it is now, stored or built in (permission ``notifications:templates``).

        Raises ``NotFoundError`` (``notifications.template_not_found``).

        >>> p.notifications.template("welcome").revision
        0
        """
    def template_revision(self, name: str, revision: int) -> Template:
        """A revision of a template (permission ``notifications:templates``).

        Raises ``NotFoundError`` (``notifications.template_not_found``).

        >>> template = p.notifications.put_template("shipped", "Your order", "It is on its way.")
        >>> p.notifications.template_revision("shipped", 1).parts.subject
        'Your order'
        """
    def template_revisions(self, name: str) -> Pages[Template]:
        """The revisions of a template, the newest first (permission ``notifications:templates``).

        >>> template = p.notifications.put_template("shipped", "Your order", "It is on its way.", reason="new")
        >>> [template.reason for template in p.notifications.template_revisions("shipped")]
        ['new']
        """
    def templates(self) -> Pages[Template]:
        """The stored templates, by name (permission ``notifications:templates``).

        >>> [template.name for template in p.notifications.templates()]
        []
        """
    def preview(
        self,
        name: str,
        *,
        data: Mapping[str, Any] | None = None,
        locale: str | None = None,
    ) -> Rendered:
        """What a template would say with some data; nothing is stored or sent (permission ``notifications:templates``).

        Raises ``NotFoundError`` (``notifications.template_not_found``), ``InvalidInputError``
        (``notifications.render_failed``).

        >>> template = p.notifications.put_template("shipped", "Your order {{ order }}", "It is on its way.")
        >>> p.notifications.preview("shipped", data={"order": 7}).subject
        'Your order 7'
        """
    def preferences(self, user: UserId) -> Preferences:
        """What a user wants to receive: oneself, or with the permission ``notifications:read``.

        >>> p.notifications.preferences(ada.id)
        Preferences(categories={}, version=0)
        """
    def put_preferences(
        self,
        user: UserId,
        categories: Mapping[str, bool],
        *,
        expected: int | None = None,
        idempotency_key: str | None = None,
    ) -> Preferences:
        """Replaces what a user wants to receive: oneself, or with the permission ``notifications:send``. With ``expected`` only
        if the version is that one.

        Raises ``InvalidInputError`` (``notifications.category_required`` for ``security``), ``FailedPreconditionError``
        (``notifications.version_mismatch``), ``NotFoundError`` (``notifications.unknown_recipient``).

        >>> p.notifications.put_preferences(ada.id, {"news": False}).categories
        {'news': False}
        """
    def attempts(self) -> dict[str, int]:
        """How many attempts to send ended how since the platform was opened (permission ``notifications:read``).

        >>> p.notifications.attempts()["sent"]
        0
        """

@final
class AsyncNotifications:
    """Messages to people. They are kept until a channel takes them: that of a platform in memory keeps them for
    ``sent_mail``; that of one in a folder is named when it is opened, and without it what
    is sent is refused.
    """
    async def send(
        self,
        template: str,
        *,
        user_id: UserId | None = None,
        to: str | None = None,
        channel: str | None = None,
        data: Mapping[str, Any] | None = None,
        locale: str | None = None,
        send_at: datetime | None = None,
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Notification:
        """Accepts a notification (permission ``notifications:send``): rendered, stored, and from then on certain to reach a
        final state. It goes to ``user_id`` or to the address ``to``, not before ``send_at`` and not after ``deadline``;
        ``channel`` is ``email`` when nothing is said.

        Raises ``InvalidInputError`` (``notifications.invalid_recipient`` and others), ``NotFoundError``
        (``notifications.template_not_found``, ``notifications.unknown_recipient``), ``ConflictError``.
        """
    async def retry(self, id: NotificationId, *, idempotency_key: str | None = None) -> Notification:
        """Begins a dead delivery anew, with all its attempts (permission ``notifications:send``).

        Raises ``NotFoundError`` (``notifications.not_found``), ``ConflictError`` (``notifications.not_dead`` and others).
        """
    async def get(self, id: NotificationId) -> Notification:
        """What became of a notification: one's own, or with the permission ``notifications:read``.

        Raises ``NotFoundError`` (``notifications.not_found``).
        """
    def list(self, *, user: UserId | None = None) -> AsyncPages[Notification]:
        """Notifications, the newest first: of a user (one's own), or of all (permission ``notifications:read``)."""
    async def put_template(
        self,
        name: str,
        subject: str,
        text: str,
        *,
        html: str | None = None,
        category: str | None = None,
        if_unknown: Literal["resend", "hold"] | None = None,
        locales: Mapping[str, TemplateParts] | None = None,
        expected: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Template:
        """Writes a new revision of a template (permission ``notifications:templates``). ``locales`` are its parts in other
        languages. With ``expected`` only if the present revision is that one. ``reason`` stands in the revision.

        Raises ``InvalidInputError`` (``notifications.template_invalid``), ``FailedPreconditionError``
        (``notifications.version_mismatch``).
        """
    async def template(self, name: str) -> Template:
        """A template as it is now, stored or built in (permission ``notifications:templates``).

        Raises ``NotFoundError`` (``notifications.template_not_found``).
        """
    async def template_revision(self, name: str, revision: int) -> Template:
        """A revision of a template (permission ``notifications:templates``).

        Raises ``NotFoundError`` (``notifications.template_not_found``).
        """
    def template_revisions(self, name: str) -> AsyncPages[Template]:
        """The revisions of a template, the newest first (permission ``notifications:templates``)."""
    def templates(self) -> AsyncPages[Template]:
        """The stored templates, by name (permission ``notifications:templates``)."""
    async def preview(
        self,
        name: str,
        *,
        data: Mapping[str, Any] | None = None,
        locale: str | None = None,
    ) -> Rendered:
        """What a template would say with some data; nothing is stored or sent (permission ``notifications:templates``).

        Raises ``NotFoundError`` (``notifications.template_not_found``), ``InvalidInputError``
        (``notifications.render_failed``).
        """
    async def preferences(self, user: UserId) -> Preferences:
        """What a user wants to receive: oneself, or with the permission ``notifications:read``."""
    async def put_preferences(
        self,
        user: UserId,
        categories: Mapping[str, bool],
        *,
        expected: int | None = None,
        idempotency_key: str | None = None,
    ) -> Preferences:
        """Replaces what a user wants to receive: oneself, or with the permission ``notifications:send``. With ``expected`` only
        if the version is that one.

        Raises ``InvalidInputError`` (``notifications.category_required`` for ``security``), ``FailedPreconditionError``
        (``notifications.version_mismatch``), ``NotFoundError`` (``notifications.unknown_recipient``).
        """
    def attempts(self) -> dict[str, int]:
        """How many attempts to send ended how since the platform was opened (permission ``notifications:read``)."""

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

        Raises ``InvalidInputError`` (``ledger.empty_batch``), ``LimitExceededError`` (``ledger.batch_too_large``); of a linked batch what refused
        the one that failed, with its ``index`` in the context.

        >>> done = p.transactions.transfer_batch([
        ...     (bank.id, purse.id, "EUR", "1.00"),
        ...     (purse.id, bank.id, "EUR", Decimal("1000.00")),
        ... ])
        >>> [(item.result, item.code) for item in done]
        [('created', None), ('rejected', 'ledger.insufficient_funds')]
        """
    def submit(
        self,
        transfers: Iterable[NewTransfer | tuple[AccountId, AccountId, str, Decimal | int | str]] | _StructuredArray,
        *,
        linked: bool = False,
    ) -> Submission:
        """Makes transfers together as ``transfer_batch`` does, 8,190 at most, without an object for each that comes back; for
        callers that count in millions (permission ``ledger:transfer``). They are ``NewTransfer``s or tuples as there, or the
        rows of a structured array of NumPy, which cost no object either:

        - ``debit_account``, ``credit_account``: ``V16``, the bytes of ``id_bytes``; or ``S34``, the text.
        - ``amount_minor``: ``u8`` or ``i8``, in minor units (cents of EUR).
        - ``asset`` (may be left out): ``S16``; both accounts must count it. Without it they only must count the same.
        - ``id`` (may be left out): ``V16`` or ``S35``.
        - ``pending`` (may be left out): ``?``. ``expires_in_s`` (may be left out): ``u4``; 0 is never.

        What is to be sent again without harm needs ids of the caller's own: there is no ``idempotency_key``. ``linked``: all or
        none. What was refused is told by the result, also of a linked batch.

        Raises ``InvalidInputError`` (``ledger.empty_batch``; ``ledger.invalid_amount``, ``request.invalid_id`` and others, with
        the ``index`` in the context), ``LimitExceededError`` (``ledger.batch_too_large``), ``TypeError`` for a field of
        another name or type.

        >>> done = p.transactions.submit([
        ...     (bank.id, purse.id, "EUR", "1.00"),
        ...     (purse.id, bank.id, "EUR", Decimal("1000.00")),
        ... ])
        >>> done.created, list(done.codes), [(row.index, row.code) for row in done.failed]
        (1, [0, 25], [(1, 'ledger.insufficient_funds')])
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

        Raises ``InvalidInputError`` (``ledger.empty_batch``), ``LimitExceededError`` (``ledger.batch_too_large``); of a linked batch what refused
        the one that failed, with its ``index`` in the context.
        """
    async def submit(
        self,
        transfers: Iterable[NewTransfer | tuple[AccountId, AccountId, str, Decimal | int | str]] | _StructuredArray,
        *,
        linked: bool = False,
    ) -> Submission:
        """Makes transfers together as ``transfer_batch`` does, 8,190 at most, without an object for each that comes back; for
        callers that count in millions (permission ``ledger:transfer``). They are ``NewTransfer``s or tuples as there, or the
        rows of a structured array of NumPy, which cost no object either:

        - ``debit_account``, ``credit_account``: ``V16``, the bytes of ``id_bytes``; or ``S34``, the text.
        - ``amount_minor``: ``u8`` or ``i8``, in minor units (cents of EUR).
        - ``asset`` (may be left out): ``S16``; both accounts must count it. Without it they only must count the same.
        - ``id`` (may be left out): ``V16`` or ``S35``.
        - ``pending`` (may be left out): ``?``. ``expires_in_s`` (may be left out): ``u4``; 0 is never.

        What is to be sent again without harm needs ids of the caller's own: there is no ``idempotency_key``. ``linked``: all or
        none. What was refused is told by the result, also of a linked batch.

        Raises ``InvalidInputError`` (``ledger.empty_batch``; ``ledger.invalid_amount``, ``request.invalid_id`` and others, with
        the ``index`` in the context), ``LimitExceededError`` (``ledger.batch_too_large``), ``TypeError`` for a field of
        another name or type.
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
class AuditEntry:
    """An entry of the audit log."""
    @property
    def index(self) -> int:
        """Its number in the log, from 0, gapless."""
    @property
    def id(self) -> EventId:
        """The id of the event, or one of its own."""
    @property
    def time(self) -> datetime:
        """When it happened."""
    @property
    def action(self) -> str:
        """What was done: the type of the event, or what was attempted."""
    @property
    def actor(self) -> str:
        """Who did it."""
    @property
    def subject(self) -> str:
        """What it was done to."""
    @property
    def outcome(self) -> Literal["success", "failure", "denied"]:
        """How it ended."""
    @property
    def correlation_id(self) -> str:
        """The request it belongs to."""
    @property
    def causation_id(self) -> EventId | None:
        """The event that caused it."""
    @property
    def source(self) -> AuditSource | None:
        """Where the event was published; ``None`` when there was no event."""
    @property
    def count(self) -> int | None:
        """How many equal occurrences this one stands for; ``None`` for one."""
    @property
    def data(self) -> Any:
        """The data of the event: personal data only sealed under the person's key."""
    __match_args__: ClassVar[tuple[Literal["index"], Literal["id"], Literal["time"], Literal["action"], Literal["actor"], Literal["subject"], Literal["outcome"], Literal["correlation_id"], Literal["causation_id"], Literal["source"], Literal["count"], Literal["data"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class AuditSource:
    """The place of an event in the store that published it."""
    @property
    def store(self) -> str:
        """The store."""
    @property
    def commit(self) -> int:
        """The commit."""
    @property
    def index(self) -> int:
        """The index in the commit."""
    __match_args__: ClassVar[tuple[Literal["store"], Literal["commit"], Literal["index"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ConsistencyProof:
    """Proof that nothing was changed between two sizes of the log. Hashes are base 64."""
    @property
    def from_size(self) -> int:
        """The smaller size."""
    @property
    def from_root(self) -> str:
        """Its root."""
    @property
    def to_size(self) -> int:
        """The larger size."""
    @property
    def to_root(self) -> str:
        """Its root."""
    @property
    def proof(self) -> list[str]:
        """The hashes of RFC 6962, 2.1.2."""
    @property
    def checkpoint(self) -> str:
        """A signed checkpoint over at least ``to_size`` entries."""
    __match_args__: ClassVar[tuple[Literal["from_size"], Literal["from_root"], Literal["to_size"], Literal["to_root"], Literal["proof"], Literal["checkpoint"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class EntryProof:
    """Proof that an entry is in the log of a signed checkpoint. Hashes are base 64."""
    @property
    def index(self) -> int:
        """The number of the entry."""
    @property
    def tree_size(self) -> int:
        """The number of entries of the log that it is proven to be in."""
    @property
    def entry(self) -> str:
        """The entry: exactly the text whose bytes are hashed."""
    @property
    def leaf_hash(self) -> str:
        """``SHA256(0x00 ‖ entry)``."""
    @property
    def proof(self) -> list[str]:
        """The hashes from the leaf to the root."""
    @property
    def root(self) -> str:
        """The root that they lead to."""
    @property
    def checkpoint(self) -> str:
        """The signed checkpoint with that size and root."""
    __match_args__: ClassVar[tuple[Literal["index"], Literal["tree_size"], Literal["entry"], Literal["leaf_hash"], Literal["proof"], Literal["root"], Literal["checkpoint"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Jwk:
    """An Ed25519 public key (RFC 8037, section 2)."""
    @property
    def kty(self) -> str:
        """``OKP``."""
    @property
    def crv(self) -> str:
        """``Ed25519``."""
    @property
    def x(self) -> str:
        """The public key, base64url."""
    @property
    def kid(self) -> str:
        """The thumbprint (RFC 7638)."""
    @property
    def use_(self) -> str:
        """``sig``."""
    @property
    def alg(self) -> str:
        """``EdDSA``."""
    __match_args__: ClassVar[tuple[Literal["kty"], Literal["crv"], Literal["x"], Literal["kid"], Literal["use_"], Literal["alg"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Session:
    """A session as its user sees it."""
    @property
    def id(self) -> SessionId:
        """The session."""
    @property
    def created_at(self) -> datetime:
        """When the user signed in."""
    @property
    def last_used_at(self) -> datetime:
        """When it was refreshed last."""
    @property
    def ends_at(self) -> datetime:
        """When it ends unless it is refreshed before."""
    @property
    def address(self) -> str | None:
        """The address of the last login or refresh."""
    @property
    def user_agent(self) -> str | None:
        """The program of the last login or refresh."""
    @property
    def current(self) -> bool:
        """Whether whoever asks belongs to it."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["created_at"], Literal["last_used_at"], Literal["ends_at"], Literal["address"], Literal["user_agent"], Literal["current"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class TokenPair:
    """The answer to a login or a refresh (RFC 6749, 5.1)."""
    @property
    def access_token(self) -> str:
        """For the header ``Authorization: Bearer``."""
    @property
    def token_type(self) -> str:
        """``Bearer``."""
    @property
    def expires_in(self) -> int:
        """Seconds for which the access token is valid."""
    @property
    def refresh_token(self) -> str:
        """Exchanged, once, for the next pair."""
    __match_args__: ClassVar[tuple[Literal["access_token"], Literal["token_type"], Literal["expires_in"], Literal["refresh_token"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class DeadLetter:
    """An event that a handler could not process, or that queues behind such a one."""
    @property
    def id(self) -> DeadLetterId:
        """Its id."""
    @property
    def handler(self) -> str:
        """The handler."""
    @property
    def store(self) -> str:
        """The store that published the event."""
    @property
    def key(self) -> str:
        """The key whose events wait."""
    @property
    def position(self) -> str:
        """The event's place in its store."""
    @property
    def state(self) -> Literal["retrying", "dead", "queued"]:
        """It is tried again by itself, waits for ``redrive``, or queues behind an earlier one of its key."""
    @property
    def attempts(self) -> int:
        """How often it failed; 0 while it is queued."""
    @property
    def error_code(self) -> str | None:
        """Code of the last failure."""
    @property
    def error_message(self) -> str | None:
        """The last failure in words."""
    @property
    def failed_at(self) -> datetime | None:
        """When it failed last."""
    @property
    def retry_at(self) -> datetime | None:
        """When it is tried again by itself."""
    @property
    def parked_at(self) -> datetime:
        """When it was put here."""
    @property
    def event(self) -> Any:
        """The event, as CloudEvents write it."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["handler"], Literal["store"], Literal["key"], Literal["position"], Literal["state"], Literal["attempts"], Literal["error_code"], Literal["error_message"], Literal["failed_at"], Literal["retry_at"], Literal["parked_at"], Literal["event"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Redriven:
    """What a redrive came to."""
    @property
    def handled(self) -> int:
        """Letters of the key that were handled now, in order."""
    @property
    def left(self) -> int:
        """Letters of the key that still wait."""
    @property
    def error_code(self) -> str | None:
        """Code of the failure that stopped it."""
    __match_args__: ClassVar[tuple[Literal["handled"], Literal["left"], Literal["error_code"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Event:
    """Something that has happened. What is personal in it is sealed."""
    @property
    def id(self) -> EventId:
        """Its id."""
    @property
    def event_type(self) -> str:
        """``domain.what_happened``."""
    @property
    def subject(self) -> str:
        """What it is about: an id."""
    @property
    def key(self) -> str:
        """Events of one key come in their order."""
    @property
    def time(self) -> datetime:
        """When it happened."""
    @property
    def actor(self) -> str:
        """Who caused it: ``user:ID``, ``service:NAME``, ``anonymous`` or ``system``."""
    @property
    def correlation_id(self) -> str:
        """The request."""
    @property
    def causation_id(self) -> EventId | None:
        """The event that caused it."""
    @property
    def store(self) -> str:
        """The store whose commit published it."""
    @property
    def position(self) -> str:
        """Where it stands in that store: as text it sorts."""
    @property
    def data(self) -> Any:
        """What happened."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["event_type"], Literal["subject"], Literal["key"], Literal["time"], Literal["actor"], Literal["correlation_id"], Literal["causation_id"], Literal["store"], Literal["position"], Literal["data"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class BulkEvaluation:
    """All flags for one context."""
    @property
    def etag(self) -> str:
        """The tag of set and context: equal tags mean equal evaluations."""
    @property
    def flags(self) -> list[FlagEvaluation] | None:
        """The evaluations, in the order of keys; ``None`` when the caller has those of this tag."""
    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the set."""
    __match_args__: ClassVar[tuple[Literal["etag"], Literal["flags"], Literal["metadata"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Flag:
    """A flag."""
    @property
    def key(self) -> str:
        """Its key."""
    @property
    def revision(self) -> int:
        """Counts its changes, from 1, also over deletion."""
    @property
    def definition(self) -> dict[str, Any]:
        """The definition, in flagd's format."""
    __match_args__: ClassVar[tuple[Literal["key"], Literal["revision"], Literal["definition"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class FlagEvaluation:
    """What an evaluation gave, or why it gave nothing."""
    @property
    def key(self) -> str:
        """The flag."""
    @property
    def value(self) -> Any:
        """The value; ``None`` when the caller's own default applies."""
    @property
    def variant(self) -> str | None:
        """The variant; ``None`` without a value."""
    @property
    def reason(self) -> Literal["STATIC", "DEFAULT", "TARGETING_MATCH", "DISABLED", "ERROR"]:
        """Why."""
    @property
    def metadata(self) -> dict[str, Any]:
        """What is said besides."""
    @property
    def error_code(self) -> Literal["FLAG_NOT_FOUND", "PARSE_ERROR", "INVALID_CONTEXT", "GENERAL"] | None:
        """Why there is no evaluation."""
    @property
    def error_details(self) -> str | None:
        """The same as a sentence."""
    __match_args__: ClassVar[tuple[Literal["key"], Literal["value"], Literal["variant"], Literal["reason"], Literal["metadata"], Literal["error_code"], Literal["error_details"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class FlagRevision:
    """One change of a flag."""
    @property
    def key(self) -> str:
        """The flag."""
    @property
    def revision(self) -> int:
        """Its number, from 1."""
    @property
    def change(self) -> Literal["put", "kill", "restore", "delete"]:
        """What it did."""
    @property
    def restored(self) -> int | None:
        """The revision that was restored."""
    @property
    def definition(self) -> Any | None:
        """The definition since then; ``None`` after a deletion."""
    @property
    def author(self) -> str:
        """Who made it."""
    @property
    def reason(self) -> str | None:
        """Why, in the author's words."""
    @property
    def at(self) -> datetime:
        """When."""
    __match_args__: ClassVar[tuple[Literal["key"], Literal["revision"], Literal["change"], Literal["restored"], Literal["definition"], Literal["author"], Literal["reason"], Literal["at"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class FlagSet:
    """What holds for all flags."""
    @property
    def bucketing(self) -> Literal["v1", "v2", "v3"]:
        """The generation of ``fractional``."""
    @property
    def evaluators(self) -> dict[str, Any]:
        """Rules that flags refer to with ``$ref``."""
    @property
    def metadata(self) -> dict[str, Any]:
        """Texts, numbers and booleans that every evaluation tells."""
    __match_args__: ClassVar[tuple[Literal["bucketing"], Literal["evaluators"], Literal["metadata"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class VariantCount:
    """How often a variant was given."""
    @property
    def variant(self) -> str | None:
        """The variant; ``None`` for evaluations that gave none."""
    @property
    def count(self) -> int:
        """How often."""
    __match_args__: ClassVar[tuple[Literal["variant"], Literal["count"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Route:
    """A route."""
    @property
    def name(self) -> str:
        """Its name."""
    @property
    def revision(self) -> int:
        """Counts its changes, from 1."""
    @property
    def definition(self) -> dict[str, Any]:
        """Which requests it takes, who may send them, and where they go: the JSON of the REST interface."""
    __match_args__: ClassVar[tuple[Literal["name"], Literal["revision"], Literal["definition"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class DeliveryAttempt:
    """One attempt to send."""
    @property
    def started_at(self) -> datetime:
        """When it began."""
    @property
    def ended_at(self) -> datetime | None:
        """When it ended; ``None`` while it lasts."""
    @property
    def outcome(self) -> Literal["sent", "refused", "deferred", "ambiguous", "expired"] | None:
        """How it ended; ``None`` while it lasts."""
    @property
    def cause(self) -> str | None:
        """Why, in the channel's words without personal data."""
    @property
    def receipt(self) -> str | None:
        """The channel's own name for the message."""
    __match_args__: ClassVar[tuple[Literal["started_at"], Literal["ended_at"], Literal["outcome"], Literal["cause"], Literal["receipt"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Notification:
    """What became of a notification, without its address and its content."""
    @property
    def id(self) -> NotificationId:
        """Its id."""
    @property
    def user_id(self) -> UserId | None:
        """The recipient, when it is a user."""
    @property
    def channel(self) -> str:
        """``email``."""
    @property
    def template(self) -> str:
        """The template."""
    @property
    def revision(self) -> int:
        """Its revision; 0 is the built-in template."""
    @property
    def category(self) -> str:
        """The category."""
    @property
    def state(self) -> str:
        """``accepted``, ``scheduled``, ``claimed``, ``sent``, ``failed``, ``expired``, ``suppressed``, ``dead`` or
        ``unknown``.
        """
    @property
    def due_at(self) -> datetime | None:
        """When it is tried next, if it is."""
    @property
    def sent_at(self) -> datetime | None:
        """When it was sent."""
    @property
    def deadline(self) -> datetime | None:
        """After this it is not sent any more."""
    @property
    def attempts(self) -> list[DeliveryAttempt]:
        """The attempts so far, the oldest first."""
    @property
    def cause(self) -> str | None:
        """Why it ended as it did, unless it was sent."""
    @property
    def created_at(self) -> datetime:
        """When it was accepted."""
    @property
    def created_by(self) -> str:
        """By whom."""
    __match_args__: ClassVar[tuple[Literal["id"], Literal["user_id"], Literal["channel"], Literal["template"], Literal["revision"], Literal["category"], Literal["state"], Literal["due_at"], Literal["sent_at"], Literal["deadline"], Literal["attempts"], Literal["cause"], Literal["created_at"], Literal["created_by"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Preferences:
    """What a user wants to receive."""
    @property
    def categories(self) -> dict[str, bool]:
        """``False``: the category is switched off; what is not named is on."""
    @property
    def version(self) -> int:
        """The version, for a later change that expects it; 0 when nothing was ever said."""
    __match_args__: ClassVar[tuple[Literal["categories"], Literal["version"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Rendered:
    """What a template says with some data."""
    @property
    def subject(self) -> str:
        """The subject: one line."""
    @property
    def text(self) -> str:
        """The plain text."""
    @property
    def html(self) -> str | None:
        """The HTML."""
    __match_args__: ClassVar[tuple[Literal["subject"], Literal["text"], Literal["html"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Template:
    """A template as it is, or was, with one of its revisions."""
    @property
    def name(self) -> str:
        """Its name."""
    @property
    def revision(self) -> int:
        """Grows by one with every change; 0 is the built-in template."""
    @property
    def category(self) -> str:
        """What a recipient can switch off."""
    @property
    def if_unknown(self) -> Literal["resend", "hold"]:
        """What to do when it is not known whether a message went out."""
    @property
    def parts(self) -> TemplateParts:
        """What it says when no language fits."""
    @property
    def locales(self) -> dict[str, TemplateParts]:
        """What it says in other languages."""
    @property
    def created_at(self) -> datetime | None:
        """When this revision was made; ``None`` for a built-in one."""
    @property
    def created_by(self) -> str | None:
        """Who made it; ``None`` for a built-in one."""
    @property
    def reason(self) -> str | None:
        """Why, if that was said."""
    __match_args__: ClassVar[tuple[Literal["name"], Literal["revision"], Literal["category"], Literal["if_unknown"], Literal["parts"], Literal["locales"], Literal["created_at"], Literal["created_by"], Literal["reason"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class TemplateParts:
    """The parts of a template."""
    @property
    def subject(self) -> str:
        """The subject, one line."""
    @property
    def text(self) -> str:
        """The plain text."""
    @property
    def html(self) -> str | None:
        """The same for a reader that shows HTML."""
    def __new__(cls, subject: str, text: str, html: str | None = None) -> TemplateParts: ...
    __match_args__: ClassVar[tuple[Literal["subject"], Literal["text"], Literal["html"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class SentMail:
    """A message that a platform in memory has sent."""
    @property
    def to(self) -> str:
        """To which address."""
    @property
    def subject(self) -> str:
        """The subject."""
    @property
    def text(self) -> str:
        """The plain text."""
    @property
    def html(self) -> str | None:
        """The HTML."""
    __match_args__: ClassVar[tuple[Literal["to"], Literal["subject"], Literal["text"], Literal["html"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class FailedTransfer:
    """A submitted transfer that was refused."""
    @property
    def index(self) -> int:
        """Its place among those that were submitted, from 0."""
    @property
    def id(self) -> TransferId:
        """Its id."""
    @property
    def code(self) -> str:
        """Why: the stable code."""
    @property
    def detail(self) -> str:
        """Why: a sentence for people."""
    __match_args__: ClassVar[tuple[Literal["index"], Literal["id"], Literal["code"], Literal["detail"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Submission:
    """What became of submitted transfers: a byte for each, and an object only for each that was refused."""
    @property
    def created(self) -> int:
        """How many were recorded now."""
    @property
    def existed(self) -> int:
        """How many had been recorded before, with the same fields."""
    @property
    def rejected(self) -> int:
        """How many were refused."""
    @property
    def codes(self) -> bytes:
        """A byte for each transfer, in their order: 0 recorded now, 255 recorded before, else the number of the reason
        for which it was refused.
        """
    @property
    def ids(self) -> bytes:
        """The ids of the transfers, in their order, 16 bytes each."""
    @property
    def failed(self) -> list[FailedTransfer]:
        """Those that were refused."""
    __match_args__: ClassVar[tuple[Literal["created"], Literal["existed"], Literal["rejected"], Literal["codes"], Literal["ids"], Literal["failed"]]]
    def to_dict(self) -> dict[str, Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

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
