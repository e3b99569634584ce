"""Payouts before they go out: cleared by rule, or held for an officer."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.audit import AuditEntry
from app.banking import service as banking
from app.errors import BadInput, Conflict, DomainError, NotFound
from app.ids import uuid7
from app.registry.models import Institution
from app.settlement.models import Payout
from app.supervision import queries
from app.supervision.jobs import clear_payouts
from app.supervision.models import Clearance
from app.supervision.rules import DEFAULT_LINES, Lines
from app.supervision.service import lines_of, reject_payout, release_payout, set_thresholds
from tests.supervision.scenes import LINES, alerts, draft, draw_lines, rules_fired, statuses
from tests.world import World, in_utc

by_hand = pytest.mark.books_of("ledger", "supervision")


@pytest.fixture
async def school(world: World) -> Institution:
    """An institution with low lines, on a Monday at nine."""
    await world.wait_until(in_utc(2025, 3, 3, 1))
    institution = await world.institution()
    await draw_lines(world.district, institution)
    return institution


async def drafted_payout(world: World, school: Institution, price_fen: int = 600_00) -> Payout:
    """The settlement run's payout for one confirmed lesson of a contract of four."""
    parent, contract = await world.paid_contract(school, price_fen=price_fen)
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(school, lesson)
    await world.confirm(parent, lesson)
    from app.settlement import service as settlement
    from app import clock

    async with world.district.transaction() as session:
        payout = await settlement.run(session, school.id, clock.today(), 1, "test")
    assert payout is not None
    return payout


async def status_of(world: World, payout: Payout) -> str:
    async with world.district.reading() as session:
        from app.banking.models import Instruction

        return (await session.scalars(select(Instruction.status).where(Instruction.reference == payout.payout_no))).one()
