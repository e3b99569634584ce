"""What a contract's lessons and charges look like to their readers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from app import clock
from app.contracts import rules
from app.contracts.models import Charge, Contract


@dataclass(frozen=True, slots=True)
class LessonView:
    """A lesson with its place in the calendar; `number` counts within the contract."""

    id: UUID
    contract_id: UUID
    contract_no: str
    class_session_id: UUID
    class_name: str
    student_id: UUID
    student_name_masked: str
    number: int
    price_fen: int
    status: str
    starts_at: datetime
    ends_at: datetime
    session_status: str


@dataclass(frozen=True, slots=True)
class ChargeView:
    """A charge of a contract, for the lessons from one number to another; `is_due` where it may be paid now.

    `has_day` is False while all its lessons wait for a new day: nothing is due for them. `pay_by` is when (UTC) it lapses unpaid; None for
    one that is paid after its lesson, has no day, or may not be taken by its institution now.
    """

    number: int
    first_lesson: int
    last_lesson: int
    amount_fen: int
    opens_on: date
    due_on: date
    status: str
    is_due: bool
    has_day: bool
    pay_by: datetime | None
    judged_by: str | None
    ended_at: datetime | None


def charge_views(
    contract: Contract, charges: Sequence[Charge], lessons: Sequence[LessonView], *, sells: bool, sells_again_at: datetime | None
) -> list[ChargeView]:
    """Of what is paid in advance only the first that is planned can be due, but for later ones without a day.

    Of what is paid afterwards the lessons that were taught. `sells` says whether the institution may take fees now, `sells_again_at`
    since when (UTC) it may again after a pause.
    """
    owed = {lesson.number for lesson in lessons if lesson.status == "owed"}
    begins = {charge.number: begins_at for charge in charges if (begins_at := _first_begins(charge, lessons))}
    planned = [charge for charge in charges if charge.status == "planned"]
    payable = [charge for charge in planned if charge.number == 1 or charge.number in begins]
    due = {charge.number for charge in payable[:1] if charge.opens_on <= clock.today()}
    pay_by: dict[int, datetime] = {}
    if contract.way == "later":
        due = {charge.number for charge in planned if charge.first_lesson in owed}
    else:
        later = [charge for charge in payable if charge.number > 1 and sells]
        pay_by = {charge.number: rules.lapses_at(begins[charge.number], charge.due_on, sells_again_at) for charge in later}
        pay_by[1] = contract.lapses_at
    return [
        ChargeView(
            number=charge.number,
            first_lesson=charge.first_lesson,
            last_lesson=charge.last_lesson,
            amount_fen=charge.amount_fen,
            opens_on=charge.opens_on,
            due_on=charge.due_on,
            status=charge.status,
            is_due=charge.number in due,
            has_day=charge.number in begins,
            pay_by=pay_by.get(charge.number),
            judged_by=charge.judged_by,
            ended_at=charge.ended_at,
        )
        for charge in charges
    ]


def _first_begins(charge: Charge, lessons: Sequence[LessonView]) -> datetime | None:
    """When the first of a charge's lessons begins as it is planned now; none while all of them wait for a new day."""
    of_charge = [lesson for lesson in lessons if charge.first_lesson <= lesson.number <= charge.last_lesson]
    return min((lesson.starts_at for lesson in of_charge if lesson.session_status != "cancelled"), default=None)
