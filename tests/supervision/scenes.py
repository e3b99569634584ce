"""Scenes of supervision: lines set, payouts drafted without the lessons behind them, and what stands afterwards."""

from itertools import count
from uuid import UUID

from sqlalchemy import select

from app import clock
from app.banking import service as banking
from app.banking.models import Instruction
from app.db import District
from app.ids import number, uuid7
from app.ledger import codes
from app.ledger import service as ledger
from app.ledger.service import Posting
from app.registry.models import Institution
from app.settlement import service as settlement
from app.settlement.models import Payout
from app.supervision import queries
from app.supervision.queries import AlertView
from app.supervision.rules import Lines
from app.supervision.service import set_thresholds
from tests.world import World

LINES = Lines(large_transfer_fen=100_00, large_day_fen=250_00, minimum_balance_fen=0)
_runs = count(1)


async def draw_lines(district: District, institution: Institution, lines: Lines = LINES) -> None:
    async with district.transaction() as session:
        await set_thresholds(session, "test", institution.id, lines)


async def owe(world: World, institution: Institution, amount_fen: int) -> None:
    """Post by hand what a receipt, a match and a release would have: money in cash that the institution is owed."""
    cash, escrow = codes.cash((await world.account(institution)).id), codes.escrow(uuid7())
    steps = [
        ("received", cash, codes.SUSPENSE),
        ("payment_matched", codes.SUSPENSE, escrow),
        ("lesson_released", escrow, codes.PAYABLE),
    ]
    async with world.district.transaction() as session:
        postings = [Posting(kind, uuid7(), institution.id, debit, credit, amount_fen) for kind, debit, credit in steps]
        await ledger.post(session, postings, posted_by="test")


async def draft(world: World, institution: Institution, amount_fen: int) -> Instruction:
    """A payout instruction, out of money that is owed by then."""
    await owe(world, institution, amount_fen)
    async with world.district.transaction() as session:
        reference = number("T", world.district.code)
        return await banking.instruct_payout(session, reference=reference, book_id=institution.id, amount_fen=amount_fen, posted_by="test")


async def settle_one_lesson(world: World, institution: Institution, price_fen: int) -> Payout:
    """A family pays for four lessons at this price each and confirms the first; the settlement run drafts the payout of its fee."""
    parent, contract = await world.paid_contract(institution, lessons=4, price_fen=4 * price_fen)
    lesson = (await world.lessons_of(contract))[0]
    await world.deliver(institution, lesson)
    await world.confirm(parent, lesson)
    async with world.district.transaction() as session:
        payout = await settlement.run(session, institution.id, clock.today(), next(_runs), "test")
    assert payout is not None
    return payout


async def status_of(district: District, payout: Payout) -> str:
    async with district.reading() as session:
        return (await session.scalars(select(Instruction.status).where(Instruction.reference == payout.payout_no))).one()


async def statuses(district: District, *drafted: Instruction) -> list[str]:
    async with district.reading() as session:
        found = dict((await session.execute(select(Instruction.id, Instruction.status))).all())
    return [found[instruction.id] for instruction in drafted]


async def alerts(district: District, *, open_only: bool = True, institution_id: UUID | None = None) -> list[AlertView]:
    """Oldest first."""
    async with district.reading() as session:
        return list(reversed(await queries.alerts(session, open_only=open_only, institution_id=institution_id)))


async def rules_fired(district: District) -> list[str]:
    return [alert.rule for alert in await alerts(district)]
