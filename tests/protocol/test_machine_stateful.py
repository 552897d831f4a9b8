"""Random histories of grants, accesses, revocations, expiry and payouts, checked against a plain model."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from audiera.protocol.records import Caps, Price, Rule
from audiera.protocol.transactions import ClaimPayouts, IssueGrant, RevokeGrant
from tests.protocol.world import SECOND, World

PRICE = 1_003


class History(RuleBasedStateMachine):
    """A market of three assets under three licenses: free, priced per access, capped and time-limited."""

    @initialize()
    def open_market(self) -> None:
        self.world = World()
        self.world.join("creator", "creator")
        self.world.join("lab", "model-developer")
        self.world.fund("lab", 10_000_000)
        self.server = self.world.serve()
        self.end = self.world.time + 60 * SECOND
        rules = [
            Rule(purpose="evaluate", verdict="allow"),
            Rule(purpose="evaluate", verdict="terms", price=Price(unit="access", amount=PRICE)),
            Rule(purpose="evaluate", verdict="allow", valid_until=self.end, caps=Caps(accesses=5)),
        ]
        self.assets = [self.world.asset("creator", self.world.license("creator", rule_)) for rule_ in rules]
        self.grants: dict[int, dict[str, int]] = {}
        self.earned = 0
        self.total_rows = 0

    @rule(kind=st.integers(0, 2), budget=st.sampled_from([0, 1, PRICE, 5 * PRICE]))
    def ask(self, kind: int, budget: int) -> None:
        body = IssueGrant(purpose="evaluate", assets=(self.assets[kind],), budget=budget)
        result = self.world.attempt("lab", body)
        allowed = not (kind == 1 and budget == 0) and not (kind == 2 and self.world.time >= self.end)
        affordable = True
        assert result.ok == (allowed and affordable), result
        if result.ok:
            session = self.server.open("lab", result.number)
            self.grants[result.number] = {
                "kind": kind,
                "budget": budget,
                "session": session,
                "used": 0,
                "revoked": 0,
                "spent": 0,
            }

    @precondition(lambda self: self.grants)
    @rule(data=st.data(), count=st.integers(1, 4), stray=st.booleans())
    def access(self, data: st.DataObject, count: int, stray: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.grants)))
        grant = self.grants[number]
        asset = self.assets[(grant["kind"] + stray) % 3]
        result = self.server.record(*(self.server.row(grant["session"], asset) for _ in range(count)))
        self.total_rows += count
        first = self.world.time - SECOND
        ended = grant["revoked"] or (grant["kind"] == 2 and first >= self.end)
        covered = 0 if stray or ended else count
        if grant["kind"] == 1:
            covered = min(covered, (grant["budget"] - grant["spent"]) // PRICE)  # what no budget pays does not count
        assert result.batch is not None
        assert result.batch.unmatched == count - covered, (grant, stray, result.batch)
        grant["used"] += covered
        if grant["kind"] == 1 and covered:
            paid = covered * PRICE
            grant["spent"] += paid
            self.earned += paid - paid * 500 // 10_000 - paid * 1_000 // 10_000

    @precondition(lambda self: any(not grant["revoked"] for grant in self.grants.values()))
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(n for n, grant in self.grants.items() if not grant["revoked"])))
        self.world.do("lab", RevokeGrant(grant=number))
        self.world.time += 1
        self.grants[number]["revoked"] = 1

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.world.time += seconds * SECOND

    @rule()
    def claim(self) -> None:
        before = self.world.balance(f"account/{self.world.people['creator'].number}")
        held = self.world.balance(f"asset/{self.assets[1]}")
        self.world.do("lab", ClaimPayouts(assets=(self.assets[1],)))
        assert self.world.balance(f"account/{self.world.people['creator'].number}") == before + held

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        if not hasattr(self, "world"):
            return
        view = self.world.machine.view()
        for number, grant in self.grants.items():
            usage = view.grant_usage(number)
            assert (usage.accesses, usage.spent) == (grant["used"], grant["spent"])
            assert self.world.balance(f"grant/{number}") == grant["budget"] - grant["spent"]
        creator = self.world.balance(f"account/{self.world.people['creator'].number}")
        assert creator + self.world.balance(f"asset/{self.assets[1]}") == self.earned
        assert view.log().records == self.total_rows

    def teardown(self) -> None:
        if hasattr(self, "world"):
            assert self.world.replay() == self.world.machine.app_hash


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
