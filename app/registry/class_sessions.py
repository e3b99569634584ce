"""调课: moving a class session, changing its teacher or room, cancelling it, and setting its replacement.

The row stays the same through all of it, and so the lessons that were paid for it keep pointing at it.
"""

from dataclasses import asdict, replace
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.clock import business_date
from app.errors import Conflict, NotFound
from app.ids import uuid7
from app.registry import institutions, judging, rules, teachers
from app.registry.clashes import Meeting, refuse_clashes
from app.registry.models import ClassSession, ClassSessionChange, Institution, TrainingClass
from app.security import InstitutionStaff


async def change_session(
    session: AsyncSession, staff: InstitutionStaff, class_session_id: UUID, planned: Meeting, reason: str
) -> ClassSession:
    """Give a scheduled class session another time, teacher or place; those who paid for it read of it, with the reason.

    Raises BadInput naming the field, NotFound("registry.class_session_not_found", "registry.teacher_not_found",
    "registry.campus_not_found"), Conflict("registry.session_delivered", "registry.session_cancelled", "registry.session_unchanged",
    "registry.teacher_taken", "registry.room_taken", "registry.class_taken"), Refused("registry.rule") with the findings that forbid it,
    what `teachers.check_may_teach` raises.
    """
    change = await _Change.begin(session, staff, class_session_id, reason)
    if change.row.status == "cancelled":
        raise Conflict("registry.session_cancelled", "该课次已取消，请安排补课")
    return await change.carry_out("changed", planned)


async def cancel_session(session: AsyncSession, staff: InstitutionStaff, class_session_id: UUID, reason: str) -> ClassSession:
    """Cancel a scheduled class session. Its lessons stay paid and untaught: they wait for a replacement, or can be refunded.

    Raises BadInput("registry.reason_invalid"), NotFound("registry.class_session_not_found"),
    Conflict("registry.session_delivered", "registry.session_cancelled").
    """
    change = await _Change.begin(session, staff, class_session_id, reason)
    if change.row.status == "cancelled":
        raise Conflict("registry.session_cancelled", "该课次已取消")
    return await change.carry_out("cancelled", None)


async def replace_session(
    session: AsyncSession, staff: InstitutionStaff, class_session_id: UUID, planned: Meeting, reason: str
) -> ClassSession:
    """Hold a cancelled class session at another time (补课): it is scheduled again, with the lessons that were paid for it.

    Raises what `change_session` raises, and Conflict("registry.session_not_cancelled").
    """
    change = await _Change.begin(session, staff, class_session_id, reason)
    if change.row.status != "cancelled":
        raise Conflict("registry.session_not_cancelled", "只有已取消的课次才需要补课")
    return await change.carry_out("replaced", planned)


def meeting_of(row: ClassSession, training_class: TrainingClass) -> Meeting:
    """When, by whom and where a class session meets as it stands."""
    return Meeting(row.starts_at, row.ends_at, row.teacher_id or training_class.teacher_id, row.campus_id, row.room)


class _Change:
    """One change of a class session whose timetable, class and row are locked, in this order."""

    def __init__(
        self,
        session: AsyncSession,
        staff: InstitutionStaff,
        institution: Institution,
        training_class: TrainingClass,
        row: ClassSession,
        reason: str,
    ) -> None:
        self._session = session
        self._staff = staff
        self._institution = institution
        self._class = training_class
        self.row = row
        self._reason = reason

    @classmethod
    async def begin(cls, session: AsyncSession, staff: InstitutionStaff, class_session_id: UUID, reason: str) -> "_Change":
        reason = rules.reason(reason)
        institution = await institutions.lock(session, staff.institution_id)
        own = ClassSession.id == class_session_id, ClassSession.institution_id == institution.id
        class_id = await session.scalar(select(ClassSession.class_id).where(*own))
        if class_id is None:
            raise NotFound("registry.class_session_not_found", "没有这次课")
        training_class = await session.get_one(TrainingClass, class_id, populate_existing=True, with_for_update={"key_share": True})
        row = await session.get_one(ClassSession, class_session_id, populate_existing=True, with_for_update={"key_share": True})
        if training_class.status == "refused":
            raise Conflict("registry.class_refused", "该班级备案未获批准")
        if row.status == "delivered":
            raise Conflict("registry.session_delivered", "已登记上课的课次不能改动")
        return cls(session, staff, institution, training_class, row, reason)

    async def carry_out(self, kind: str, planned: Meeting | None) -> ClassSession:
        """Judge what is planned, None for nothing more, and let it hold."""
        before = meeting_of(self.row, self._class)
        edition = None
        if planned is not None:
            planned = replace(planned, room=rules.clean_room(planned.room, self._class.mode))
            if kind == "changed" and planned == before:
                raise Conflict("registry.session_unchanged", "没有任何改动")
            edition = await self._judge(planned, before)
            self.row.starts_at, self.row.ends_at, self.row.teacher_id = planned.starts_at, planned.ends_at, planned.teacher_id
            self.row.campus_id, self.row.room = planned.campus_id, planned.room
        self.row.status = "cancelled" if planned is None else "scheduled"
        await self._session.flush()
        await self._set_dates()
        facts = {f"old_{name}": value for name, value in asdict(before).items()}
        facts |= {f"new_{name}": value for name, value in asdict(planned).items()} if planned else {}
        self._session.add(
            ClassSessionChange(
                id=uuid7(),
                class_session_id=self.row.id,
                institution_id=self._institution.id,
                kind=kind,
                **facts,
                judged_by=edition,
                reason=self._reason,
                changed_by=self._staff.staff_id,
                changed_at=clock.now(),
            )
        )
        await audit.record(self._session, self._staff.actor, f"registry.session_{kind}", f"class_session:{self.row.id}", self._reason)
        return self.row

    async def _judge(self, planned: Meeting, before: Meeting) -> str:
        """The edition of the pack that nothing of it breaks."""
        now = clock.now()
        rules.check_session((planned.starts_at, planned.ends_at), "改期后的课", now)
        rules.check_to_come([(planned.starts_at, planned.ends_at)], now)
        teacher = await teachers.own_teacher(self._session, self._institution.id, planned.teacher_id)
        if planned.campus_id is not None and planned.campus_id != before.campus_id:
            await institutions.own_campus(self._session, self._institution.id, planned.campus_id)
        that_day = await self._others_on(planned)
        judgement = await judging.judge_change(self._session, self._institution, self._class, teacher, planned, that_day)
        await refuse_clashes(self._session, self._institution.id, [planned], self._class.id, self.row.id)
        return judgement.edition

    async def _others_on(self, planned: Meeting) -> list[ClassSession]:
        """The class's other meetings on the day of the planned one."""
        begins, ends = clock.day_bounds(business_date(planned.starts_at))
        mine = ClassSession.class_id == self._class.id, ClassSession.id != self.row.id, ClassSession.status != "cancelled"
        query = select(ClassSession).where(*mine, ClassSession.starts_at >= begins, ClassSession.starts_at < ends)
        return list(await self._session.scalars(query.order_by(ClassSession.starts_at)))

    async def _set_dates(self) -> None:
        """A class begins with its first meeting and ends with its last that is not cancelled."""
        held = ClassSession.class_id == self._class.id, ClassSession.status != "cancelled"
        first, last = (
            await self._session.execute(select(func.min(ClassSession.starts_at), func.max(ClassSession.ends_at)).where(*held))
        ).one()
        if first is not None:
            self._class.starts_on, self._class.ends_on = business_date(first), business_date(last)
