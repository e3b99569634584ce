"""An institution's office: its teachers, the classes that it files, and what it changes about their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import count
from uuid import UUID

from sqlalchemy import select

from app.clock import SHANGHAI
from app.registry import changes, class_sessions, classes, institutions, teachers
from app.registry import institution_queries as registry
from app.registry.clashes import Meeting
from app.registry.courses import Course
from app.registry.models import Campus, ClassSession, Institution, Teacher, TrainingClass
from app.registry.rules import CampusDraft, ClassDraft
from app.security import InstitutionStaff
from tests.world import World

MONDAY = date(2026, 3, 9)
"""A school day next week, with school days on all four after it."""
_numbers = count(1)


@dataclass(frozen=True)
class Office:
    """Somebody at an institution, with one teacher and one campus."""

    world: World
    institution: Institution
    teacher: Teacher
    campus_id: UUID

    @property
    def staff(self) -> InstitutionStaff:
        return self.world.staff(self.institution)

    def draft(self, **changed: object) -> ClassDraft:
        """A class of an hour each on Monday and Tuesday at ten, on site at the campus."""
        sessions = [at(MONDAY + timedelta(days=n), "10:00", "11:00") for n in range(2)]
        place = None if changed.get("mode") == "online" else self.campus_id
        sound = ClassDraft(self.teacher.id, "数学思维", "数学", 20_000, 2, 5, sessions, campus_id=place)
        drafted = replace(sound, **changed)  # type: ignore[arg-type]
        return replace(drafted, lesson_count=len(drafted.sessions)) if "lesson_count" not in changed else drafted

    async def file(self, **changed: object) -> Course:
        async with self.world.district.transaction() as session:
            return await classes.file_class(session, self.staff, self.draft(**changed))

    async def open(self, **changed: object) -> Course:
        async with self.world.district.transaction() as session:
            return await classes.open_class(session, self.institution.id, self.draft(**changed))

    async def hire(self, name: str = "周老师", subject: str = "数学") -> Teacher:
        async with self.world.district.transaction() as session:
            return await teachers.create_teacher(session, self.institution.id, name, f"C-{next(_numbers)}", subject)

    async def campus(self, name: str) -> Campus:
        async with self.world.district.transaction() as session:
            campus = await changes.add_campus(session, self.staff, CampusDraft(name, "龙泉驿区公园路 1 号"))
            [added] = await registry.changes(session, institution_id=self.institution.id, status="proposed")
            await changes.confirm(session, self.world.officer(), added.id, "租赁合同属实")
            return campus

    async def approve(self, course: Course, reason: str = "材料齐全") -> TrainingClass:
        async with self.world.district.transaction() as session:
            return await classes.approve_class(session, self.world.officer(), course.training_class.id, reason)

    async def refuse(self, course: Course, reason: str = "教材未报备") -> TrainingClass:
        async with self.world.district.transaction() as session:
            return await classes.refuse_class(session, self.world.officer(), course.training_class.id, reason)

    async def change(self, row: ClassSession, planned: Meeting, reason: str = "场馆检修") -> ClassSession:
        async with self.world.district.transaction() as session:
            return await class_sessions.change_session(session, self.staff, row.id, planned, reason)

    async def move(self, row: ClassSession, day: date, starts: str = "10:00", ends: str = "11:00") -> ClassSession:
        """Hold it at another time, with the same teacher at the same place."""
        starts_at, ends_at = at(day, starts, ends)
        return await self.change(row, Meeting(starts_at, ends_at, self.teacher.id, row.campus_id, row.room))

    async def cancel(self, row: ClassSession, reason: str = "教师生病") -> ClassSession:
        async with self.world.district.transaction() as session:
            return await class_sessions.cancel_session(session, self.staff, row.id, reason)

    async def make_up(self, row: ClassSession, day: date) -> ClassSession:
        async with self.world.district.transaction() as session:
            return await class_sessions.replace_session(
                session, self.staff, row.id, Meeting(*at(day, "10:00", "11:00"), self.teacher.id), "教师已痊愈"
            )

    async def sessions(self, class_id: UUID) -> Sequence[ClassSession]:
        """As they are now, by number."""
        async with self.world.district.reading() as session:
            rows = await session.scalars(select(ClassSession).where(ClassSession.class_id == class_id).order_by(ClassSession.number))
            return rows.all()


async def found_office(world: World, kind: str = "arts", stage: str | None = None) -> Office:
    """Enter an institution and a teacher of mathematics."""
    institution = await world.institution(kind=kind, stage=stage)
    async with world.district.transaction() as session:
        teacher = await teachers.create_teacher(session, institution.id, "李老师", f"C-{next(_numbers)}", "数学")
        [campus] = await institutions.campuses(session, institution.id)
    return Office(world, institution, teacher, campus.id)


def at(day: date, starts: str, ends: str) -> tuple[datetime, datetime]:
    """Hours of Shanghai on a day."""
    return datetime.combine(day, time.fromisoformat(starts), SHANGHAI), datetime.combine(day, time.fromisoformat(ends), SHANGHAI)
