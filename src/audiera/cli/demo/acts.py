"""The demo's scenes: what each account does, and what came of it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from audiera.audio.texture import ARCHITECTURE
from audiera.cli.demo.music import LEAST, Music, render_pack
from audiera.cli.demo.show import Show
from audiera.cli.demo.standalone import altered, verify_apart
from audiera.cli.demo.training import Trained, train
from audiera.cli.output import counted, credits_text, length_text, moment_text, size_text
from audiera.cli.words import key_text, price_text
from audiera.node.serve import Ready
from audiera.protocol.api.usage import Access
from audiera.protocol.errors import AccessRefused, AudieraError, ProofError, RequestError
from audiera.protocol.machine import account_purse
from audiera.protocol.records import CallPrice, Certificate, Interface, Split, Terms
from audiera.protocol.records.account import Role
from audiera.protocol.transactions import IssueGrant, PublishEndpoint, RegisterModel
from audiera.sdk import CallAnswer, Client, connect, make_identity, preset
from audiera.sdk.money import MICRO
from audiera.sdk.offers import Registration, Uploaded, sheet_of
from audiera.sdk.serving import ApiKey
from audiera.sdk.transport import Transport

PRICE = 50_000
"""Microcredits for each access of a priced piece."""

REVENUE_SHARE = 2_000
"""Basis points of a model's revenue that the priced pieces ask for their training data."""

CALL_PRICE = CallPrice(version=1, per_call=40_000, per_audio_second=2_500)
"""What a call of the demo's model costs."""

EPOCHS = 3
CALLS = 5


class _People(NamedTuple):
    """The accounts, each with a client of its own."""

    free: Client
    priced: Client
    contributor: Client
    developer: Client
    application: Client


class _Offers(NamedTuple):
    """What is offered."""

    free: list[int]
    priced: list[int]
    closed: list[int]
    pack: list[int]
    dataset: int


