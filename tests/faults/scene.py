"""A family, its institution and a bank whose notices really arrive; and the end of a story as both sides see it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from sqlalchemy import exists, or_, select

from app import clock
from app.banking.models import BankMovement, BankNotice, Collection, Instruction
from app.contracts.models import Contract
from app.db import Database
from app.payments import queries as payment_queries
from app.payments import service as payments
from app.payments.models import Payment, Receipt
from app.payments.rules import MAX_RETURN_ATTEMPTS
from app.reconciliation.models import Break, Reconciliation
from app.registry.models import Institution
from app.security import Parent
from app.supervision.rules import Lines
from bank_adapters.mock_bank.control import PAYER_NO
from tests.conftest import API_KEY, NOTICE_SECRET
from tests.portals.desks import desks_of
from tests.portals.port import served
from tests.supervision.scenes import draw_lines, rules_fired
from tests.world import CONNECTION, World, in_utc

LESSON_FEN = 10_000
LESSONS = 4
FEE_FEN = LESSONS * LESSON_FEN
GRANDMOTHER_NO, COURT_NO = "6222020000000000099", "COURT-510112"
HIGH_LINES = Lines(large_transfer_fen=10**9, large_day_fen=10**9, minimum_balance_fen=0)
NINE_ON_A_MONDAY = in_utc(2026, 3, 2, 1)

PAUSES = [timedelta(seconds=seconds) for seconds in (0, 5, 35, 35, 60, 600, 1200, 3600, 3600)]
"""Ever longer, as one waits for a bank: past its declared latency, a code's quarter of an hour, hourly tries."""

Arrival = Literal["in order", "out of order", "twice", "delayed", "never"]
"""How the bank's notices reach us."""
HOLD_UPS = {"out of order": "notice_reorder", "twice": "notice_duplicate", "delayed": "notice_delay", "never": "notice_lost"}


@dataclass(frozen=True)
class End:
    """What has become of the money, at the bank and with us.

    `lines` are the supervised account's in the bank's order: in, out, or back (returned after success). `at_bank` is fen by
    account, `books` fen by type of ledger account; what holds nothing is left out. `in_sight_fen` is what the settlement end
    sees waiting, assigned to nobody.
    """

    payment: str = ""
    contract: str = ""
    lessons: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    at_bank: dict[str, int] = field(default_factory=dict)
    books: dict[str, int] = field(default_factory=dict)
    in_sight_fen: int = 0
    alerts: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()


