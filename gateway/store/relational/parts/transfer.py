"""Everything, to be carried elsewhere or coming from there."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.feedback import Feedback, Receipt
from gateway.domain.holdings import Holdings, StoredRequest
from gateway.store.relational import request_log, transferring
from gateway.store.relational.parts.open_database import OpenDatabase


class Transfer(OpenDatabase):
    """Keeps what the protocol of the same name promises."""

    async def holdings(self) -> Holdings:
        return await self._exact.read(transferring.holdings)

    async def requests_after(self, seq: int) -> list[StoredRequest]:
        return await self._exact.read(lambda connection: transferring.requests_after(connection, seq))

    async def put_requests(self, requests: Sequence[StoredRequest]) -> list[int]:
        size = sum(request_log.size_bytes(stored.exchange) for stored in requests)
        return await self._writer.write(
            lambda connection: transferring.put_requests(
                connection, self._packer, requests, self._workers[0]
            ),
            size_bytes=size,
            is_alone=True,
        )

    async def histories_after(self, place: int, limit: int) -> list[tuple[int, list[Feedback]]]:
        return await self._exact.read(
            lambda connection: transferring.histories_after(connection, place, limit)
        )

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        return await self._exact.read(
            lambda connection: transferring.receipts_after(connection, after, limit)
        )