class Acts:
    """The scenes, to be played in their order.

    Args:
        ready: the running node.
        show: where it is shown.
        folder: a temporary folder.
    """

    def __init__(self, ready: Ready, show: Show, folder: Path) -> None:
        self._ready = ready
        self._show = show
        self._folder = folder
        self._titles: dict[int, str] = {}
        self._blobs: dict[str, str] = {}
        self._clients = ExitStack()
        self._names: dict[int, str] = {0: "a visitor", ready.account: "the node"}
        self._people: _People
        self._offers: _Offers
        self._trained: Trained
        self._run = 0
        self._grant = 0
        self._model = 0
        self._key: ApiKey
        self._answer: CallAnswer
        self._streamed: Access

    def close(self) -> None:
        """Close the accounts' connections."""
        self._clients.close()

    # ------------------------------------------------------------------ scenes

    def arrive(self) -> None:
        """Five accounts are made: a key each, nothing else is asked."""
        self._show.scene("Five accounts arrive")
        self._people = _People(
            free=self._join("first creator", "creator"),
            priced=self._join("second creator", "creator"),
            contributor=self._join("data contributor", "contributor"),
            developer=self._join("AI developer", "model-developer"),
            application=self._join("application developer", "app-developer"),
        )
        for client, amount in ((self._people.developer, 10), (self._people.application, 5)):
            client.take_test_credits(amount * MICRO)
        rows = []
        for client in self._people:
            info = client.account_info()
            rows.append(
                (info.account.number, self._names[client.account], f"{info.keys[0][:24]}...", _money(info.balance))
            )
        self._show.table(("#account", "who", "key", "#test credits"), rows)

    def offer(self, music: Music) -> None:
        """Creators and contributor upload and say what may be done."""
        self._show.scene("Music is uploaded, described, and offered under terms of its owners")
        people, queue = self._people, iter(music.files)
        third = max(1, music.wanted // 3)
        shared = (Split(account=people.priced.account, share=7_000), Split(account=people.free.account, share=3_000))
        paid = preset("commercial", price=PRICE, revenue_share=REVENUE_SHARE)
        closed = self._bring(people.contributor, queue, 1)
        free = self._bring(people.free, queue, third)
        priced = self._bring(people.priced, queue, music.wanted - third - 1)
        used = len(closed) + len(free) + len(priced)
        if used < LEAST:
            raise RequestError(
                f"the demo needs at least {LEAST} different pieces of music, and {used} could be used", code="empty"
            )
        pack = render_pack(self._folder / "pack")
        ours = music._replace(contains_ai="none", source="a pack of one-shots rendered by this program")
        self._offers = _Offers(
            free=self._offer(people.free, free, preset("research"), music),
            priced=self._offer(people.priced, priced, paid, music, splits=shared),
            closed=self._offer(people.contributor, closed, preset("no-training"), music),
            pack=self._offer(
                people.contributor,
                self._bring(people.contributor, iter(pack), len(pack)),
                preset("open"),
                ours,
                words={"artist": "", "tags": ("pack",)},
            ),
            dataset=0,
        )
        dataset = people.contributor.publish_snapshot(self._offers.pack, title="One-shots for training")
        self._offers = self._offers._replace(dataset=dataset)
        self._titles[dataset] = "One-shots for training"
        people.developer.wait_for_catalog()
        self._show.table(("#asset", "title", "kind", "#length", "#bpm", "key", "AI", "terms of"), self._catalog_rows())
        self._show.say(
            f"The first creator's are free for research, the second creator's cost {_money(PRICE)} credits an access "
            f"and {REVENUE_SHARE // 100} % of a model's revenue, the last one refuses training. The pack of "
            f"{len(self._offers.pack)} one-shots is also snapshot {dataset}, an immutable dataset."
        )

    def search(self) -> None:
        """The AI developer asks what may be used, not only what there is."""
        self._show.scene("The AI developer searches by what may be done with it")
        developer = self._people.developer
        questions: tuple[tuple[str, dict[str, Any]], ...] = (
            ("everything", {}),
            ("train a generative model, not commercially", {"purpose": "train-generative"}),
            ("train a generative model commercially", {"purpose": "train-generative", "commercial": True}),
            ("... and free of charge", {"purpose": "train-generative", "commercial": True, "free_only": True}),
            ("imitate an artist", {"purpose": "imitate"}),
        )
        rows = []
        for words, fields in questions:
            page = developer.search_page(limit=0, **fields)
            rows.append((words, page.total, f"{page.took_us / 1_000:.1f} ms"))
        self._show.table(("may I ...", "#found", "#took"), rows)

    def refuse(self) -> None:
        """A use the terms do not allow is refused, with the reason, on the record."""
        self._show.scene("Decisions, with their reasons")
        developer = self._people.developer
        asked = (self._offers.free[0], self._offers.priced[0], self._offers.closed[0], self._offers.pack[0])
        answer = developer.may_i(asked, purpose="train-generative", commercial=True)
        for decision in answer.decisions:
            price = f", {price_text(decision.price)}" if decision.allowed else ""
            text = f"{self._title(decision.asset)}: {decision.explanation}{price}"
            self._show.verdict(is_good=decision.allowed, text=text)
        try:
            developer.grant(IssueGrant(purpose="train-generative", assets=(self._offers.closed[0],)))
        except AccessRefused as refusal:
            self._show.say(f"Asked for a grant all the same, the ledger refuses and records it: {refusal.message}.")

    def license_and_train(self) -> None:
        """A grant is issued, a run streams what it covers, the ledger certifies what was streamed."""
        self._show.scene("A grant, and a training run over the stream")
        developer = self._people.developer
        found = developer.search(purpose="train-generative", commercial=True, kinds=(), sort="oldest")
        snapshot = developer.publish_snapshot(found.assets, title="What the model was trained on")
        self._titles[snapshot] = "What the model was trained on"
        dataset = developer.license_snapshot(snapshot, purpose="train-generative", commercial=True, budget=2 * MICRO)
        self._grant = dataset.grant.number
        run = dataset.open_run()
        self._run = run.run
        with self._show.progress("streaming and training", EPOCHS * len(run)) as bar:
            self._trained = train(run, epochs=EPOCHS, progress=lambda done, _: bar.to(done))
        certificate = run.close_run()
        trained, used = self._trained, developer.grant_info(self._grant)
        owners = len({hit.holder for hit in found})
        loss = f"loss {trained.first_loss:.3f} -> {trained.last_loss:.3f}"
        self._show.say(
            f"Grant {self._grant} on snapshot {snapshot}: {counted(len(run), 'asset')} of {counted(owners, 'owner')}. "
            f"Run {self._run}: {trained.steps} steps in {trained.library} over {trained.heard_s:.0f} s of sound, "
            f"{loss}. Every delivery came with a signed receipt, and was verified. "
            f"Paid: {_money(used.usage.spent)} credits."
        )
        self._show.table(("the ledger certifies", ""), _certificate_rows(certificate))
        with developer.open_stream(dataset.grant) as stream:
            try:
                stream.fetch(self._offers.closed[0])
            except AccessRefused as refusal:
                self._show.say(f"A piece beside the grant is refused at the gate, on the record: {refusal.message}.")

    def publish(self) -> None:
        """The model is registered with the lineage the ledger certifies, and offered as a service."""
        self._show.scene("The model is registered with that lineage, and offered as a service")
        developer = self._people.developer
        weights = developer.add_package(ARCHITECTURE, self._trained.file)
        self._model = developer.register_model(
            RegisterModel(
                name="texture",
                version="1.0",
                weights=weights,
                runs=(self._run,),
                training_share=REVENUE_SHARE,
                interface=Interface(task="generation", accepts=("application/octet-stream",), returns=("audio/wav",)),
            )
        )
        developer.publish_endpoint(PublishEndpoint(model=self._model, node=self._ready.account, price=CALL_PRICE))
        answer = developer.model(self._model)
        self._show.say(
            f"Model {self._model}, {answer.model.name} {answer.model.version}: {size_text(len(self._trained.file))} of "
            f"weights, trained on {counted(answer.assets, 'asset')}; "
            f"{answer.model.training_share // 100} % of a call is theirs."
        )

    def call(self) -> None:
        """An application calls the model with one key; each call is recorded and billed."""
        self._show.scene("An application calls the model through the gateway, with one key")
        people = self._people
        people.application.grant(IssueGrant(purpose="call-model", model=self._model, budget=2 * MICRO))
        self._key = people.application.make_api_key(budget=MICRO, days=1, models=(self._model,))
        rows = []
        with Client(Transport(self._ready.address, api_key=self._key.secret)) as client:
            for seed in range(CALLS):
                self._answer = client.call_model(None, self._model, seconds=1.0 + seed, seed=seed)
                rows.append(
                    (
                        f"{1 + seed} s of sound",
                        f"{self._answer.media_type}, {size_text(len(self._answer.body))}",
                        _money(self._answer.price),
                        f"{self._answer.node}/{self._answer.index}",
                    )
                )
        file = self._folder / "texture.wav"
        file.write_bytes(self._answer.body)
        self._show.table(("asked for", "came", "#credits", "#record"), rows)

    def settle(self) -> None:
        """Pools are closed and everybody is paid what the records say."""
        self._show.scene("The network settles")
        people = self._people
        flushed = people.application.wait_for_record(self._answer.node, self._answer.index)
        settlement = people.contributor.settle(self._model)
        paid = people.contributor.claim_settlement(settlement)
        earning = [asset for asset in self._offers.priced if people.priced.earnings(asset).waiting]
        if earning:
            people.priced.claim_assets(earning)
        record = people.contributor.settlement(settlement).settlement
        self._show.say(
            f"The calls are on the ledger (block {flushed}). Settlement {settlement} divides "
            f"{_money(record.amount)} credits among {counted(paid, 'asset')} by the milliseconds that were streamed; "
            f"{counted(len(earning), 'priced asset')} paid out what accesses earned. Splits are applied to each."
        )

    def show_history(self) -> None:
        """Who used one piece."""
        asset = self._offers.priced[0]
        self._show.scene(f"Who used {self._title(asset)}?")
        client = self._people.priced
        heard = client.preview(asset)
        client.wait_for_record(heard.node, heard.index)
        history = client.asset_history(asset)
        self._streamed = history.accesses[-1]
        rows = (
            (
                moment_text(access.time),
                self._names.get(access.consumer, str(access.consumer)),
                access.purpose,
                access.op,
                f"{access.bytes:,}",
                access.grant or "-",
                f"{access.node}/{access.node_index}",
            )
            for access in history.accesses
        )
        self._show.table(("when (UTC)", "who", "purpose", "what", "#bytes", "#grant", "#record"), rows)

    def show_trail(self) -> None:
        """From a call back to the people."""
        self._show.scene("From the last call back to the people behind it")
        trail = self._people.application.trail(self._answer.node, self._answer.index)
        model = trail.model
        if model is not None:
            self._show.say(
                f"Record {self._answer.node}/{self._answer.index}: {self._names[trail.access.consumer]} called "
                f"{model.name} {model.version}, trained by {self._names[model.developer]} in run {model.runs[0]}, on:"
            )
        rows = [
            (
                self._title(each.asset),
                self._names.get(each.holder, each.holder),
                each.accesses,
                length_text(each.audio_ms),
            )
            for each in trail.sources
        ]
        self._show.table(("recording", "of", "#streamed", "#sound"), rows[:8])
        if len(rows) > 8:
            self._show.say(f"... and {len(rows) - 8} more")

    def show_payouts(self) -> None:
        """The money adds up."""
        self._show.scene("The money adds up, to the microcredit")
        rows = [self._statement_row(client) for client in self._people]
        node = self._people.free.account_info(self._ready.account)
        rows.append(("the node", "-", "-", _money(node.balance)))
        standing = {each.kind: each.balance for each in self._people.free.credits().kinds}
        rest = sum(standing.get(kind, 0) for kind in ("asset", "model", "settlement"))
        rows += [
            ("the network's fee", "-", "-", _money(standing.get("network", 0))),
            ("still set aside in grants", "-", "-", _money(standing.get("grant", 0))),
            ("not claimed yet", "-", "-", _money(rest)),
        ]
        accounts = sum(client.statement().closing for client in self._people) + node.balance
        total = accounts + standing.get("network", 0) + standing.get("grant", 0) + rest
        issued = -standing.get("issued", 0)
        self._show.table(("", "#came", "#went", "#has"), rows, foot=("together", "", "", _money(total)))
        self._show.verdict(
            is_good=total == issued, text=f"{issued:,} microcredits were issued, and {total:,} are accounted for"
        )
        if total != issued:
            raise ProofError(f"{issued} microcredits were issued and {total} are accounted for", code="sum_differs")

    def prove(self) -> None:
        """A proof that needs no node, and its refusal when one byte is altered."""
        self._show.scene("One record, proved offline by a program that shares no code with this one")
        proof = self._people.priced.proof(self._streamed.node, self._streamed.node_index)
        file = self._folder / "proof.json"
        file.write_text(proof, encoding="utf-8")
        info = self._people.free.node()
        origin = f"audiera/{info.chain_id}/accesses"
        self._show.say(f"examples/verify_standalone.py {file.name} ({len(proof):,} bytes) says:")
        accepted = verify_apart(file, origin, info.log_key)
        self._show.verdict(is_good=accepted.is_accepted, text=accepted.words)
        file.write_text(altered(proof), encoding="utf-8")
        refused = verify_apart(file, origin, info.log_key)
        self._show.verdict(is_good=refused.is_accepted, text=f"with one byte of the record altered: {refused.words}")
        if not accepted.is_accepted or refused.is_accepted:
            raise ProofError("the standalone verifier did not tell the true proof from the altered one")

    # ------------------------------------------------------------------ what the scenes share

    def _join(self, name: str, role: Role) -> Client:
        client = connect(self._ready.address, identity=make_identity(), roles=(role,), display_name=name)
        self._clients.callback(client.close)
        self._names[client.account] = f"the {name}"
        return client

    def _bring(self, client: Client, queue: Iterator[Path], count: int) -> list[Uploaded]:
        """Upload that many of the files in the queue; one that cannot be used is told, and the next one steps in."""
        brought: list[Uploaded] = []
        with self._show.progress(f"{self._names[client.account]} uploads", count) as bar:
            while len(brought) < count and (file := next(queue, None)) is not None:
                try:
                    uploaded = client.upload(file)
                except AudieraError as error:
                    if error.code == "node_unreachable":
                        raise
                    self._show.say(f"{file.name} is left out: {error.message} ({error.code}).")
                    continue
                twin = self._blobs.setdefault(uploaded.report.blob, file.name)
                if twin != file.name:
                    self._show.say(f"{file.name} is left out: it has exactly the bytes of {twin}.")
                    continue
                brought.append(uploaded)
                bar.to(len(brought))
        return brought

    def _offer(
        self,
        client: Client,
        uploaded: Sequence[Uploaded],
        terms: Terms,
        music: Music,
        *,
        splits: tuple[Split, ...] = (),
        words: dict[str, object] | None = None,
    ) -> list[int]:
        license_ = client.publish_license(terms)
        entries = [
            Registration(
                uploaded=one,
                license=license_,
                sheet=sheet_of(one, **{"description": music.source, **(words or {})}),
                contains_ai=music.contains_ai,
                splits=splits,
            )
            for one in uploaded
        ]
        numbers = client.register(entries)
        self._titles.update((number, entry.sheet.title) for number, entry in zip(numbers, entries, strict=True))
        return numbers

    def _title(self, number: int) -> str:
        return self._titles.get(number, f"asset {number}")

    def _catalog_rows(self) -> list[tuple[object, ...]]:
        page = self._people.developer.search_page(sort="oldest")
        return [
            (
                hit.number,
                hit.title,
                hit.kind,
                length_text(hit.duration_ms),
                "-" if hit.tempo_mbpm is None else round(hit.tempo_mbpm / 1_000),
                key_text(hit.key) or "-",
                hit.contains_ai,
                self._names[hit.holder],
            )
            for hit in page.hits
        ]

    def _statement_row(self, client: Client) -> tuple[object, ...]:
        statement = client.statement()
        purse = account_purse(client.account)
        reasons: dict[str, int] = {}
        for line in statement.lines:
            reasons[line.reason] = reasons.get(line.reason, 0) + (line.amount if line.credit == purse else -line.amount)
        shown = ", ".join(f"{name} {_money(amount)}" for name, amount in reasons.items() if amount > 0)
        came = shown or "nothing"
        return (self._names[client.account], came, _money(statement.debited), _money(statement.closing))


def _money(microcredits: int) -> str:
    return credits_text(microcredits)


def _certificate_rows(certificate: Certificate) -> list[tuple[str, object]]:
    sound = length_text(certificate.audio_ms)
    return [
        ("purpose", certificate.purpose + (", commercial" if certificate.commercial else "")),
        ("streamed", f"{certificate.accesses} accesses of {certificate.assets} assets, {sound}"),
        ("blocks", f"{certificate.first_height} to {certificate.last_height}"),
        ("owed", f"at least {certificate.revenue_share / 100:g} % of a model's revenue"),
        ("root", certificate.weights_root.hex()),
    ]
