"""存量 recognised: old contracts stand in escrow like any others, and what has no cash behind it stands as shortfall."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.banking import service as banking
from app.contracts import old_stock
from app.contracts import service as contracts
from app.contracts.models import Contract
from app.contracts.old_stock import Entered, OldContract, Place
from app.db import district_of
from app.errors import Refused
from app.ids import number
from app.ledger import service as ledger
from app.ledger.codes import SHORTFALL, escrow
from app.ledger.service import Posting
from app.payments import codes
from app.payments.models import Payment
from app.registry.models import Institution


async def recognise(session: AsyncSession, institution_id: UUID, rows: Sequence[OldContract], actor: str) -> list[Contract]:
    """Take over old contracts of an institution as paid ones: the fen that are left stand in escrow, against a shortfall. All or none.

    No cash is made of it: the shortfall is made good by what the institution earns, or pays in. Raises
    Refused("payments.institution_not_open") where the institution is not approved, and what `contracts.old_stock.enter` raises.
    """
    entered = await take_over(session, await old_stock.places(session, institution_id), rows)
    await post(session, institution_id, entered, actor)
    return [each.contract for each in entered]


async def take_over(session: AsyncSession, known: Mapping[UUID, Place], rows: Sequence[OldContract]) -> list[Entered]:
    """Some of the old contracts with their payments, in these locked places; the caller posts all of them together."""
    if not rows:
        return []
    entered = await old_stock.enter(session, known, rows)
    session.add_all([_paid(session, each) for each in entered])
    await session.flush()
    return entered


async def post(session: AsyncSession, institution_id: UUID, entered: Sequence[Entered], actor: str) -> None:
    """Recognise in the institution's book what was taken over. Raises Refused("payments.institution_not_open")."""
    if not entered:
        return
    institution = await session.get(Institution, institution_id)
    if institution is None or institution.status != "approved":
        raise Refused("payments.institution_not_open", "机构不在正常状态，不能录入存量合同")
    await contracts.miss_delivered(session, [each.contract.id for each in entered])
    facts = {"contracts": len(entered), "amount_fen": sum(each.charge.amount_fen for each in entered)}
    await audit.record(session, actor, "payments.old_stock_recognised", f"institution:{institution_id}", None, **facts)
    # Whoever reads the shortfall to make it good holds this lock.
    await banking.lock_supervised(session, [institution_id])
    recognised = [
        Posting("old_stock_recognised", each.payment_id, institution_id, SHORTFALL, escrow(each.payment_id), each.charge.amount_fen)
        for each in entered
    ]
    await ledger.post_openings(session, recognised, posted_by=actor)


def _paid(session: AsyncSession, entered: Entered) -> Payment:
    now, contract, charge = clock.now(), entered.contract, entered.charge
    return Payment(
        id=entered.payment_id,
        payment_no=number("P", district_of(session)),
        contract_id=contract.id,
        charge_id=charge.id,
        institution_id=contract.institution_id,
        guardian_id=contract.guardian_id,
        amount_fen=charge.amount_fen,
        status="paid",
        old_stock=True,
        nonce=codes.new_nonce(),
        created_at=now,
        expires_at=now,
        paid_at=now,
        ended_at=now,
    )
