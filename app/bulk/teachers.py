"""教师 out of a file: a row for each teacher's certificate."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.cells import Column, Line, unfit
from app.bulk.kinds import Importer, Kind, Report, Row, parts
from app.registry import teachers
from app.registry.models import Institution
from app.registry.teachers import Employment, TeacherDraft

COLUMNS = (
    Column("name", "姓名", "李明", "与资格证书一致，不超过 40 字"),
    Column("certificate_no", "资格证书号", "20245101234567890", "同一机构内不能重复", width=24),
    Column("subject", "任教科目", "数学"),
    Column("certificate_subject", "证书任教学科", "数学、物理", "顿号分开；学科类机构须填，其他不填则与任教科目相同", required=False),
    Column("certificate_to_on", "证书有效期至", "2030-08-31", "最后一天；长期有效不填", required=False),
    Column("employed_from_on", "入职日期", "2026-03-01", "不填则不限", required=False),
)


@dataclass(frozen=True, slots=True)
class Teachers:
    """Teachers of whom none is known yet."""

    drafts: Sequence[TeacherDraft]
    known_count: int = 0


def draft(line: Line) -> TeacherDraft:
    """One row by the register's pure rules."""
    subject = line.text("subject")
    covered = line.optional("certificate_subject") or subject
    employment = Employment(subject, covered, line.day("certificate_to_on"), line.day("employed_from_on"))
    return teachers.check_teacher(TeacherDraft(line.text("name"), line.text("certificate_no"), employment))


async def plan(session: AsyncSession, importer: Importer, rows: Sequence[Row[TeacherDraft]], report: Report) -> Teachers:
    """Certificates that stand in the register, or twice in the file, are refused.

    What one covers is held against the subject of each class of subject training (`staff.cert`), so there it must be said.
    """
    known = await teachers.known_certificates(session, importer.institution_id)
    kind = (await session.get_one(Institution, importer.institution_id)).kind
    first: dict[str, int] = {}
    for row in rows:
        number = row.draft.certificate_no
        if kind == "subject" and row.line.optional("certificate_subject") is None:
            report.refuse(row.line, teachers.cover_unsaid())
        elif number in known:
            report.refuse(row.line, teachers.known_already())
        elif number in first:
            report.refuse(row.line, unfit("certificate_no", f"与第 {first[number]} 行重复"))
        first.setdefault(number, row.line.number)
        await report.step()
    return Teachers([row.draft for row in rows])


async def enter(session: AsyncSession, importer: Importer, plan: Teachers, report: Report) -> None:
    """Enter them all."""
    for part in parts(plan.drafts, 500):
        await teachers.create_teachers(session, importer.institution_id, part)
        await report.step(len(part))


KIND = Kind("teachers", "教师", "姓名与资格证书会向家长公示。", COLUMNS, draft, plan, enter)
