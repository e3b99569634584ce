"""What an export of the books calls kinds, ledger accounts and institutions."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.ledger.journal import Glossary
from app.portals.words import word
from app.registry import queries as registry


async def glossary(session: AsyncSession) -> Glossary:
    """The words of the screens, and the names of all institutions."""
    names: dict[UUID, str] = {}
    after = None
    while page := await registry.institutions(session, after):
        names |= {each.id: each.name for each in page}
        after = (page[-1].created_at, page[-1].id)
    return Glossary(word, names)
