"""What is posted to see every column of a transfer at work."""

import hashlib
from uuid import UUID

from app.db import District
from app.ids import uuid7
from app.ledger import codes, service
from app.ledger.service import Posting


async def post_every_field(district: District, book: UUID) -> None:
    """Open a book and post four transfers: with each optional field and without it."""
    payment, release = uuid7(), uuid7()
    cash, escrow = codes.cash(uuid7()), codes.escrow(payment)
    evidence = hashlib.sha256(b"statement").digest()
    async with district.transaction() as session:
        await service.open_book(session, book)
        posted = await service.post(
            session,
            [
                Posting("received", uuid7(), book, cash, codes.SUSPENSE, 1000, evidence_sha256=evidence),
                Posting("payment_matched", payment, book, codes.SUSPENSE, escrow, 1000),
                Posting("lesson_released", release, book, escrow, codes.PAYABLE, 300),
            ],
            posted_by="人",
            batch=uuid7(),
        )
    async with district.transaction() as session:
        back = Posting("release_reversed", release, book, codes.PAYABLE, escrow, 300, reverses=posted[2].transfer_id)
        await service.post(session, [back], posted_by="test")