@dataclass
class Scene:
    """One family's money at one institution. Time passes only where a story lets it."""

    world: World
    institution: Institution
    neighbour: Institution
    supervised_no: str
    parent: Parent
    contract: Contract | None = None
    payment_no: str = ""
    arrival: Arrival = "in order"

    async def order(self, starts_in: timedelta = timedelta(days=2)) -> None:
        """The family signs and asks for a payment code; the bank has not heard of it."""
        training_class = await self.world.training_class(self.institution, LESSONS, FEE_FEN, starts_in=starts_in)
        self.contract = await self.world.sign(self.parent, training_class)
        async with self.world.district.transaction() as session:
            self.payment_no = (await payments.start(session, self.parent, self.contract.id)).payment_no

    async def pay(self, starts_in: timedelta = timedelta(days=2)) -> None:
        """The family pays, nothing goes wrong, and the money is in escrow."""
        await self.order(starts_in)
        await self.world.work()
        await self.world.bank.pay(self.payment_no)
        await self.go_on()

    async def pay_when_it_can(self) -> None:
        """The family pays once the bank's cashier page is there, and gives up after some tries."""
        for pause in PAUSES[:4]:
            await self.go_on(pause)
            async with self.world.district.reading() as session:
                order = await session.get_one(Collection, self.payment_no)
            if order.status == "opened":
                await self.world.bank.pay(self.payment_no)
                return

    async def grandmother_pays(self, amount_fen: int = FEE_FEN, late: bool = False) -> None:
        pay = self.world.bank.pay_late if late else self.world.bank.pay
        await pay(self.payment_no, amount_fen, GRANDMOTHER_NO, "外婆")

    async def hold_up(self, arrival: Arrival) -> int | None:
        """From now on notices about the supervised account come like this; the bank's knob for it."""
        self.arrival = arrival
        if arrival == "in order":
            return None
        times, seconds = (1 if arrival == "out of order" else None), (3600 if arrival == "delayed" else None)
        return await self.world.bank.knob(HOLD_UPS[arrival], account_no=self.supervised_no, times=times, seconds=seconds)  # type: ignore[arg-type]

    async def go_on(self, pause: timedelta = timedelta()) -> None:
        """Some time passes, the bank does what it was late with, its notices arrive, and the worker does what there is to do."""
        if pause:
            await self.world.wait(pause)
        await self.world.bank.release_late()
        if self.arrival != "delayed":
            await self.world.bank.wait_until_notices_settled()
        await self.world.work()

    async def come_to_rest(self) -> None:
        """Time passes until nothing is under way any more."""
        for pause in PAUSES:
            await self.go_on(pause)
            if not await self._under_way():
                return
        raise AssertionError(f"something is still under way: {await self.seen()}")

    async def held_up_notices_arrive(self) -> None:
        """What was held up comes after all: overtaken by a neighbour's notice, or late."""
        if self.arrival == "out of order":
            rent_account = await self.world.account(self.neighbour, "settlement")
            await self.world.bank.deposit_from_stranger(rent_account.account_no, 1)
        self.arrival = "in order"
        await self.world.bank.release_notices()
        await self.come_to_rest()

    async def night(self) -> None:
        """The next morning comes, and with it the statement of the day."""
        _, tomorrow = clock.day_bounds(clock.today())
        await self.world.wait_until(tomorrow + timedelta(hours=9))
        await self.come_to_rest()

    async def seen(self) -> End:
        """How everything stands now."""
        contract_id = self.contract.id if self.contract else None
        async with self.world.district.reading() as session:
            payment = await session.scalar(select(Payment.status).where(Payment.payment_no == self.payment_no))
            contract = await session.scalar(select(Contract.status).where(Contract.id == contract_id))
            mine = select(Instruction.status).where(Instruction.book_id == self.institution.id).order_by(Instruction.created_at)
            instructions = tuple(await session.scalars(mine))
            waiting = await payment_queries.unmatched_receipts(session, self.institution.id, waiting=True)
            breaks = tuple(await session.scalars(select(Break.kind).order_by(Break.value_on, Break.kind)))
        moved = await self.world.bank.movements(account_no=self.supervised_no)
        return End(
            payment=payment or "",
            contract=contract or "",
            lessons=tuple(lesson.status for lesson in await self.world.lessons_of(self.contract)) if self.contract else (),
            instructions=instructions,
            lines=tuple("back" if each["returns"] else each["direction"] for each in moved),
            at_bank=await self._at_bank(),
            books=await self.world.totals(self.institution),
            in_sight_fen=sum(each.amount_fen for each in waiting),
            alerts=tuple(sorted(await rules_fired(self.world.district))),
            breaks=breaks,
        )

    async def assert_all_is_told(self) -> None:
        """The bank's own books hold, the days are reconciled, and every notice that arrived was followed."""
        proof = await self.world.bank.books()
        assert proof.holds, proof.broken
        sent = Counter(each["state"] for each in await self.world.bank.notices(CONNECTION))
        assert not sent.keys() - {"delivered", "lost"}
        async with self.world.district.reading() as session:
            followed = Counter(await session.scalars(select(BankNotice.status)))
            days = (await session.scalars(select(Reconciliation))).all()
        assert followed == Counter({"processed": sent["delivered"]})
        assert days
        assert {day.statement_fen - day.cash_fen for day in days} == {0}

    async def _at_bank(self) -> dict[str, int]:
        settlement_no = (await self.world.account(self.institution, "settlement")).account_no
        numbers = {
            "supervised": self.supervised_no,
            "settlement": settlement_no,
            "family": PAYER_NO,
            "grandmother": GRANDMOTHER_NO,
            "court": COURT_NO,
        }
        held = {name: await self.world.bank.balance_of(number) for name, number in numbers.items()}
        return {name: fen for name, fen in held.items() if fen}

    async def _under_way(self) -> bool:
        """Whether anything waits for a bank, for its time, or for the worker."""
        going_back = (Receipt.outcome != "matched") & Receipt.returned_at.is_(None) & (Receipt.return_attempts < MAX_RETURN_ATTEMPTS)
        waiting = or_(
            exists().where(BankNotice.status == "received"),
            exists().where(BankMovement.booked_as == "received", BankMovement.assigned_at.is_(None)),
            exists().where(Contract.status == "created"),
            exists().where(Instruction.status.in_(["drafted", "cleared", "submitted", "unknown"])),
            exists().where(going_back),
        )
        async with self.world.district.reading() as session:
            return bool(await session.scalar(select(waiting)))


@asynccontextmanager
async def staged(world: World, database: Database) -> AsyncIterator[Scene]:
    """An institution, its neighbour and a family, on a Monday at nine; the bank's notices come to the real door."""
    await world.wait_until(NINE_ON_A_MONDAY)
    async with desks_of(world, database) as desks, served(desks) as base:
        notice_url = f"{base}/api/v1/settlement/notices/{CONNECTION}"
        await world.bank.register_client(CONNECTION, API_KEY, NOTICE_SECRET, notice_url)
        institution, neighbour = await world.institution(), await world.institution("新苗语言艺术中心")
        for each in (institution, neighbour):
            await draw_lines(world.district, each, HIGH_LINES)
        await world.work()
        supervised_no = (await world.account(institution)).account_no
        yield Scene(world, institution, neighbour, supervised_no, await world.parent())
