"""What the sample shows: three institutions and nine families over the last twelve days, played through the services.

The demonstration's own parent has lessons to confirm, its institution has class sessions to mark, and its officer a payout to decide.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import select

from app import clock
from app.clock import SHANGHAI
from app.contracts.models import Contract, Lesson
from app.contracts.terms import ChargeTerms, Terms
from app.db import District
from app.money import allocate
from app.registry.models import ClassSession
from app.sample.installation import STAFF
from app.sample.invented import phone
from app.sample.stage import Family, Stage
from app.security import Staff, StaffRole
from app.supervision.rules import DEFAULT_LINES, Lines

FIRST_DAY = 12
"""Days before today on which the sample's story begins."""
SETTLED_ON, OBJECTED_ON, LEFT_ON = 3, 4, 5
"""Days before today on which a settlement runs, a family objects, and another one leaves."""
PARENT = 1
"""The number of the family that the demonstration signs in as."""


@dataclass(frozen=True, slots=True)
class Course:
    """A class: when it first meets (days from today), how often, how many times, at what hour, and where."""

    name: str
    subject: str
    institution: str
    price_fen: int
    seats: int
    first: int
    every: int
    lessons: int
    starts: time
    room: str
    materials: tuple[str, ...] = ()

    def lesson_fees(self) -> list[int]:
        """What each lesson costs, in fen."""
        return allocate(self.price_fen, [1] * self.lessons)

    def sessions(self) -> list[tuple[datetime, datetime]]:
        """Its meetings of an hour and a half."""
        starts = [moment(-(self.first + self.every * n), self.starts) for n in range(self.lessons)]
        return [(at, at + timedelta(minutes=90)) for at in starts]


@dataclass(frozen=True, slots=True)
class School:
    """An institution and its teacher."""

    name: str
    kind: str
    address: str
    lines: Lines
    teacher: str
    subject: str


def _lines(minimum_balance_fen: int, large_transfer_fen: int = DEFAULT_LINES.large_transfer_fen) -> Lines:
    return Lines(large_transfer_fen, DEFAULT_LINES.large_day_fen, minimum_balance_fen)


SCHOOLS = {
    "arts": School("成都市龙泉驿区晨星艺术培训学校", "arts", "龙泉驿区驿都中路 18 号", _lines(100_000), "林书瑶", "美术"),
    "sports": School("成都市龙泉驿区飞跃体育俱乐部", "sports", "龙泉驿区北泉路 66 号", _lines(100_000, 200_000), "马承泽", "篮球"),
    "science": School("成都市龙泉驿区启思科技培训中心", "science", "龙泉驿区公园路 5 号", _lines(2_000_000), "沈致远", "编程"),
}
COURSES = {
    "painting": Course("创意美术集训班", "美术", "arts", 280_000, 12, -11, 1, 14, time(16), "画室", ("素描本", "水粉颜料")),
    "writing": Course("少儿书法基础班", "书法", "arts", 150_000, 10, -9, 2, 10, time(10, 30), "书法教室", ("楷书入门字帖",)),
    "ink": Course("国画入门班", "美术", "arts", 180_000, 12, 3, 3, 12, time(14), "画室", ("国画颜料", "生宣")),
    "choir": Course("少儿合唱班", "音乐", "arts", 96_000, 15, 5, 7, 8, time(9), "排练厅", ("儿童合唱歌曲集",)),
    "basketball": Course("少儿篮球训练营", "篮球", "sports", 240_000, 16, -10, 1, 16, time(17), "一号馆"),
    "badminton": Course("羽毛球提高班", "羽毛球", "sports", 120_000, 8, 2, 4, 10, time(19), "二号馆"),
    "robots": Course("机器人编程启蒙班", "编程", "science", 380_000, 10, -8, 2, 10, time(14), "创客空间", ("图形化编程手册",)),
    "drones": Course("无人机飞行班", "航空", "science", 320_000, 8, 4, 7, 8, time(9, 30), "操场"),
}
FILED = Course("硬笔书法晚间班", "书法", "arts", 120_000, 12, 7, 7, 8, time(18, 30), "书法教室", ("硬笔字帖",))
"""A class that waits for an officer."""
APPLICANT = ("成都市龙泉驿区青禾艺术培训学校", "arts", "龙泉驿区建设路 27 号")
"""An institution that waits to be entered: its name, kind and address."""
SUCCESSOR = ("science", "陈示例", "原法定代表人任期届满，已在登记机关办理变更")
"""A change that waits to be confirmed: whose, the new legal representative, and why."""
CHILDREN = {
    "陈子涵": (1, "2016-09"),
    "陈一诺": (1, "2018-03"),
    "王雨桐": (2, "2015-11"),
    "李浩然": (3, "2016-02"),
    "刘欣怡": (4, "2014-07"),
    "赵思源": (5, "2013-12"),
    "周可馨": (6, "2017-05"),
    "吴明哲": (7, "2013-08"),
    "孙佳怡": (8, "2015-04"),
    "胡皓轩": (9, "2014-01"),
}
ENROLLED = {
    "painting": ("陈子涵", "王雨桐", "李浩然", "刘欣怡", "赵思源"),
    "writing": ("陈一诺", "李浩然", "周可馨"),
    "ink": ("周可馨",),
    "basketball": ("王雨桐", "刘欣怡", "周可馨", "吴明哲", "孙佳怡"),
    "badminton": ("孙佳怡",),
    "robots": ("赵思源", "吴明哲", "胡皓轩"),
}
IN_PARTS = ("陈一诺", "writing", 6, 2)
"""Who pays for which class in two charges: for so many lessons at signing, for the others from so many days before today on."""
AFTERWARDS = ("陈子涵", "robots", 3)
"""Who learns first and pays later, and how many days before today the family has last paid a lesson."""
SILENT = "赵思源"
"""Its family confirms nothing: silence never releases."""
AWAY = ("李浩然", 4)
"""A child that missed one class session, by its number."""


