"""Daily proof: one statement call per connection to a bank, then every supervised account against the books."""

from datetime import date, timedelta

from sqlalchemy import and_, select, text

from app import clock
from app.banking.banks import Banks
from app.banking.jobs import import_statement
from app.banking.models import BankAccount, StatementDay
from app.db import District
from app.errors import BadInput
from app.reconciliation.service import reconcile, reconcile_agreeing, reconcile_missing

MAX_DAYS = 31
"""Days that one call catches up on."""

EARLIEST = date(2000, 1, 1)
"""No account is older; a date far enough back has no UTC instant."""

_FIRST_DUE = text("""
    SELECT min(coalesce(last.value_on + 1, (a.opened_at AT TIME ZONE 'Asia/Shanghai')::date))
    FROM bank_account a
    LEFT JOIN LATERAL (
        SELECT r.value_on FROM reconciliation r
        WHERE r.bank_account_id = a.id AND (r.value_on + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' <= coalesce(
            (SELECT d.fetched_at FROM statement_day d WHERE d.bank_account_id = r.bank_account_id AND d.value_on = r.value_on),
            r.reconciled_at)
        ORDER BY r.value_on DESC LIMIT 1
    ) AS last ON true
    WHERE a.role = 'supervised'
""")


async def due_days(district: District) -> list[date]:
    """Ended value days that some supervised account has no final reconciliation of, oldest first, at most 31."""
    async with district.reading() as session:
        first: date | None = await session.scalar(_FIRST_DUE)
    if first is None:
        return []
    ended = (clock.today() - first).days
    return [first + timedelta(days=n) for n in range(min(ended, MAX_DAYS))]


async def reconcile_due(district: District, banks: Banks) -> int:
    """Reconcile yesterday, and every day before it that was missed; how many account days were reconciled."""
    return sum([await reconcile_day(district, banks, on) for on in await due_days(district)])


async def reconcile_day(district: District, banks: Banks, value_on: date) -> int:
    """Fetch the statements of one value day and reconcile every supervised account: those that agree together, the others each in its own
    transaction.

    Today may be reconciled while it runs, and any day again. Raises BadInput `reconciliation.future` or `reconciliation.too_early`,
    and what the bank raises.
    """
    if value_on > clock.today():
        raise BadInput("reconciliation.future", "该日尚未开始，无法对账")
    if value_on < EARLIEST:
        raise BadInput("reconciliation.too_early", "该日早于任何账户，无法对账")
    async with district.reading() as session:
        connections = (await session.scalars(select(BankAccount.connection).where(BankAccount.role == "supervised").distinct())).all()
    for connection in sorted(connections):
        await import_statement(district, banks, connection, value_on)
    async with district.transaction() as session:
        agreed = await reconcile_agreeing(session, value_on)
    async with district.reading() as session:
        _, ends_at = clock.day_bounds(value_on)
        of_the_day = and_(StatementDay.bank_account_id == BankAccount.id, StatementDay.value_on == value_on)
        accounts = (
            await session.execute(
                select(BankAccount.id, StatementDay.bank_account_id.is_not(None).label("stated"))
                .outerjoin(StatementDay, of_the_day)
                .where(BankAccount.role == "supervised", BankAccount.opened_at < ends_at)
                .order_by(BankAccount.id)
            )
        ).all()
    for account in accounts:
        if account.id in agreed:
            continue
        async with district.transaction() as session:
            await (reconcile if account.stated else reconcile_missing)(session, account.id, value_on)
    return len(accounts)
