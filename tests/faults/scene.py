"""A day with several families, each with an institution of its own, and a bank whose notices really arrive; and how it ends."""

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
from app.supervision import queries as supervision
from app.supervision.rules import Lines
from tests.conftest import API_KEY, NOTICE_SECRET
from tests.portals.desks import desks_of
from tests.portals.port import served
from tests.supervision.scenes import draw_lines
from tests.world import CONNECTION, World, in_utc

LESSON_FEN = 10_000
LESSONS = 4
FEE_FEN = LESSONS * LESSON_FEN
RENT_FEN = 300_000
PEOPLE = ("family", "grandmother", "stranger", "court")
HIGH_LINES = Lines(large_transfer_fen=10**9, large_day_fen=10**9, minimum_balance_fen=0)
NINE_ON_A_MONDAY = in_utc(2026, 3, 2, 1)

PAUSES = [timedelta(seconds=seconds) for seconds in (0, 5, 35, 60, 900, 3600, 3600)]
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
    """One family's money at one institution."""

    world: World
    institution: Institution
    supervised_no: str
    parent: Parent
    contract: Contract | None = None
    arrival: Arrival = "in order"
    payment_no: str = ""
    wants_to_pay: bool = False

    @property
    def signed(self) -> Contract:
        assert self.contract is not None
        return self.contract

    async def sign(self) -> None:
        """The first class session begins in an hour."""
        self.contract = await self.world.sign(self.parent, await self.world.training_class(self.institution, LESSONS, FEE_FEN))

    async def order(self) -> None:
        """The family asks for a payment code; the bank has not heard of it."""
        async with self.world.district.transaction() as session:
            self.payment_no = (await payments.start(session, self.parent, self.signed.id)).payment_no

    async def pay(self) -> None:
        await self.world.bank.pay(self.payment_no, payer_no=self.person("family"), payer_name="妈妈")

    async def pay_if_it_can(self) -> None:
        """A family that wants to pay does so once the cashier's page is there."""
        if not self.wants_to_pay:
            return
        async with self.world.district.reading() as session:
            order = await session.get_one(Collection, self.payment_no)
        if order.status == "opened":
            self.wants_to_pay = False
            await self.pay()

    async def grandmother_pays(self, amount_fen: int = FEE_FEN, late: bool = False) -> None:
        pay = self.world.bank.pay_late if late else self.world.bank.pay
        await pay(self.payment_no, amount_fen, self.person("grandmother"), "外婆")

    def person(self, name: str) -> str:
        """The account of somebody who has to do with this institution only."""
        return f"{name}-{self.supervised_no}"

    async def hold_up_notices(self) -> int | None:
        """From now on the notices about the supervised account come as they do in this scene; the bank's knob for it."""
        if self.arrival == "in order":
            return None
        times, seconds = (1 if self.arrival == "out of order" else None), (3600 if self.arrival == "delayed" else None)
        about = {"account_no": self.supervised_no, "times": times, "seconds": seconds}
        return await self.world.bank.knob(HOLD_UPS[self.arrival], **about)  # type: ignore[arg-type]

    async def seen(self) -> End:
        """How everything stands now."""
        contract_id = self.contract.id if self.contract else None
        account = await self.world.account(self.institution)
        async with self.world.district.reading() as session:
            payment = await session.scalar(select(Payment.status).where(Payment.payment_no == self.payment_no))
            contract = await session.scalar(select(Contract.status).where(Contract.id == contract_id))
            mine = select(Instruction.status).where(Instruction.book_id == self.institution.id).order_by(Instruction.created_at)
            instructions = tuple(await session.scalars(mine))
            waiting = await payment_queries.unmatched_receipts(session, self.institution.id, waiting=True)
            alerts = await supervision.alerts(session, open_only=True, institution_id=self.institution.id)
            named = select(Break.kind).where(Break.bank_account_id == account.id).order_by(Break.value_on, Break.kind)
            breaks = tuple(await session.scalars(named))
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
            alerts=tuple(sorted(alert.rule for alert in alerts)),
            breaks=breaks,
        )

    async def _at_bank(self) -> dict[str, int]:
        settlement_no = (await self.world.account(self.institution, "settlement")).account_no
        numbers = {"supervised": self.supervised_no, "settlement": settlement_no} | {name: self.person(name) for name in PEOPLE}
        held = {name: await self.world.bank.balance_of(number) for name, number in numbers.items()}
        return {name: fen for name, fen in held.items() if fen}


