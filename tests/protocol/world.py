"""A chain in memory with several accounts: the real machine over a real store, blocks made by hand."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.accesses import Row, SessionOpen, Watermark, array_of, seal, session_domain, sign_session
from audiera.protocol.encoding import digest
from audiera.protocol.machine import BlockContext, Execution, Machine
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.purposes import purpose_code
from audiera.protocol.records import (
    Authority,
    Content,
    Genesis,
    Role,
    Rule,
    Split,
    Technical,
    Terms,
    Validator,
)
from audiera.protocol.results import TransactionResult
from audiera.protocol.state import MemoryStore
from audiera.protocol.transactions import (
    Body,
    CommitRegistrations,
    CreateAccount,
    DepositCredits,
    Envelope,
    IssueGrant,
    PublishLicense,
    RecordAccesses,
    RegisterAsset,
    commitment_leaf,
    domain,
    sign_transaction,
)

START = 1_700_000_000_000_000
SECOND = 1_000_000
CHAIN = "test"


def seed_of(name: str) -> bytes:
    """A secret for a role-like name; for tests only."""
    return digest(name.encode())


@dataclass
class Person:
    """An account with the secrets to act for it."""

    name: str
    number: int
    seed: bytes
    sequence: int = 0

    @property
    def key(self) -> bytes:
        """The control key."""
        return keys.public_key(self.seed)


def genesis_of(moderators: tuple[str, ...] = ("moderator",)) -> Genesis:
    """A chain with one validator and a test faucet."""
    return Genesis(
        chain_id=CHAIN,
        time=START,
        validators=(Validator(key=keys.public_key(seed_of("validator")), power=1),),
        authorities=(Authority(rail="test-faucet", key=keys.public_key(seed_of("faucet"))),),
        moderators=tuple(keys.public_key(seed_of(name)) for name in moderators),
    )


@dataclass
class World:
    """A chain, its people, and the block being filled."""

    genesis: Genesis = field(default_factory=genesis_of)
    store: MemoryStore = field(default_factory=MemoryStore)
    people: dict[str, Person] = field(default_factory=dict)
    time: int = START
    blocks: list[tuple[int, list[bytes]]] = field(default_factory=list)
    salts: int = 0

    def __post_init__(self) -> None:
        self.machine = Machine(self.store, self.genesis, height=0)

    def block(self, *transactions: bytes, after: int = SECOND) -> list[TransactionResult]:
        """Make a block of signed transactions and check what must hold after every block."""
        self.time += after
        execution = self._execute(self.machine, self.store, list(transactions))
        self.blocks.append((self.time, list(transactions)))
        self.check_money()
        return list(execution.result.transactions)

    def _execute(self, machine: Machine, store: MemoryStore, transactions: list[bytes]) -> Execution:
        execution = machine.execute(BlockContext(machine.height + 1, self.time), transactions)
        store.apply(execution.writes, execution.buckets)
        machine.commit()
        assert machine.app_hash == execution.result.app_hash
        return execution

    def check_money(self) -> None:
        """No credit appears or vanishes: all purses sum to zero, and only the contra purse is below it."""
        balances = dict(self.machine.view().balances())
        assert sum(balances.values()) == 0
        assert all(amount >= 0 for purse, amount in balances.items() if purse != "issued")

    def sign(self, who: Person, body: Body, *, key: bytes | None = None, sequence: int | None = None) -> bytes:
        """The next signed transaction of an account."""
        if sequence is None:
            who.sequence += 1
            sequence = who.sequence
        seed = key or who.seed
        envelope = Envelope(
            domain=domain(CHAIN), account=who.number, sequence=sequence, key=keys.public_key(seed), body=body
        )
        return sign_transaction(seed, envelope)

    def do(self, who: str, body: Body, *, after: int = SECOND) -> TransactionResult:
        """One transaction in one block; it must succeed."""
        result = self.attempt(who, body, after=after)
        assert result.code == "ok", result
        return result

    def attempt(self, who: str, body: Body, *, after: int = SECOND, key: bytes | None = None) -> TransactionResult:
        """One transaction in one block, whatever comes of it."""
        (result,) = self.block(self.sign(self.people[who], body, key=key), after=after)
        return result

    def refused(self, who: str, body: Body, code: str, *, key: bytes | None = None) -> TransactionResult:
        """One transaction that must be refused with a code, changing nothing but the sequence number."""
        before = dict(self.machine.view().balances())
        result = self.attempt(who, body, key=key)
        assert result.code == code, result
        assert dict(self.machine.view().balances()) == before
        return result

    def join(self, name: str, *roles: Role, kind: str = "person", device_keys: tuple[bytes, ...] = ()) -> Person:
        """Create an account."""
        seed = seed_of(name)
        key = keys.public_key(seed)
        body = CreateAccount(
            kind=kind,  # type: ignore[arg-type]
            roles=roles,
            control_keys=(key,),
            device_keys=device_keys,
            profile=bytes(32),
        )
        envelope = Envelope(domain=domain(CHAIN), account=0, sequence=0, key=key, body=body)
        (result,) = self.block(sign_transaction(seed, envelope))
        assert result.ok, result
        self.people[name] = Person(name, result.number, seed)
        return self.people[name]

    def fund(self, name: str, amount: int) -> None:
        """Give an account test credits."""
        if "faucet" not in self.people:
            self.join("faucet")
        reference = digest(len(self.blocks).to_bytes(8, "big"))
        account = self.people[name].number
        self.do("faucet", DepositCredits(account=account, amount=amount, rail="test-faucet", reference=reference))

    def license(self, who: str, *rules: Rule, **terms: object) -> int:
        """Publish a license."""
        return self.do(who, PublishLicense(terms=Terms(rules=rules, **terms))).number  # type: ignore[arg-type]

    def asset(
        self,
        who: str,
        license_: int,
        *,
        blob: bytes | None = None,
        duration_ms: int = 2_000,
        splits: tuple[Split, ...] = (),
    ) -> int:
        """Commit to and register an asset."""
        self.salts += 1
        salt = digest(b"salt" + self.salts.to_bytes(8, "big"))
        content = content_of(blob or digest(salt), duration_ms)
        person = self.people[who]
        leaf = leaf_hash(commitment_leaf(salt, content.blob, person.number))
        commitment = self.do(who, CommitRegistrations(root=tree_root([leaf]), count=1)).number
        body = RegisterAsset(
            content=content,
            splits=splits or (Split(account=person.number, share=10_000),),
            license=license_,
            commitment=commitment,
            salt=salt,
            index=0,
        )
        return self.do(who, body).number

    def grant(self, who: str, purpose: str, **fields: object) -> int:
        """Get a grant."""
        return self.do(who, IssueGrant(purpose=purpose, **fields)).number  # type: ignore[arg-type]

    def serve(self) -> "Server":
        """A node that serves accesses on this chain."""
        person = self.people.get("node") or self.join("node", "operator", kind="node")
        return Server(self, person)

    def balance(self, purse: str) -> int:
        """What a purse holds."""
        return self.machine.view().balance(purse)

    def replay(self) -> bytes:
        """The application hash a fresh machine gets from the same blocks."""
        store = MemoryStore()
        machine = Machine(store, self.genesis, height=0)
        kept, self.time = self.time, self.time
        for time, transactions in self.blocks:
            self.time = time
            self._execute(machine, store, transactions)
        self.time = kept
        return machine.app_hash


@dataclass
class Server:
    """A node's side of the access log: sessions it opens, rows it meters, batches it seals."""

    world: World
    node: Person
    last_session: int = 0
    opened: list[SessionOpen] = field(default_factory=list)
    marks: list[Watermark] = field(default_factory=list)
    sessions: dict[int, SessionOpen] = field(default_factory=dict)

    def open(self, who: str, grant: int, *, run: int = 0, app_key: int = 0, signer: str = "") -> int:
        """A session signed by its consumer (or under an application key)."""
        record = self.world.machine.view().grant(grant)
        assert record is not None
        self.last_session += 1
        session = SessionOpen(
            domain=session_domain(CHAIN),
            node=self.node.number,
            number=self.last_session,
            grant=grant,
            consumer=self.world.people[who].number,
            purpose=record.purpose,
            policy=1,
            opened_at=self.world.time,
            expires_at=self.world.time + 10**12,
            nonce=bytes(16),
            run=run,
            app_key=app_key,
        )
        if not app_key:
            session = sign_session(self.world.people[signer or who].seed, session)
        self.opened.append(session)
        self.sessions[session.number] = session
        return session.number

    def row(
        self,
        session: int,
        asset: int,
        *,
        op: int = 1,
        size: int = 1_000,
        units: int = 2_000,
        flags: int = 0,
        policy: int = 1,
    ) -> Row:
        """A row of a session, timed later."""
        opened = self.sessions[session]
        return Row(
            asset=asset,
            t=0,
            consumer=opened.consumer,
            grant=opened.grant,
            session=session,
            bytes=size,
            units=units,
            node=self.node.number,
            policy=policy,
            purpose=purpose_code(opened.purpose),
            op=op,
            flags=flags,
        )

    def batch(self, rows: list[Row], *, t: int | None = None, **changes: Any) -> bytes:
        """The rows sealed as the node's next batch, one microsecond apart."""
        state = self.world.machine.view().node(self.node.number)
        start = t if t is not None else max(self.world.time, state.last_t + 1)
        timed = [replace(row, t=start + place) for place, row in enumerate(rows)]
        fields: dict[str, Any] = {
            "chain_id": CHAIN,
            "node": self.node.number,
            "first_index": state.next_index,
            "prev_header_hash": state.last_header_hash,
            "sign": lambda message: keys.sign_bytes(self.node.seed, message),
        }
        return seal(array_of(timed), self.opened, self.marks, **(fields | changes))

    def record(self, *rows: Row, t: int | None = None, **changes: Any) -> TransactionResult:
        """Seal the rows and record them; must succeed."""
        result = self.world.do("node", RecordAccesses(batch=self.batch(list(rows), t=t, **changes)))
        self.opened.clear()
        self.marks.clear()
        return result


def content_of(blob: bytes, duration_ms: int = 2_000) -> Content:
    """A plausible description of a short recording."""
    return Content(
        data_type="recording",
        blob=blob,
        size=100_000,
        manifest_root=digest(blob),
        technical=Technical(
            container="wav",
            codec="pcm_s16le",
            sample_rate=48_000,
            channels=2,
            bit_depth=16,
            samples=48 * duration_ms,
            duration_ms=duration_ms,
            peak_mdb=-1_000,
        ),
        sheet=digest(b"sheet"),
    )
