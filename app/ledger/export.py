"""The books as a file for auditors: recorded in the audit trail, then read out of one snapshot while it is sent."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.db import District
from app.errors import NotFound
from app.ledger import beancount, sheets
from app.ledger.journal import Glossary, Scope


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of file: the end of its name, its media type, and how it is written out of a fresh session."""

    suffix: str
    media_type: str
    parts: Callable[[AsyncSession, Scope, Glossary], AsyncGenerator[bytes]]


BEANCOUNT = Form("beancount", "text/plain; charset=utf-8", beancount.export)
CSV = Form("csv", "text/csv; charset=utf-8", sheets.as_csv)
EXCEL = Form("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", sheets.as_workbook)
FORMS = (BEANCOUNT, CSV, EXCEL)


async def record(session: AsyncSession, actor: str, form: Form, scope: Scope) -> None:
    """Enter in the audit trail who takes which part of the books away. Raises NotFound `ledger.no_book`."""
    if scope.book_id and not await session.scalar(text("SELECT 1 FROM book WHERE id = :book"), {"book": scope.book_id}):
        raise NotFound("ledger.no_book", "没有这本账簿")
    await audit.record(
        session,
        actor,
        "ledger.exported",
        f"book:{scope.book_id}" if scope.book_id else "books",
        form=form.suffix,
        from_on=scope.from_on and str(scope.from_on),
        to_on=scope.to_on and str(scope.to_on),
    )


async def stream(district: District, form: Form, scope: Scope, glossary: Glossary) -> AsyncGenerator[bytes]:
    """The file in parts; memory does not grow with the books. Close it early, or its snapshot stays open."""
    async with district.reading() as session, aclosing(form.parts(session, scope, glossary)) as parts:
        async for part in parts:
            yield part


def file_name(district: District, form: Form, scope: Scope) -> str:
    """ledger-510112-2026-03-01-2026-03-31.beancount: the district, the book where it is one, and the days that are named."""
    named = (district.code, scope.book_id, scope.from_on and f"from-{scope.from_on}", scope.to_on and f"to-{scope.to_on}")
    return f"ledger-{'-'.join(str(each) for each in named if each)}.{form.suffix}"
