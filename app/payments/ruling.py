"""Money from an unknown payer while a book has a shortfall: an officer says whether it makes that good, or goes back.

It may be the institution's own deposit, or a bank that repays its own wrong debit; or a stranger's, which must not pay others' debts.
Money that carries a payment's number, if another institution's, is a family's: it goes back by itself.
"""

from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.audit import clean_reason
from app.banking import service as banking
from app.db import fixed
from app.errors import Conflict, NotFound, Refused
from app.ledger import queries as books
from app.ledger import service as ledger
from app.ledger.codes import SHORTFALL, SUSPENSE
from app.ledger.models import LedgerAccount
from app.ledger.service import Posting
from app.payments.models import Receipt
from app.security import SupervisionStaff

ReceiptRuling = Literal["made_good", "return"]


def waits() -> ColumnElement[bool]:
    """Whether a receipt waits for a ruling: it does not go back by itself meanwhile."""
    short = (LedgerAccount.book_id == Receipt.institution_id, LedgerAccount.code == SHORTFALL, LedgerAccount.balance_fen > 0)
    unknown = Receipt.outcome == fixed("unknown_payer"), Receipt.meant_for.is_(None)
    undecided = *unknown, Receipt.ruling.is_(None), Receipt.return_no.is_(None)
    return and_(*undecided, Receipt.returned_at.is_(None), exists().where(*short))


async def rule_on_receipt(
    session: AsyncSession, officer: SupervisionStaff, movement_id: UUID, ruling: ReceiptRuling, reason: str
) -> Receipt:
    """Let money in suspense make the shortfall good, as far as that goes; or send it back. What is left over goes back too.

    Raises BadInput "reason.invalid", NotFound "payments.receipt_not_found", Refused "payments.receipt_has_code" for money that came
    under a payment's number, Conflict "payments.receipt_decided" and "payments.no_shortfall".
    """
    reason = clean_reason(reason)
    receipt = await session.get(Receipt, movement_id, with_for_update={"key_share": True}, populate_existing=True)
    if receipt is None or receipt.outcome == "matched":
        raise NotFound("payments.receipt_not_found", "没有这笔挂账款项")
    if receipt.outcome != "unknown_payer" or receipt.meant_for is not None:
        raise Refused("payments.receipt_has_code", "这笔款项带有付款单号，由系统原路退回付款人，不能作其他用途")
    if receipt.ruling is not None or receipt.return_no is not None or receipt.returned_at is not None:
        raise Conflict("payments.receipt_decided", "这笔款项已有处理结果，或正在退回")
    if ruling == "made_good":
        await banking.lock_supervised(session, [receipt.institution_id])
        shortfall_fen = (await books.totals(session, receipt.institution_id)).get(SHORTFALL, 0)
        if not shortfall_fen:
            raise Conflict("payments.no_shortfall", "该机构账簿已没有缺口，这笔款项将原路退回")
        receipt.made_good_fen = min(shortfall_fen, receipt.amount_fen)
    receipt.ruling, receipt.ruling_reason, receipt.ruled_by, receipt.ruled_at = ruling, reason, officer.staff_id, clock.now()
    facts = {"ruling": ruling, "amount_fen": receipt.amount_fen, "made_good_fen": receipt.made_good_fen or 0}
    await audit.record(session, officer.actor, "payments.receipt_ruled", f"movement:{movement_id}", reason, **facts)
    if ruling == "made_good":
        good = Posting("made_good", movement_id, receipt.institution_id, SUSPENSE, SHORTFALL, receipt.made_good_fen)
        await ledger.post(session, [good], posted_by=officer.actor)
    return receipt
