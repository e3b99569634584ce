"""Families whose contracts are older than custody: their institution enters what is left of them."""

from sqlalchemy import select

from app import clock
from app.banking import jobs as bank_jobs
from app.banking.payees import PayeeDraft
from app.contracts.models import Contract
from app.contracts.old_stock import OldContract
from app.payments import jobs as payment_jobs
from app.payments import ruling as rulings
from app.payments.models import Receipt
from app.payments.old_stock import recognise
from app.payments.ruling import ReceiptRuling
from app.refunds import service as refunds
from app.refunds.models import Refund
from app.settlement import service as settlement
from app.settlement.models import Payout
from app.supervision import service as supervision
from tests.school import LESSON_FEN, Family, School
from tests.world import CONNECTION, World

PAYEE = PayeeDraft("6217 0000 0000 0001", "王家长")
PAYEE_NO = "6217000000000001"


async def old_families(school: School, how_many: int = 1, lesson_count: int = 4, amount_fen: int | None = None) -> list[Family]:
    """So many old contracts for the coming lessons of the school's class, recognised together, by default at its price."""
    world = school.world
    people = []
    for _ in range(how_many):
        parent = await world.parent()
        people.append((parent, await world.child(parent)))
    fen = LESSON_FEN * lesson_count if amount_fen is None else amount_fen
    rows = [OldContract(school.training_class.id, parent.guardian_id, student.id, lesson_count, fen) for parent, student in people]
    async with world.district.transaction() as session:
        contracts = await recognise(session, school.institution.id, rows, school.staff.actor)
    return [
        Family(parent, student, contract, [lesson.id for lesson in await world.lessons_of(contract)])
        for (parent, student), contract in zip(people, contracts, strict=True)
    ]


async def old_family(school: School, lesson_count: int = 4, amount_fen: int | None = None) -> Family:
    """One of them."""
    [family] = await old_families(school, 1, lesson_count, amount_fen)
    return family


async def taught(school: School, number: int, *families: Family) -> None:
    """A lesson takes place, and every family there confirms it."""
    await school.deliver(number, *families)
    for family in families:
        await school.confirm(family, number)


async def settle(school: School, run_no: int = 1) -> Payout | None:
    async with school.world.district.transaction() as session:
        return await settlement.run(session, school.institution.id, clock.today(), run_no, school.world.clerk().actor)


async def ask_back(school: School, family: Family, payee: PayeeDraft | None = PAYEE) -> Refund:
    """The family asks for its rest back."""
    async with school.world.district.transaction() as session:
        [refund] = await refunds.request(session, family.parent, family.contract.id, "不学了", payee)
        return refund


async def release(school: School, refund: Refund, reason: str = "已电话核实收款账户") -> None:
    """An officer lets a held refund go, and the bank pays it."""
    async with school.world.district.transaction() as session:
        await supervision.release_refund(session, school.world.officer(), refund.refund_no, reason)
    await school.world.work()


async def open_payee(world: World) -> None:
    """The account that old families name exists at the bank."""
    await world.bank.open_account(PAYEE_NO, PAYEE.holder_name)


async def deposit(school: School, amount_fen: int) -> Receipt:
    """Money arrives from somebody unknown, and is decided about."""
    world = school.world
    await world.bank.deposit_from_stranger((await world.account(school.institution)).account_no, amount_fen)
    await bank_jobs.import_statement(world.district, world.banks, CONNECTION, clock.today())
    await payment_jobs.match_receipts(world.district)
    async with world.district.reading() as session:
        newest = select(Receipt).order_by(Receipt.decided_at.desc(), Receipt.movement_id.desc()).limit(1)
        return (await session.scalars(newest)).one()


async def rule_on(school: School, receipt: Receipt, ruling: ReceiptRuling) -> Receipt:
    async with school.world.district.transaction() as session:
        return await rulings.rule_on_receipt(session, school.world.officer(), receipt.movement_id, ruling, "机构补缴")


async def status_of(school: School, contract: Contract) -> str:
    async with school.world.district.reading() as session:
        return (await session.get_one(Contract, contract.id)).status
