"""班课 out of a file: a row for each class with its weekly timetable, filed as by hand: it waits for the officers' decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.bulk.cells import YES_NO, Column, Line, unfit
from app.bulk.kinds import Importer, Kind, Report, Row, parts
from app.clock import business_date
from app.db import district_of
from app.errors import BadInput, DomainError
from app.policy.catalogue import DayKind
from app.policy.days import Calendar, known_between
from app.policy.packs import pack_for
from app.registry import clashes, classes, institutions, judging, planning
from app.registry.clashes import Meeting
from app.registry.classes import Filing
from app.registry.models import Institution, Teacher
from app.registry.rules import FURTHEST_SESSION, USUAL_UNPAID, ClassDraft
from app.registry.schedules import Pattern

MOST_SESSIONS = 200_000
"""Class sessions that one file may come to."""
MODES = {"线下": "onsite", "线上": "online"}
_MODE = Column("mode", "授课方式", "线下", "线下或线上", options=MODES, width=10)
_SKIP = Column("skip_holidays", "节假日停课", "是", "不填则为是", required=False, options=YES_NO, width=12)

COLUMNS = (
    Column("name", "班级名称", "少儿美术春季班", "不超过 80 字", width=24),
    Column("subject", "课程科目", "美术"),
    Column("certificate_no", "教师资格证书号", "20245101234567890", "须是已登记的教师", width=24),
    _MODE,
    Column("campus", "校区", "主校区", "已登记的校区名称，线下须填；线上不填", required=False),
    Column("room", "教室", "201", "线上不填", required=False, width=10),
    Column("first_on", "开课日期", "2026-03-07"),
    Column("weekdays", "上课日", "周六、周日", "不填则与开课日期是同一天", required=False),
    Column("starts", "上课时间", "10:00", "北京时间", width=10),
    Column("ends", "下课时间", "10:45", "第一节课结束的时间", width=10),
    Column("count", "课时数", "16", "一次课一课时", width=10),
    Column("a_day", "每天节数", "1", "不填则为 1", required=False, width=10),
    _SKIP,
    Column("skipped", "不上课的日期", "2026-03-21、2026-03-22", "用顿号分开", required=False, width=24),
    Column("lesson_minutes", "每课时分钟", "45", "不填则按上下课时间", required=False, width=12),
    Column("seats", "招生名额", "20", "也是班额", width=10),
    Column("price_fen", "实收总价（元）", "1600", "全部课时合计", width=14),
    Column("listed_price_fen", "公示总价（元）", "1800", "不填则与实收总价相同", required=False, width=14),
    Column("materials", "教材", "少儿美术入门；素描练习册", "用分号分开", required=False, width=24),
    Column("most_unpaid", "先学后付最多未付课时", "2", f"0 为只收预付；不填则为 {USUAL_UNPAID}", required=False, width=16),
)
ALIASES = {
    "teacher_id": "certificate_no",
    "campus_id": "campus",
    "sessions": "first_on",
    "lesson_count": "count",
    "pause_minutes": "a_day",
    "starts_at": "first_on",
}
_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row: the timetable, and the class without what only the registers know: its teacher, campus and class sessions."""

    pattern: Pattern
    skip_holidays: bool
    certificate_no: str
    campus: str | None
    course: ClassDraft


@dataclass(frozen=True, slots=True)
class Filings:
    """Classes that may all be filed beside one another and beside what stands in the register."""

    filings: Sequence[Filing]
    known_count: int = 0


@dataclass(frozen=True, slots=True)
class _Office:
    """What the registers know of the institution, and of the days that its classes may fall on."""

    institution: Institution
    teachers: Mapping[str, Teacher]
    campuses: Mapping[str, UUID]
    days: Mapping[date, DayKind]


def draft(line: Line) -> Wanted:
    """One row, read."""
    count, skip = line.count("count"), line.chosen(_SKIP)
    pattern = Pattern(
        first_on=line.some_day("first_on"),
        starts=line.hour("starts"),
        ends=line.hour("ends"),
        count=count,
        weekdays=line.weekdays("weekdays"),
        a_day=line.count("a_day", 1),
        skipped=line.days("skipped"),
    )
    course = ClassDraft(
        teacher_id=_NOBODY,
        name=line.text("name"),
        subject=line.text("subject"),
        price_fen=line.some_fen("price_fen"),
        lesson_count=count,
        seats=line.count("seats"),
        sessions=(),
        mode=str(line.chosen(_MODE)),
        lesson_minutes=line.count("lesson_minutes", 0) or None,
        listed_price_fen=line.fen("listed_price_fen"),
        materials=[title.strip() for title in line.text("materials").replace("；", ";").split(";") if title.strip()],
        room=line.optional("room"),
        most_unpaid=line.count("most_unpaid", USUAL_UNPAID),
    )
    return Wanted(pattern, skip is not False, line.text("certificate_no"), line.optional("campus"), course)


