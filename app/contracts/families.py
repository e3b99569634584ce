"""Whose contracts these are: who signed one, and every present guardian of its child, may follow it, pay it and ask for its rest back."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import CompoundSelect, Select, func, select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.contracts.models import Contract
from app.errors import NotFound
from app.registry.models import Guardianship


def contracts_of(guardian_id: UUID) -> CompoundSelect[UUID]:
    """The ids of the contracts that a guardian signed, and of those of the children they answer for now."""
    signed = aliased(Contract)
    return union(select(signed.id).where(signed.guardian_id == guardian_id), children_contracts_of(guardian_id))


def children_contracts_of(guardian_id: UUID) -> Select[UUID]:
    """The same without those of children that somebody else answers for now: their lessons are theirs to confirm or dispute."""
    guarded = aliased(Contract)
    own = Guardianship.guardian_id == guardian_id
    return select(guarded.id).join(Guardianship, Guardianship.student_id == guarded.student_id).where(own)


async def with_contracts(session: AsyncSession, institution_id: UUID, guardian_ids: Collection[UUID]) -> set[UUID]:
    """Those of some guardians who signed a contract with an institution, or answer for a child of one."""
    signed = select(Contract.guardian_id).where(Contract.guardian_id.in_(guardian_ids), Contract.institution_id == institution_id)
    answers = (
        select(Guardianship.guardian_id)
        .join(Contract, Contract.student_id == Guardianship.student_id)
        .where(Guardianship.guardian_id.in_(guardian_ids), Contract.institution_id == institution_id)
    )
    return set(await session.scalars(union(signed, answers)))


async def check_own(session: AsyncSession, wanted: Sequence[tuple[UUID, Contract | None]]) -> None:
    """Guardians and contracts that they want to act on. Raises NotFound("contracts.not_found") for absent and others' ones alike."""
    others = {(guardian_id, contract.student_id) for guardian_id, contract in wanted if contract and contract.guardian_id != guardian_id}
    key = tuple_(Guardianship.guardian_id, Guardianship.student_id)
    guarded = await session.scalar(select(func.count()).select_from(Guardianship).where(key.in_(others))) if others else 0
    if any(contract is None for _, contract in wanted) or (guarded or 0) < len(others):
        raise NotFound("contracts.not_found", "没有这份合同")
