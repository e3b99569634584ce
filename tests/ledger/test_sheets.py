"""The journal in a spreadsheet: what the books hold, and nothing that a spreadsheet would compute."""

import hashlib
from datetime import date, datetime
from uuid import UUID

import pytest

from app import clock
from app.db import District
from app.ids import uuid7
from app.ledger import codes, jobs, journal, service, sheets
from app.ledger.export import CSV, EXCEL, Form
from app.ledger.journal import Glossary, Scope
from app.ledger.service import Posting
from app.portals.words import word
from tests.ledger.auditors import EVERYTHING, Read, balances, csv_rows, excel_rows, exported, fen, moved
from tests.ledger.conftest import Story
from tests.ledger.test_log import leaf

BOTH = [(CSV, csv_rows), (EXCEL, excel_rows)]


@pytest.mark.parametrize(("form", "read"), BOTH)
async def test_a_spreadsheet_holds_the_journal_and_adds_up_to_the_trial_balance(form: Form, read: Read, story: Story) -> None:
    rows = read(await exported(story.district, form))
    async with story.district.reading() as session:
        lines = [line async for part in journal.lines(session, EVERYTHING) for line in part]
    assert [int(row["凭证号"]) for row in rows] == [line.seq for line in lines] == list(range(1, len(lines) + 1))
    assert [fen(row["金额（元）"]) for row in rows] == [line.amount_fen for line in lines]
    assert [str(row["记账日期"]) for row in rows] == [str(clock.business_date(line.recorded_at)) for line in lines]
    assert [row["摘要"] for row in rows] == [word(line.kind, "transfer") for line in lines]
    assert moved(rows) == await balances(story.district)


async def test_csv_and_excel_tell_the_same(story: Story) -> None:
    scope = Scope(story.first.institution.id, story.days[1], story.days[2])
    glossary = Glossary(word, {story.first.institution.id: story.first.institution.name})
    in_csv, in_excel = [read(await exported(story.district, form, scope, glossary)) for form, read in BOTH]
    assert in_csv == [{heading: as_csv(heading, cell) for heading, cell in row.items()} for row in in_excel]
    assert {row["账簿名称"] for row in in_csv} == {"晨光艺术培训学校"}
    assert {row["记账日期"] for row in in_csv} == {str(day) for day in story.days[1:3]}


def as_csv(heading: str, cell: str | float | date) -> str:
    if heading.endswith("（元）"):
        return f"{cell:.2f}"
    return f"{cell:.0f}" if isinstance(cell, int | float) else str(cell)


@pytest.mark.books_of("ledger")
async def test_a_workbook_goes_on_on_another_sheet(district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    book = uuid7()
    async with district.transaction() as session:
        await service.open_book(session, book)
        postings = [Posting("received", uuid7(), book, codes.cash(book), codes.SUSPENSE, fen) for fen in range(1, 13)]
        await service.post(session, postings, posted_by="test")
    await jobs.seal(district)
    monkeypatch.setattr(sheets, "SHEET_ROWS", 5)
    assert [row["凭证号"] for row in excel_rows(await exported(district, EXCEL))] == list(range(1, 13))


@pytest.mark.parametrize(("form", "read"), BOTH)
async def test_empty_books_are_a_sheet_without_rows(form: Form, read: Read, district: District) -> None:
    assert read(await exported(district, form)) == []


@pytest.mark.books_of("ledger")
async def test_a_leaf_can_be_computed_again_from_its_row(district: District) -> None:
    book, escrow, release = uuid7(), codes.escrow(uuid7()), uuid7()
    async with district.transaction() as session:
        await service.open_book(session, book)
        postings = [
            Posting("received", uuid7(), book, codes.cash(uuid7()), codes.SUSPENSE, 1234, evidence_sha256=hashlib.sha256(b"line").digest()),
            Posting("payment_matched", uuid7(), book, codes.SUSPENSE, escrow, 1234),
            Posting("lesson_released", release, book, escrow, codes.PAYABLE, 100),
        ]
        posted = await service.post(session, postings, posted_by="经办人", batch=uuid7())
    async with district.transaction() as session:
        back = Posting("release_reversed", release, book, codes.PAYABLE, escrow, 100, reverses=posted[-1].transfer_id)
        await service.post(session, [back], posted_by="test")
    assert await jobs.seal(district) == 4
    for row in csv_rows(await exported(district, CSV)):
        transfer = {
            "format": int(row["格式"]),
            "id": UUID(row["凭证标识"]),
            "book_id": UUID(row["账簿"]),
            "kind": row["类型代码"],
            "reference": row["依据"],
            "amount_fen": fen(row["金额（元）"]),
            "debit_balance_fen": fen(row["借方户余额（元）"]),
            "credit_balance_fen": fen(row["贷方户余额（元）"]),
            "debit_version": int(row["借方户笔次"]),
            "credit_version": int(row["贷方户笔次"]),
            "occurred_at": datetime.fromisoformat(row["发生时间"]),
            "value_on": row["起息日"],
            "business_on": row["营业日"],
            "recorded_at": datetime.fromisoformat(row["记账时间"]),
            "reverses": UUID(row["冲正凭证"]) if row["冲正凭证"] else None,
            "batch": UUID(row["批次"]) if row["批次"] else None,
            "posted_by": row["经办"],
            "evidence_sha256": bytes.fromhex(row["证据摘要"]) or None,
        }
        assert leaf(transfer, "510112", row["借方分户账"], row["贷方分户账"]).hex() == row["叶哈希"]


@pytest.mark.books_of("ledger")
async def test_a_text_is_never_a_formula(district: District) -> None:
    book, formula = uuid7(), '=HYPERLINK("http://elsewhere.test";"点这里")'
    async with district.transaction() as session:
        await service.open_book(session, book)
        postings = [Posting("received", uuid7(), book, codes.cash(uuid7()), codes.SUSPENSE, 5)]
        await service.post(session, postings, posted_by="@SUM(1)")
    await jobs.seal(district)
    glossary = Glossary(word, {book: formula})
    [in_csv], [in_excel] = [read(await exported(district, form, EVERYTHING, glossary)) for form, read in BOTH]
    assert (in_csv["账簿名称"], in_csv["经办"], in_csv["金额（元）"]) == (f"'{formula}", "'@SUM(1)", "0.05")
    assert (in_excel["账簿名称"], in_excel["经办"], in_excel["金额（元）"]) == (formula, "@SUM(1)", 0.05)