@dataclass
class Day:
    """A Monday from nine on. Time passes only where a story lets it."""

    world: World
    neighbour: Institution
    scenes: list[Scene] = field(default_factory=list)
    hold_ups: list[int] = field(default_factory=list)
    delayed: bool = False

    async def scene(self, arrival: Arrival) -> Scene:
        """A family and its institution, new to the service."""
        institution = await self.world.institution()
        await draw_lines(self.world.district, institution, HIGH_LINES)
        account = await self.world.account(institution)
        scene = Scene(self.world, institution, account.account_no, await self.world.parent(), arrival=arrival)
        self.scenes.append(scene)
        return scene

    async def go_on(self, pause: timedelta = timedelta()) -> None:
        """Some time passes, the bank does what it was late with, its notices arrive, and the worker does what there is to do."""
        if pause:
            await self.world.wait(pause)
        for scene in self.scenes:
            await scene.pay_if_it_can()
        await self.world.bank.release_late()
        await self.notices_arrive()
        await self.world.work()

    async def enrol(self, *scenes: Scene) -> None:
        """These families sign and pay, nothing goes wrong, and their money is in escrow."""
        for scene in scenes:
            await scene.sign()
            await scene.order()
        await self.world.work()
        for scene in scenes:
            await scene.pay()
        await self.notices_arrive()
        await self.world.work()

    async def hold_up_notices(self) -> None:
        """From now on notices come as they do in each scene."""
        self.hold_ups = [knob for scene in self.scenes if (knob := await scene.hold_up_notices()) is not None]
        self.delayed = any(scene.arrival == "delayed" for scene in self.scenes)

    async def notices_arrive(self) -> None:
        """All that are on their way; the delayed ones are not yet."""
        if not self.delayed:
            await self.world.bank.wait_until_notices_settled()

    async def come_to_rest(self) -> None:
        """Time passes until nothing is under way any more."""
        for pause in PAUSES:
            await self.go_on(pause)
            if not await self._under_way():
                return
        raise AssertionError(f"something is still under way: {[await scene.seen() for scene in self.scenes]}")

    async def held_up_notices_arrive(self) -> None:
        """What was held up comes after all: overtaken by the notice of a neighbour's rent, or late."""
        for knob in self.hold_ups:
            await self.world.bank.clear_knobs(knob)
        account = await self.world.account(self.neighbour, "settlement")
        await self.world.bank.deposit_from_stranger(account.account_no, RENT_FEN)
        await self.notices_arrive()
        self.delayed = False
        await self.world.bank.release_notices()
        await self.come_to_rest()

    async def night(self) -> None:
        """The next morning comes, and with it the statement of the day."""
        _, tomorrow = clock.day_bounds(clock.today())
        await self.world.wait_until(tomorrow + timedelta(hours=9))
        await self.come_to_rest()

    async def assert_all_is_told(self) -> None:
        """The bank's own books hold, the days are reconciled, and every notice that arrived was followed."""
        proof = await self.world.bank.books()
        assert proof.holds, proof.broken
        sent = Counter(each["state"] for each in await self.world.bank.notices(CONNECTION))
        assert not sent.keys() - {"delivered", "lost"}
        async with self.world.district.reading() as session:
            followed = Counter(await session.scalars(select(BankNotice.status)))
            days = (await session.scalars(select(Reconciliation))).all()
        assert followed["processed"] == followed.total() == sent["delivered"]
        assert {day.bank_account_id for day in days} >= {(await self.world.account(scene.institution)).id for scene in self.scenes}
        assert {day.statement_fen - day.cash_fen for day in days} == {0}

    async def _under_way(self) -> bool:
        """Whether anything waits for a bank, for its time, or for the worker."""
        tried_and_due_again = Receipt.returned_at.is_(None) & Receipt.return_attempts.between(1, MAX_RETURN_ATTEMPTS - 1)
        waiting = or_(
            exists().where(BankNotice.status == "received"),
            exists().where(BankMovement.booked_as == "received", BankMovement.assigned_at.is_(None)),
            exists().where(Contract.status == "created"),
            exists().where(Instruction.status.in_(["drafted", "cleared", "submitted", "unknown"])),
            exists().where(tried_and_due_again),
        )
        async with self.world.district.reading() as session:
            return bool(await session.scalar(select(waiting)))


@asynccontextmanager
async def begun(world: World, database: Database) -> AsyncIterator[Day]:
    """A day on which the bank's notices come to the real door."""
    await world.wait_until(NINE_ON_A_MONDAY)
    async with desks_of(world, database) as desks, served(desks) as base:
        notice_url = f"{base}/api/v1/settlement/notices/{CONNECTION}"
        await world.bank.register_client(CONNECTION, API_KEY, NOTICE_SECRET, notice_url)
        yield Day(world, await world.institution("新苗语言艺术中心"))
