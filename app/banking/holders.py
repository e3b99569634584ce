"""Whose a bank account is, asked at the bank itself before it is bound."""

from app.banking.banks import Banks
from app.errors import Refused, Unavailable
from bank_adapters.port import BankRefused, BankUnknown, HolderCheck


async def check_holder(banks: Banks, connection: str, account_no: str, holder_name: str, field: str, *, supervised: bool) -> None:
    """Hold an account that is to be bound against the bank's own word; with no transaction open.

    A supervised account must also be one that our connection sees and instructs. Raises Refused `banking.account_unknown`,
    `banking.holder_differs` or `banking.not_supervised` naming the field, Unavailable where the bank does not answer.
    """
    try:
        found: HolderCheck | None = await banks.get(connection).check_holder(account_no, holder_name)
    except BankUnknown as silent:
        raise Unavailable("banking.silent", "银行暂时没有答复，请稍后再试") from silent
    except BankRefused as refused:
        raise Refused("banking.account_unknown", "银行查无此账户", field=field) from refused
    if found is None:
        raise Refused("banking.account_unknown", "银行查无此账户", field=field)
    if not found.name_matches:
        raise Refused("banking.holder_differs", "银行账户的户名与机构名称不一致", field=field)
    if supervised and not found.instructable:
        raise Refused("banking.not_supervised", "该账户没有纳入本区资金监管", field=field)
