"""What auditors do with an export: run `bean-check`, open the journal in a spreadsheet."""

import asyncio
import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from python_calamine import CalamineWorkbook
from sqlalchemy import text

from app import clock
from app.db import District
from app.ledger import export
from app.ledger.beancount import account_name
from app.ledger.export import BEANCOUNT, Form
from app.ledger.journal import Glossary, Scope
from app.portals.words import word

EVERYTHING = Scope()
GLOSSARY = Glossary(word, {})
Sheet = list[dict[str, Any]]
Read = Callable[[bytes], Sheet]


async def exported(district: District, form: Form = BEANCOUNT, scope: Scope = EVERYTHING, glossary: Glossary = GLOSSARY) -> bytes:
    return b"".join([part async for part in export.stream(district, form, scope, glossary)])


async def beancount(district: District, scope: Scope = EVERYTHING) -> str:
    return (await exported(district, BEANCOUNT, scope)).decode()


async def complaints(file: str, folder: Path) -> list[str]:
    """What the real `bean-check` says about a file, a line each; nothing where it accepts it."""
    path = folder / "audited.beancount"
    path.write_text(file, encoding="utf-8")
    command = [Path(sys.executable).with_name("bean-check"), "--no-cache", path]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    said = [line.partition(": ")[2] for line in (done.stdout + done.stderr).splitlines() if line.startswith(str(path))]
    assert (done.returncode != 0) == bool(said), done.stdout + done.stderr
    return said


def asserted(file: str, on: date) -> dict[str, int]:
    """Fen, debits less credits, that a file claims of its accounts at the beginning of a day."""
    found = re.findall(rf"^{on} balance (\S+)  (-?\d+)\.(\d\d) ~ 0 CNY$", file, re.M)
    return {name: int(yuan + fen) for name, yuan, fen in found}


def vouchers(file: str) -> list[int]:
    return [int(number) for number in re.findall(r"^  voucher: (\d+)$", file, re.M)]


async def balances(district: District, until: date | None = None) -> dict[str, int]:
    """Fen, debits less credits, by Beancount's names of the ledger accounts: now, or at the end of a past day by adding up."""
    now = "SELECT book_id, code, side, CASE side WHEN 'asset' THEN balance_fen ELSE -balance_fen END AS fen FROM ledger_account"
    then = """
        SELECT a.book_id, a.code, a.side, sum(CASE WHEN t.debit = a.id THEN t.amount_fen ELSE -t.amount_fen END)::bigint AS fen
        FROM ledger_account a JOIN transfer t ON a.id IN (t.debit, t.credit) WHERE t.recorded_at < :end GROUP BY a.id
    """
    async with district.reading() as session:
        rows = await session.execute(text(then if until else now), {"end": clock.day_bounds(until)[1]} if until else {})
        return {account_name(row.book_id, row.code, row.side): row.fen for row in rows}


def csv_rows(file: bytes) -> Sheet:
    assert file.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"), newline="")))


def excel_rows(file: bytes) -> Sheet:
    book = CalamineWorkbook.from_filelike(io.BytesIO(file))
    sheets = [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]
    return [dict(zip(sheet[0], row, strict=True)) for sheet in sheets for row in sheet[1:]]


def fen(cell: str | float) -> int:
    """A cell of yuan, out of either kind of file."""
    return int(cell.replace(".", "")) if isinstance(cell, str) else round(cell * 100)


def moved(sheet: Sheet) -> dict[str, int]:
    """What the rows of a journal add up to, by Beancount's names of the ledger accounts; debits less credits."""
    sums: dict[str, int] = {}
    for row in sheet:
        for end, sign in (("借方分户账", 1), ("贷方分户账", -1)):
            kind = row[end].partition(":")[0]
            name = account_name(UUID(row["账簿"]), row[end], "asset" if kind in ("cash", "incoming", "shortfall") else "liability")
            sums[name] = sums.get(name, 0) + sign * fen(row["金额（元）"])
    return sums


async def nobody_reads(district: District) -> None:
    """Until no transaction of this database stands open."""
    open_ones = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'")
    found = 1
    while found:
        async with district.reading() as session:
            found = await session.scalar(open_ones) or 0
