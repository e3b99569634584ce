"""The audit trail is written with the act and never changed."""

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from app import audit
from app.audit import AuditEntry
from app.db import District
from app.errors import BadInput


async def entries(district: District) -> list[AuditEntry]:
    async with district.reading() as session:
        return list(await session.scalars(select(AuditEntry)))


async def test_an_entry_says_who_did_what_and_why(district: District) -> None:
    async with district.transaction() as session:
        await audit.record(session, "staff:1", "supervision.payout_released", "payout:7", "核实无误", amount_fen=100)
    (entry,) = await entries(district)
    assert (entry.actor, entry.action, entry.subject, entry.reason) == ("staff:1", "supervision.payout_released", "payout:7", "核实无误")
    assert entry.facts == {"amount_fen": 100}


async def test_an_act_that_fails_leaves_no_entry(district: District) -> None:
    async def fail() -> None:
        async with district.transaction() as session:
            await audit.record(session, "staff:1", "supervision.payout_released", "payout:7")
            raise RuntimeError("the act failed")

    with pytest.raises(RuntimeError):
        await fail()
    assert await entries(district) == []


@pytest.mark.parametrize("change", [update(AuditEntry).values(actor="staff:2"), delete(AuditEntry)])
async def test_not_even_the_owner_changes_an_entry(district: District, owner: District, change: object) -> None:
    async with district.transaction() as session:
        await audit.record(session, "staff:1", "supervision.payout_released", "payout:7")
    for role in (district, owner):
        with pytest.raises(DBAPIError):
            async with role.transaction() as session:
                await session.execute(change)  # type: ignore[call-overload]
    assert len(await entries(district)) == 1


def test_a_reason_is_kept_on_one_line() -> None:
    assert audit.clean_reason(" 老师\r\n 没来　三次 ") == "老师 没来 三次"
    assert len(audit.clean_reason("不" * 500)) == 500


@pytest.mark.parametrize("reason", ["", "　", "\u200b\u200b", "\u0301", "不" * 501, "a\x00b", "a\ud800b"])
def test_no_reason_and_no_storable_one_are_refused(reason: str) -> None:
    with pytest.raises(BadInput):
        audit.clean_reason(reason)
