"""存量合同 out of a file: what is left of contracts made before custody, each row one child's rest of lessons in one class.

Their yuan stand in escrow from then on, against a shortfall that the institution has to make good.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.cells import Column, Line, unfit
from app.bulk.kinds import Importer, Kind, Report, Row, parts
from app.bulk.students import AT_A_TIME, CHILD, Child, by_family, child_of, own_guardians, told
from app.contracts import old_stock
from app.contracts.old_stock import Entered, OldContract, Place
from app.errors import DomainError
from app.payments.old_stock import post, take_over
from app.registry import families

COLUMNS = (
    *CHILD,
    Column("class_id", "班级", "创意美术周六班", "本机构已批准班级的名称"),
    Column("lesson_count", "剩余课时", "12", "还没有上的课时数，不能多于该班级尚未开始的课次"),
    Column("amount_fen", "剩余金额（元）", "1200.00", "家长已付而没有上完的学费"),
    Column("ends_on", "合同到期日", "2026-12-31", "没有约定则不填", required=False),
)


@dataclass(frozen=True, slots=True)
class OldRow:
    """A row by itself: the family, the name of the class, and what is left (fen)."""

    child: Child
    class_name: str
    lesson_count: int
    amount_fen: int
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class OldContracts:
    """Rows with the classes that they name. None stands in the register already: such a child holds a seat there."""

    rows: Sequence[tuple[OldRow, UUID]]
    known_count: int = 0


def draft(line: Line) -> OldRow:
    """One row by pure rules."""
    left = line.text("class_id"), line.count("lesson_count"), line.some_fen("amount_fen"), line.day("ends_on")
    return OldRow(child_of(line), *left)


async def plan(session: AsyncSession, importer: Importer, rows: Sequence[Row[OldRow]], report: Report) -> OldContracts:
    """Find each row's class and child, and give it a seat there; what does not fit is refused."""
    known = await old_stock.places(session, importer.institution_id)
    by_name: dict[str, list[UUID]] = defaultdict(list)
    for class_id, place in known.items():
        by_name[place.course.training_class.name].append(class_id)
    children = await _children(session, importer, rows, report)
    found = []
    for row in rows:
        child = children[row.line.number]
        try:
            if isinstance(child, DomainError):
                raise told(child)
            found.append((row.draft, _seated(known, by_name, row.draft, child)))
        except DomainError as refused:
            report.refuse(row.line, refused)
    return OldContracts(found)


async def enter(session: AsyncSession, importer: Importer, plan: OldContracts, report: Report) -> None:
    """Enter the families that are new and all old contracts, and recognise these together."""
    known = await old_stock.places(session, importer.institution_id)
    entered: list[Entered] = []
    for part in parts(plan.rows, AT_A_TIME):
        guardians = await families.guardians_for_phones(session, [row.child.phone for row, _ in part])
        drafts = [replace(row.child.draft, guardian_id=guardian.id) for (row, _), guardian in zip(part, guardians, strict=True)]
        students = await families.enter_students(session, drafts, by_name=True)
        old = [
            OldContract(class_id, guardian.id, student.id, row.lesson_count, row.amount_fen, row.ends_on)
            for (row, class_id), guardian, student in zip(part, guardians, students, strict=True)
        ]
        entered += await take_over(session, known, old)
        await report.step(len(part))
    await post(session, importer.institution_id, entered, importer.actor)


async def _children(
    session: AsyncSession, importer: Importer, rows: Sequence[Row[OldRow]], report: Report
) -> dict[int, UUID | DomainError]:
    """The children by the numbers of their rows, or why there is none."""
    found: dict[int, UUID | DomainError] = {}
    for part in by_family(rows, lambda row: row.draft.child.phone):
        ids = await own_guardians(session, importer, {row.draft.child.phone for row in part})
        drafts = [replace(row.draft.child.draft, guardian_id=ids[row.draft.child.phone]) for row in part]
        for row, child in zip(part, await families.recognise(session, drafts), strict=True):
            found[row.line.number] = child if isinstance(child, DomainError) else child.id
        await report.step(len(part))
    return found


def _seated(known: Mapping[UUID, Place], by_name: Mapping[str, Sequence[UUID]], row: OldRow, child_id: UUID) -> UUID:
    """The id of the row's class, with a seat taken there. Raises a DomainError naming the field."""
    named = by_name.get(row.class_name, [])
    if len(named) != 1:
        raise unfit("class_id", "本机构有几个同名班级，请先改名" if named else "本机构没有这个名称的已批准班级")
    problem = old_stock.take(known[named[0]], child_id, row.lesson_count, row.amount_fen, row.ends_on)
    if problem is not None:
        raise problem
    return named[0]


KIND = Kind(
    "old-contracts",
    "存量合同",
    "纳入监管前收取、尚未上完的学费。导入后逐元对应课时，没有资金支撑的部分记为缺口，由机构的课费收入或补缴先行补足。",
    COLUMNS,
    draft,
    plan,
    enter,
)