def _in_parts() -> Terms:
    _, name, lessons, opens = IN_PARTS
    fees = COURSES[name].lesson_fees()
    first = ChargeTerms(lessons, sum(fees[:lessons]), clock.today())
    return Terms("parts", (first, ChargeTerms(len(fees) - lessons, sum(fees[lessons:]), clock.business_date(moment(opens, time(8))))))


def _afterwards(course: Course) -> Terms:
    taught = zip(course.lesson_fees(), course.sessions(), strict=True)
    return Terms("later", tuple(ChargeTerms(1, fee_fen, clock.business_date(starts_at)) for fee_fen, (starts_at, _) in taught))


def moment(days_ago: int, hour: time) -> datetime:
    """An hour of a business date before today, or after it (negative)."""
    return datetime.combine(clock.business_date(datetime.now(UTC)) - timedelta(days=days_ago), hour, SHANGHAI).astimezone(UTC)


def sign_in_phones() -> Iterator[str]:
    """The phones for which the sample's fixed code works."""
    return (phone(number) for number in sorted({number for number, _ in CHILDREN.values()}))


async def is_seeded(district: District) -> bool:
    """Whether the sample's story was told to its end: its last act is to let the institution's staff in."""
    async with district.reading() as session:
        return await session.scalar(select(Staff.id).where(Staff.username == STAFF["institution"])) is not None


async def seed(stage: Stage, passwords: Mapping[str, str]) -> None:
    """Tell the whole story; real time is back when it ends. `passwords` are by role, as `<role>_password`."""
    await Story(stage, passwords).tell()