async def plan(session: AsyncSession, importer: Importer, rows: Sequence[Row[Wanted]], report: Report) -> Filings:
    """Each class by the register's rules and the rule pack of the day; then all of them beside each other and beside what stands."""
    office = await _office(session, importer, rows)
    filings: list[tuple[Line, Filing]] = []
    planned: list[tuple[Line, Meeting]] = []
    for row in rows:
        try:
            filing = _filing(district_of(session), office, row.draft)
        except DomainError as refused:
            report.refuse(row.line, refused)
        else:
            filings.append((row.line, filing))
            planned += [(row.line, meeting) for meeting in classes.meetings_of(filing.draft)]
            if len(planned) > MOST_SESSIONS:
                raise BadInput("bulk.too_many_sessions", f"一个文件的课次合计不能超过 {MOST_SESSIONS} 次，请分成几个文件")
        await report.step()
    meetings = [meeting for _, meeting in planned]
    for earlier, later in clashes.overlapping(importer.institution_id, meetings):
        report.refuse(planned[later][0], unfit("first_on", f"与第 {planned[earlier][0].number} 行的教师或教室时间冲突"))
    for position, clash in (await clashes.clashes(session, importer.institution_id, meetings)).items():
        report.refuse(planned[position][0], clash)
    return Filings([filing for _, filing in filings])


async def enter(session: AsyncSession, importer: Importer, plan: Filings, report: Report) -> None:
    """File them all."""
    for part in parts(plan.filings, 500):
        await classes.file_classes(session, importer.actor, importer.institution_id, part)
        await report.step(len(part))


async def _office(session: AsyncSession, importer: Importer, rows: Sequence[Row[Wanted]]) -> _Office:
    institution = await session.get_one(Institution, importer.institution_id)
    classes.refuse_closed(institution)
    own = await session.scalars(select(Teacher).where(Teacher.institution_id == institution.id))
    places = await institutions.campuses(session, institution.id)
    first_on = clock.today()
    days = await known_between(session, first_on, first_on + FURTHEST_SESSION)
    return _Office(institution, {each.certificate_no: each for each in own}, {each.name: each.id for each in places}, days)


def _filing(district: str, office: _Office, wanted: Wanted) -> Filing:
    teacher = office.teachers.get(wanted.certificate_no)
    if teacher is None:
        raise unfit("certificate_no", "没有登记这个资格证书号的教师")
    campus_id = office.campuses.get(wanted.campus) if wanted.campus else None
    if wanted.campus and campus_id is None:
        raise unfit("campus", "没有登记这个校区")
    laid_out = planning.lay_out(wanted.pattern, office.days if wanted.skip_holidays else {})
    if wanted.skip_holidays and laid_out.unknown_years:
        years = "、".join(map(str, laid_out.unknown_years))
        raise unfit("skip_holidays", f"工作日历还没有 {years} 年，无法避开节假日；请待监管人员录入，或填“否”并写明不上课的日期")
    if office.campuses and classes.needs_campus(replace(wanted.course, campus_id=campus_id)):
        raise unfit("campus", "线下班级须填写校区")
    course = classes.check_draft(replace(wanted.course, teacher_id=teacher.id, campus_id=campus_id, sessions=laid_out.sessions))
    pack = pack_for(district, clock.today())
    kinds = None
    if judging.asks_for_days(pack, office.institution):
        calendar = Calendar(office.days)
        kinds = {on: calendar.kind_of(on) for on in {business_date(starts_at) for starts_at, _ in course.sessions}}
    facts = judging.facts_of(office.institution, teacher, course, course.sessions, kinds)
    return Filing(course, judging.judge_draft(pack, teacher, course, facts))


KIND = Kind("classes", "班课", "导入后与逐个备案一样，等待监管部门审批。", COLUMNS, draft, plan, enter, ALIASES)
