"""Offering: uploads, licenses, registrations, snapshots."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiera.protocol.api import routes
from audiera.protocol.api.assets import AssetAnswer, LicenseAnswer, SnapshotAnswer
from audiera.protocol.api.documents import Sheet, digest_of_document
from audiera.protocol.api.transactions import Document
from audiera.protocol.api.uploads import Waveform
from audiera.protocol.encoding import encode
from audiera.protocol.errors import ProofError
from audiera.protocol.keys import parse_key
from audiera.protocol.records import Clip, Shard, Split, Terms
from audiera.protocol.transactions import (
    ChangeAsset,
    OpenDispute,
    PublishLicense,
    PublishSnapshot,
    ReviseLicense,
    TransferAsset,
    WithdrawAsset,
)
from audiera.sdk.connection import Connection
from audiera.sdk.offers import Progress, Registration, Uploaded, Uploads, register, sheet_of

CLIPS = 1_000
"""Clips in a shard."""


@dataclass(frozen=True)
class Preview:
    """What a visitor may hear of an asset."""

    data: bytes
    """Ogg Opus."""

    node: int
    """Node that served it."""

    index: int
    """Index of its record among all the node's."""


class Offering(Connection):
    """What creators and data contributors do."""

    @property
    def uploads(self) -> Uploads:
        """Sends files."""
        return Uploads(self._transport)

    def publish_license(self, terms: Terms) -> int:
        """Publish terms; returns their ledger number."""
        return self.submit(PublishLicense(terms=terms)).number

    def upload(self, path: Path | str, *, progress: Progress | None = None) -> Uploaded:
        """Upload a file, resuming after cuts, and hear what the node found."""
        return self.uploads.send(Path(path), progress=progress)

    def offer(
        self,
        files: Iterable[Path | str],
        license_: int | Terms,
        *,
        progress: Progress | None = None,
        words: dict[str, Any] | None = None,
        **registration: Any,
    ) -> list[int]:
        """Upload files and register them under a license; returns the assets' ledger numbers.

        Args:
            files: what to upload.
            license_: a published license, or terms to publish.
            progress: told of each file's bytes.
            words: what the sheets say beyond the files' tags.
            registration: data_type, splits, contains_ai, identifiers for all of them.
        """
        number = license_ if isinstance(license_, int) else self.publish_license(license_)
        uploaded = [self.upload(path, progress=progress) for path in files]
        entries = [
            Registration(uploaded=one, license=number, sheet=sheet_of(one, **(words or {})), **registration)
            for one in uploaded
        ]
        return self.register(entries)

    def register(self, registrations: Sequence[Registration]) -> list[int]:
        """Commit to and register uploads; returns the assets' ledger numbers."""
        return list(self.register_each(registrations))

    def register_each(self, registrations: Sequence[Registration]) -> Iterator[int]:
        """Commit to and register uploads; gives the assets' ledger numbers as they are registered."""
        return register(self.signer(), self.account, registrations)

    def asset(self, ref: int | str) -> AssetAnswer:
        """An asset with its sheet and license."""
        return self._transport.ask(routes.ASSET, AssetAnswer, {"ref": ref})

    def license(self, number: int) -> LicenseAnswer:
        """A license."""
        return self._transport.ask(routes.LICENSE, LicenseAnswer, {"number": number})

    def revise_license(self, license_: int, terms: Terms) -> None:
        """Publish a new text of a license; grants already issued keep theirs."""
        self.submit(ReviseLicense(license=license_, terms=terms))

    def change_asset(self, asset: int, *, license_: int = 0, splits: Sequence[Split] = ()) -> None:
        """Offer an asset under another license, or pay others for it from now on."""
        record = self.asset(asset).asset
        body = ChangeAsset(asset=asset, license=license_ or record.license, splits=tuple(splits) or record.splits)
        self.submit(body)

    def withdraw(self, asset: int) -> None:
        """Take an asset out of the catalog; running grants on it end."""
        self.submit(WithdrawAsset(asset=asset))

    def transfer(self, asset: int, to: int) -> None:
        """Hand the management of an asset to another account; who is paid for it stays."""
        self.submit(TransferAsset(asset=asset, to=to))

    def dispute(self, asset: int, evidence: bytes) -> int:
        """Claim an asset; it is contested at once. The evidence's digest goes on the ledger, the evidence does not."""
        return self.submit(OpenDispute(asset=asset, evidence=hashlib.sha256(evidence).digest())).number

    def waveform(self, ref: int | str) -> Waveform:
        """The outline of an asset's sound."""
        return self._transport.ask(routes.ASSET_WAVEFORM, Waveform, {"ref": ref})

    def preview(self, ref: int | str) -> Preview:
        """Half a minute to decide by; recorded as an access before it comes.

        Raises:
            ProofError: the node's receipt is not for it.
        """
        from audiera.protocol.accesses.receipts import verify_receipt
        from audiera.sdk.sessions import receipt_of

        response = self._transport.send(routes.ASSET_PREVIEW, {"ref": ref})
        receipt = receipt_of(response.headers)
        node = self._node or self.node()
        row = verify_receipt(receipt, parse_key(node.key), chain_id=node.chain_id)
        if isinstance(ref, int) and row.asset != ref:
            raise ProofError("the node's receipt is for another asset than this one", asset=ref)
        return Preview(response.content, receipt.group.node, receipt.index)

    def publish_snapshot(self, assets: Sequence[int], *, title: str) -> int:
        """Freeze whole assets as a dataset version; returns its ledger number."""
        records = [self.asset(number).asset for number in assets]
        clips = [
            Clip(
                asset=record.number,
                blob=record.content.blob,
                start_ms=0,
                duration_ms=max(1, record.content.technical.duration_ms),
            )
            for record in records
        ]
        shards = tuple(Shard(clips=tuple(clips[at : at + CLIPS])) for at in range(0, len(clips), CLIPS))
        sheet = Sheet(salt=secrets.token_bytes(32), title=title)
        body = PublishSnapshot(shards=shards, sheet=digest_of_document(sheet))
        return self.submit(body, [Document(kind="sheet", content=encode(sheet))]).number

    def snapshot(self, number: int) -> SnapshotAnswer:
        """A snapshot."""
        return self._transport.ask(routes.SNAPSHOT, SnapshotAnswer, {"number": number})
