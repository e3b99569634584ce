"""学生库 as officers see it: without a name, a phone or a month of birth. Who a child is, only a look-up shows."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts.models import Contract
from app.registry import consenting, families
from app.registry.models import Guardianship, Student
from app.registry.queries import PAGE


@dataclass(frozen=True, slots=True)
class StudentEntry:
    """A child in the register. `stage` is empty once a guardian has withdrawn consent, and once the child is erased."""

    id: UUID
    stage: str | None
    consented: bool
    hidden_at: datetime | None
    erased_at: datetime | None
    guardians: int
    contract_nos: list[str]
    """The newest first; a look-up goes by one of them."""
    created_at: datetime


async def students(
    session: AsyncSession, institution_id: UUID | None = None, before: UUID | None = None, limit: int = PAGE
) -> list[StudentEntry]:
    """All children, or those with a contract at an institution; the latest entry first. `before` is the id of the last one seen."""
    query = select(Student).order_by(Student.id.desc()).limit(min(limit, PAGE))
    if institution_id is not None:
        query = query.where(Student.id.in_(select(Contract.student_id).where(Contract.institution_id == institution_id)))
    if before is not None:
        query = query.where(Student.id < before)
    found = list(await session.scalars(query))
    ids = [child.id for child in found]
    answering = Counter(await session.scalars(select(Guardianship.student_id).where(Guardianship.student_id.in_(ids))))
    contracts = await _contract_nos(session, ids)
    return [_entry(child, answering[child.id], contracts[child.id]) for child in found]


async def _contract_nos(session: AsyncSession, student_ids: Collection[UUID]) -> defaultdict[UUID, list[str]]:
    signed = select(Contract.student_id, Contract.contract_no).where(Contract.student_id.in_(student_ids))
    numbers = defaultdict[UUID, list[str]](list)
    for student_id, contract_no in await session.execute(signed.order_by(Contract.id.desc())):
        numbers[student_id].append(contract_no)
    return numbers


def _entry(child: Student, guardians: int, contract_nos: list[str]) -> StudentEntry:
    return StudentEntry(
        id=child.id,
        stage=None if child.hidden_at else families.stage_of(child, clock.today()),
        consented=child.consent_version == consenting.CURRENT,
        hidden_at=child.hidden_at,
        erased_at=child.erased_at,
        guardians=guardians,
        contract_nos=contract_nos,
        created_at=child.created_at,
    )
