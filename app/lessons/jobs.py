"""Confirmations that a payment implied."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.models import Charge, Contract, Lesson
from app.db import District, district_of
from app.ids import uuid7
from app.lessons import service
from app.lessons.service import Consent
from app.security import Parent

_BATCH = 100


async def confirm_paid(district: District) -> int:
    """Confirm the lessons that were taught unpaid and are paid now, for the guardian who signed; how many payments that concerned.

    Each in its own transaction; one that fails is logged and stops no other. A lesson that is under dispute meanwhile stays so, and
    one whose guardian answers for the child no more waits for another.
    """
    async with district.reading() as session:
        paid = (await session.scalars(select(Charge.id).where(Charge.to_confirm).order_by(Charge.id).limit(_BATCH))).all()
    return await district.one_by_one("lessons.confirm_paid", paid, _confirm)


async def _confirm(session: AsyncSession, charge_id: UUID) -> int:
    """Confirm the lesson of one charge; 0 where another worker does."""
    waiting = select(Charge).where(Charge.id == charge_id, Charge.to_confirm)
    charge = await session.scalar(waiting.with_for_update(skip_locked=True, key_share=True))
    if charge is None:
        return 0
    contract = await session.get_one(Contract, charge.contract_id)
    paid = select(Lesson.id).where(Lesson.contract_id == contract.id, Lesson.number.between(charge.first_lesson, charge.last_lesson))
    payer = Parent(district_of(session), uuid7(), contract.guardian_id)
    await service.confirm_all(session, [Consent(payer, (await session.scalars(paid)).all())])
    await session.execute(update(Charge).where(Charge.id == charge_id).values(to_confirm=False))
    return 1
