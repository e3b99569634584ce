"""Accounts that money goes to though none came from it: who they are is sealed."""

import json
import re
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app import clock, crypto, sealing
from app.banking.models import Payee
from app.errors import BadInput
from app.ids import uuid7

_ACCOUNT_NO = re.compile(r"[0-9]{8,32}")
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class PayeeDraft:
    """An account as somebody types it: its number, spaces and all, and the name that it bears at the bank."""

    account_no: str
    holder_name: str


async def add_payee(session: AsyncSession, draft: PayeeDraft) -> Payee:
    """Keep an account. Raises BadInput "banking.payee_account" or "banking.payee_name", naming the field."""
    account_no, holder_name = re.sub(r"\s", "", draft.account_no), draft.holder_name.strip()
    if not _ACCOUNT_NO.fullmatch(account_no):
        raise BadInput("banking.payee_account", "请填写收款银行账号，8 至 32 位数字", field="payee_account_no")
    if not 1 <= len(holder_name) <= LONGEST_NAME or not holder_name.isprintable():
        raise BadInput("banking.payee_name", f"请填写收款账户的户名，最多 {LONGEST_NAME} 个字", field="payee_name")
    payee_id = uuid7()
    account_enc = sealing.seal(json.dumps([account_no, holder_name], ensure_ascii=False), "payee", "account_enc", payee_id)
    payee = Payee(id=payee_id, account_enc=account_enc, created_at=clock.now())
    session.add(payee)
    await session.flush()
    return payee


def masked(payee: Payee) -> str:
    """A kept account as people check it against what they are told: `6217****0001 王*长`. Raises crypto.Unreadable."""
    account_no, holder_name = account_of(payee.id, payee.account_enc)
    return f"{crypto.mask_account(account_no)} {crypto.mask_name(holder_name)}"


def account_of(payee_id: UUID, account_enc: bytes) -> tuple[str, str]:
    """Number and name of a kept account, in clear. Raises crypto.Unreadable."""
    account_no, holder_name = json.loads(sealing.unseal(account_enc, "payee", "account_enc", payee_id))
    return account_no, holder_name