class Story:
    """The sample's twelve days."""

    def __init__(self, stage: Stage, passwords: Mapping[str, str]) -> None:
        self._stage = stage
        self._passwords = passwords
        self._institutions: dict[str, UUID] = {}
        self._teachers: dict[str, UUID] = {}
        self._classes: dict[str, UUID] = {}
        self._families: dict[str, Family] = {}

    async def tell(self) -> None:
        """Every day in order: classes in the evening, the worker at night."""
        try:
            await self._stage.set_time(moment(FIRST_DAY, time(9)))
            await self._open()
            await self._stage.set_time(moment(FIRST_DAY, time(10)))
            await self._enrol()
            for days_ago in range(FIRST_DAY - 1, 0, -1):
                await self._stage.set_time(moment(days_ago, time(8)))
                await self._stage.rest()
                await self._stage.set_time(moment(days_ago, time(20, 30)))
                await self._evening(days_ago)
                await self._stage.rest()
        finally:
            await self._stage.set_time(None)
        await self._stage.rest()
        await self._leave_to_the_officer()
        await self._let_in("institution", "教务老师", self._institutions["arts"])

    async def _open(self) -> None:
        """The registers: institutions, teachers, classes; and the officers who watch them."""
        await self._let_in("supervision", "监管专员")
        await self._let_in("settlement", "结算专员")
        for serial, (key, school) in enumerate(SCHOOLS.items(), start=1):
            entered = await self._stage.institution(serial, school.name, school.kind, school.address, school.lines)
            self._institutions[key] = entered.id
            self._teachers[key] = await self._stage.teacher(entered.id, school.teacher, f"2023510112{serial:04d}", school.subject)
        for name, course in COURSES.items():
            self._classes[name] = await self._file(course, decided=True)

    async def _file(self, course: Course, *, decided: bool) -> UUID:
        institution_id, teacher_id = self._institutions[course.institution], self._teachers[course.institution]
        facts = (course.name, course.subject, course.price_fen, course.seats, course.sessions(), course.room, course.materials)
        return (await self._stage.open_class(institution_id, teacher_id, *facts, decided=decided)).training_class.id

    async def _leave_to_the_officer(self) -> None:
        """One of everything that an officer decides about the registers."""
        await self._file(FILED, decided=False)
        await self._stage.apply(len(SCHOOLS) + 1, *APPLICANT, "qinghe", self._passwords["institution_password"])
        key, name, reason = SUCCESSOR
        await self._stage.propose(self._institutions[key], "legal_representative", name, reason)

    async def _enrol(self) -> None:
        """Everybody pays in time but one family, whose money arrives after its code has expired and goes back."""
        for child, (number, birth_month) in CHILDREN.items():
            self._families[child] = await self._stage.family(phone(number), f"{child[0]}女士", child, birth_month)
        for course, children in ENROLLED.items():
            for child in children:
                family, terms = self._families[child], _in_parts() if (child, course) == IN_PARTS[:2] else None
                await self._stage.pay(family, await self._stage.order(family, self._classes[course], terms))
        child, course, _ = AFTERWARDS
        await self._stage.sign(self._families[child], self._classes[course], _afterwards(COURSES[course]))
        late = self._families["孙佳怡"]
        payment = await self._stage.order(late, self._classes["robots"])
        await self._stage.rest()
        await self._stage.set_time(moment(FIRST_DAY, time(10, 20)))
        await self._stage.pay(late, payment, late=True)
        await self._stage.rest()
        await self._stage.set_time(moment(FIRST_DAY, time(11)))
        await self._stage.rest()

    async def _evening(self, days_ago: int) -> None:
        """Attendance, confirmations, and what happens once: an objection, a family that leaves, a settlement run."""
        for key, institution_id in self._institutions.items():
            for held in await self._stage.ended_sessions(institution_id):
                if not self._left_for_the_demonstration(key, held):
                    came = [child for child in await self._stage.roster(held.id) if not self._away(child, held)]
                    await self._stage.deliver(institution_id, held.id, came)
        if days_ago == OBJECTED_ON:
            await self._object("吴明哲", "robots")
        await self._pay_for_what_was_taught(days_ago)
        for child, family in self._families.items():
            if self._confirms(child, days_ago):
                await self._confirm(family)
        if days_ago == LEFT_ON:
            contract, _ = await self._stage.contract_of(self._families["刘欣怡"], self._classes["basketball"])
            await self._stage.leave(self._families["刘欣怡"], contract.id, "孩子受伤，无法继续训练")
        if days_ago == SETTLED_ON:
            await self._stage.settle(clock.today())

    async def _pay_for_what_was_taught(self, days_ago: int) -> None:
        """But for the lessons that the demonstration's parent still owes."""
        child, course, last_paid = AFTERWARDS
        family = self._families[child]
        contract, lessons = await self._stage.contract_of(family, self._classes[course])
        if days_ago >= last_paid and any(lesson.status == "owed" for lesson in lessons):
            await self._stage.pay(family, await self._stage.order_again(family, contract.id))

    def _left_for_the_demonstration(self, institution: str, held: ClassSession) -> bool:
        """The arts school has not marked its last class sessions yet."""
        if institution != "arts":
            return False
        return held.starts_at >= moment(1, time(0)) or (held.class_id == self._classes["writing"] and held.starts_at >= moment(3, time(0)))

    def _away(self, child: UUID, held: ClassSession) -> bool:
        name, number = AWAY
        return child == self._families[name].student_id and held.number == number and held.class_id == self._classes["painting"]

    def _confirms(self, child: str, days_ago: int) -> bool:
        if CHILDREN[child][0] == PARENT:
            return days_ago == FIRST_DAY - 3
        return child != SILENT

    async def _confirm(self, family: Family) -> None:
        async with self._stage.district.reading() as session:
            own = select(Contract.id).where(Contract.guardian_id == family.parent.guardian_id, Contract.student_id == family.student_id)
            waiting = select(Lesson.id).where(Lesson.contract_id.in_(own), Lesson.status == "delivered")
            lesson_ids = list(await session.scalars(waiting.order_by(Lesson.number)))
        if lesson_ids:
            await self._stage.confirm(family, lesson_ids)

    async def _object(self, child: str, course: str) -> None:
        _, lessons = await self._stage.contract_of(self._families[child], self._classes[course])
        delivered = next(lesson for lesson in lessons if lesson.status == "delivered")
        await self._stage.dispute(self._families[child], delivered.id, "孩子说当天老师没有来，课没有上")

    async def _let_in(self, role: StaffRole, name: str, institution_id: UUID | None = None) -> None:
        await self._stage.staff(role, STAFF[role], self._passwords[f"{role}_password"], name, institution_id)
