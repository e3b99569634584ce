"""存量 recognised: old contracts stand in escrow like any others, and what has no cash behind it stands as shortfall."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.banking import service as banking
from app.contracts import old_stock
from app.contracts import service as contracts
from app.contracts.models import Charge, Contract
from app.contracts.old_stock import OldContract
from app.contracts.service import PaidCharge
from app.db import district_of
from app.errors import Refused
from app.ids import number, uuid7
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
    if not rows:
        return []
    institution = await session.get(Institution, institution_id)
    if institution is None or institution.status != "approved":
        raise Refused("payments.institution_not_open", "机构不在正常状态，不能录入存量合同")
    entered = await old_stock.enter(session, institution_id, rows)
    payments = [_paid(session, contract, charge) for contract, charge in entered]
    session.add_all(payments)
    await session.flush()
    now = clock.now()
    taken = [PaidCharge(contract, charge, payment.id, now) for (contract, charge), payment in zip(entered, payments, strict=True)]
    await contracts.pay_all(session, taken)
    amount_fen = sum(payment.amount_fen for payment in payments)
    facts = {"contracts": len(payments), "amount_fen": amount_fen}
    await audit.record(session, actor, "payments.old_stock_recognised", f"institution:{institution_id}", None, **facts)
    # Whoever reads the shortfall to make it good holds this lock.
    await banking.lock_supervised(session, [institution_id])
    recognised = [
        Posting("old_stock_recognised", payment.id, institution_id, SHORTFALL, escrow(payment.id), payment.amount_fen)
        for payment in payments
    ]
    await ledger.post(session, recognised, posted_by=actor)
    return [contract for contract, _ in entered]


def _paid(session: AsyncSession, contract: Contract, charge: Charge) -> Payment:
    now = clock.now()
    return Payment(
        id=uuid7(),
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
