"""学生与家长 out of a file: a row for each child, found by its guardian's phone.

They are entered without anybody's consent: before a guardian has signed in and agreed, nothing can be contracted for the child.
An institution learns nothing of families with whom it has no contract: they look like strangers, and what they said of their child stands.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.bulk.cells import Column, Line, unfit
from app.bulk.kinds import D, Importer, Kind, Report, Row, parts
from app.contracts.families import with_contracts
from app.errors import BadInput, DomainError
from app.ids import uuid7
from app.registry import families
from app.registry.families import ChildDraft

AT_A_TIME = 500
"""Families that one query asks for."""
STAGES = {"学前": "preschool", "小学": "primary", "初中": "middle", "高中": "high"}
_STAGE = Column("stage", "学段", "小学", "不填则按出生年月推算", required=False, options=STAGES)

CHILD = (
    Column("phone", "家长手机号", "13800138000", "签约家长的大陆手机号"),
    Column("name", "学生姓名", "王小明", "不超过 40 字"),
    Column("birth_month", "出生年月", "2016-09", "只填年月"),
)
COLUMNS = (*CHILD, _STAGE)
_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Child:
    """A row: the guardian's phone (E.164), and the child, whose guardian is not looked up yet."""

    phone: str
    draft: ChildDraft


@dataclass(frozen=True, slots=True)
class Children:
    """Children whose families are known or new; counted as known are those of the institution's own families."""

    children: Sequence[Child]
    known_count: int


def draft(line: Line) -> Child:
    """One row by the register's pure rules."""
    stage = line.chosen(_STAGE)
    return child_of(line, str(stage) if stage else None)


def child_of(line: Line, stage: str | None = None) -> Child:
    """The guardian and the child that stand in a row's first columns. Raises BadInput naming the field."""
    wanted = ChildDraft(_NOBODY, line.text("name"), line.month("birth_month"), stage)
    try:
        phone = crypto.normal_phone(line.phone("phone"))
    except BadInput as wrong:
        raise unfit("phone", "须为大陆手机号码") from wrong
    return Child(phone, families.check_child(wanted))


async def own_guardians(session: AsyncSession, importer: Importer, phones: Collection[str]) -> Mapping[str, UUID]:
    """The guardians of some phones with whom the institution has a contract, by phone; an id that nobody has stands for all others."""
    guardians = await families.known_guardians(session, phones)
    own = await with_contracts(session, importer.institution_id, {guardian.id for guardian in guardians.values()})
    known = {phone: guardian.id for phone, guardian in guardians.items() if guardian.id in own}
    return {phone: uuid7() for phone in phones} | known


async def plan(session: AsyncSession, importer: Importer, rows: Sequence[Row[Child]], report: Report) -> Children:
    """A child that stands twice in the file is refused, and of the institution's own families one with another month of birth."""
    known = 0
    for part in by_family(rows, lambda row: row.draft.phone):
        ids = await own_guardians(session, importer, {row.draft.phone for row in part})
        found = await families.recognise(session, [replace(row.draft.draft, guardian_id=ids[row.draft.phone]) for row in part])
        first: dict[int, int] = {}
        for row, child in zip(part, found, strict=True):
            if isinstance(child, DomainError):
                report.refuse(row.line, told(child))
            elif id(child) in first:
                report.refuse(row.line, unfit("name", f"与第 {first[id(child)]} 行是同一名学生"))
            else:
                first[id(child)] = row.line.number
                known += child in session
        await report.step(len(part))
        session.expunge_all()
    return Children([row.draft for row in rows], known)


async def enter(session: AsyncSession, importer: Importer, plan: Children, report: Report) -> None:
    """Enter the guardians and children that are new."""
    for part in parts(plan.children, AT_A_TIME):
        guardians = await families.guardians_for_phones(session, [child.phone for child in part])
        drafts = [replace(child.draft, guardian_id=guardian.id) for child, guardian in zip(part, guardians, strict=True)]
        await families.enter_students(session, drafts, by_name=True)
        session.expunge_all()
        await report.step(len(part))


def by_family(rows: Sequence[Row[D]], phone_of: Callable[[Row[D]], str]) -> Iterator[list[Row[D]]]:
    """The rows in parts of a bounded size, all of a family in one."""
    part: list[Row[D]] = []
    for row in sorted(rows, key=lambda row: (phone_of(row), row.line.number)):
        if len(part) >= AT_A_TIME and phone_of(row) != phone_of(part[-1]):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def told(refused: DomainError) -> DomainError:
    """To an institution what the register says to a guardian."""
    if refused.code == "registry.student_known":
        return unfit("birth_month", "该家长名下已有同名学生，出生年月不同，请与家长核对")
    return refused


KIND = Kind(
    "students",
    "学生",
    "只登记家长与学生；家长登录并同意后才能签约。已登记的学生不会重复登记。",
    COLUMNS,
    draft,
    plan,
    enter,
)
