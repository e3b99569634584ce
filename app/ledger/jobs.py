"""The sealer."""

from sqlalchemy import text

from app.db import District

BATCH = 5000


async def seal(district: District) -> int:
    """Number committed transfers in the log, up to 5,000; how many were numbered."""
    async with district.transaction() as session:
        return int(await session.scalar(text("SELECT ledger_seal(:limit)"), {"limit": BATCH}) or 0)
