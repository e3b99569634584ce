"""What the registers of institutions and teachers show. Contacts and accounts come masked; pages hold 100 rows at most."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Select, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.banking.models import BankAccount
from app.crypto import mask_account, mask_name, mask_phone
from app.errors import NotFound
from app.registry import institutions
from app.registry.models import (
    Campus,
    Institution,
    InstitutionApplication,
    InstitutionChange,
    InstitutionListing,
    Teacher,
    TeacherPhoto,
    YearlyCheck,
)
from app.registry.queries import PAGE, Cursor, institution
from app.registry.rules import Contact, Licence


@dataclass(frozen=True, slots=True)
class AccountView:
    """A bank account of an institution: `role` is supervised or settlement; a replaced one gets nothing new."""

    role: str
    connection: str
    account_no_masked: str
    replaced_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A change of an institution's entry; account numbers are masked."""

    id: UUID
    institution_id: UUID
    institution_name: str
    kind: str
    campus_id: UUID | None
    campus_name: str | None
    old_value: str | None
    new_value: str
    reason: str
    status: str
    proposed_at: datetime
    decided_at: datetime | None
    decision_reason: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """An institution's whole entry (档案). `checks` has the latest result of each year, `listings` every decision, newest first."""

    institution: Institution
    licence: Licence | None
    contact_masked: Contact | None
    accounts: list[AccountView]
    campuses: list[Campus]
    checks: list[YearlyCheck]
    listings: list[InstitutionListing]
    changes: list[ChangeView]


@dataclass(frozen=True, slots=True)
class TeacherView:
    """A teacher with the certificate, as parents may see it."""

    id: UUID
    name: str
    subject: str
    certificate_no: str
    certificate_subject: str | None
    certificate_to_on: date | None
    employed_from_on: date | None
    employed_to_on: date | None
    serving_school_teacher: bool
    foreigner_abroad: bool
    has_photo: bool
    created_at: datetime


async def institution_by_code(session: AsyncSession, credit_code: str) -> Institution:
    """The institution of a unified social credit code. Raises NotFound("registry.institution_not_found")."""
    found: Institution | None = await session.scalar(select(Institution).where(Institution.credit_code == credit_code))
    if found is None:
        raise NotFound("registry.institution_not_found", "没有这家机构")
    return found


async def entry(session: AsyncSession, institution_id: UUID) -> Entry:
    """An institution's entry with its latest 100 changes. Raises NotFound("registry.institution_not_found")."""
    found = await institution(session, institution_id)
    return Entry(
        institution=found,
        licence=institutions.licence_of(found),
        contact_masked=masked(institutions.contact_of(found)),
        accounts=await _accounts(session, institution_id),
        campuses=await institutions.campuses(session, institution_id),
        checks=await yearly_checks(session, institution_id),
        listings=await listings(session, institution_id),
        changes=await changes(session, institution_id=institution_id),
    )


async def yearly_checks(session: AsyncSession, institution_id: UUID) -> list[YearlyCheck]:
    """The result that counts of each year, latest year first."""
    counted = select(YearlyCheck).ext(distinct_on(YearlyCheck.year)).where(YearlyCheck.institution_id == institution_id)
    return list(await session.scalars(counted.order_by(YearlyCheck.year.desc(), YearlyCheck.id.desc()).limit(PAGE)))


async def listings(session: AsyncSession, institution_id: UUID) -> list[InstitutionListing]:
    """Every decision about the white and black list, newest first."""
    chosen = select(InstitutionListing).where(InstitutionListing.institution_id == institution_id)
    return list(await session.scalars(chosen.order_by(InstitutionListing.decided_at.desc(), InstitutionListing.id.desc()).limit(PAGE)))


async def changes(
    session: AsyncSession,
    *,
    institution_id: UUID | None = None,
    status: str | None = None,
    after: Cursor | None = None,
    limit: int = PAGE,
) -> list[ChangeView]:
    """Changes, newest first, of one institution or in one state where given; `after` is (proposed_at, id) of the last one seen."""
    place = tuple_(InstitutionChange.proposed_at, InstitutionChange.id)
    query = (
        select(InstitutionChange, Institution.name, Campus.name)
        .join(Institution, Institution.id == InstitutionChange.institution_id)
        .outerjoin(Campus, Campus.id == InstitutionChange.campus_id)
        .order_by(InstitutionChange.proposed_at.desc(), InstitutionChange.id.desc())
        .limit(min(limit, PAGE))
    )
    if institution_id is not None:
        query = query.where(InstitutionChange.institution_id == institution_id)
    if status is not None:
        query = query.where(InstitutionChange.status == status)
    if after is not None:
        query = query.where(place < after)
    return [_change(row, name, campus) for row, name, campus in await session.execute(query)]


async def change(session: AsyncSession, change_id: UUID) -> InstitutionChange:
    """One change, unmasked. Raises NotFound("registry.change_not_found")."""
    found = await session.get(InstitutionChange, change_id)
    if found is None:
        raise NotFound("registry.change_not_found", "没有这项变更")
    return found


async def applications(
    session: AsyncSession, status: str | None = None, after: Cursor | None = None, limit: int = PAGE
) -> list[InstitutionApplication]:
    """Applications, newest first, in one state where given; `after` is (applied_at, id) of the last one seen."""
    place = tuple_(InstitutionApplication.applied_at, InstitutionApplication.id)
    query = select(InstitutionApplication).order_by(InstitutionApplication.applied_at.desc(), InstitutionApplication.id.desc())
    if status is not None:
        query = query.where(InstitutionApplication.status == status)
    if after is not None:
        query = query.where(place < after)
    return list(await session.scalars(query.limit(min(limit, PAGE))))


async def application(session: AsyncSession, application_id: UUID) -> InstitutionApplication:
    """One application. Raises NotFound("registry.application_not_found")."""
    return _there(await session.get(InstitutionApplication, application_id))


async def application_by_no(session: AsyncSession, application_no: str) -> InstitutionApplication:
    """The application of this number, for whoever has it. Raises NotFound("registry.application_not_found")."""
    return _there(await session.scalar(select(InstitutionApplication).where(InstitutionApplication.application_no == application_no)))


async def teachers(
    session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE, *, employed_on: date | None = None
) -> list[TeacherView]:
    """An institution's teachers in the order of entry, of those employed on a business date where given.

    `after` is (created_at, id) of the last one seen.
    """
    query = _teachers().where(Teacher.institution_id == institution_id).order_by(Teacher.created_at, Teacher.id)
    if employed_on is not None:
        query = query.where(
            or_(Teacher.employed_from_on.is_(None), Teacher.employed_from_on <= employed_on),
            or_(Teacher.employed_to_on.is_(None), Teacher.employed_to_on >= employed_on),
        )
    if after is not None:
        query = query.where(tuple_(Teacher.created_at, Teacher.id) > after)
    return [_teacher(row, photo) for row, photo in await session.execute(query.limit(min(limit, PAGE)))]


async def teacher(session: AsyncSession, institution_id: UUID, teacher_id: UUID) -> TeacherView:
    """One teacher of an institution. Raises NotFound("registry.teacher_not_found")."""
    own = Teacher.id == teacher_id, Teacher.institution_id == institution_id
    found = (await session.execute(_teachers().where(*own))).one_or_none()
    if found is None:
        raise NotFound("registry.teacher_not_found", "没有这位教师")
    return _teacher(*found)


async def photo(session: AsyncSession, teacher_id: UUID) -> TeacherPhoto:
    """A teacher's photo. Raises NotFound("registry.photo_not_found")."""
    found = await session.get(TeacherPhoto, teacher_id)
    if found is None:
        raise NotFound("registry.photo_not_found", "没有照片")
    return found


def masked(contact: Contact | None) -> Contact | None:
    """A contact as screens show it."""
    return contact and Contact(mask_name(contact.name), mask_phone(contact.phone))


async def _accounts(session: AsyncSession, institution_id: UUID) -> list[AccountView]:
    bound = select(BankAccount).where(BankAccount.book_id == institution_id)
    rows = await session.scalars(bound.order_by(BankAccount.role.desc(), BankAccount.opened_at.desc(), BankAccount.id))
    return [AccountView(row.role, row.connection, mask_account(row.account_no), row.replaced_at) for row in rows]


def _there(found: InstitutionApplication | None) -> InstitutionApplication:
    if found is None:
        raise NotFound("registry.application_not_found", "没有这份申请")
    return found


def _change(row: InstitutionChange, institution_name: str, campus_name: str | None) -> ChangeView:
    is_account = row.kind == "settlement_account"
    return ChangeView(
        id=row.id,
        institution_id=row.institution_id,
        institution_name=institution_name,
        kind=row.kind,
        campus_id=row.campus_id,
        campus_name=campus_name,
        old_value=mask_account(row.old_value) if is_account and row.old_value else row.old_value,
        new_value=mask_account(row.new_value) if is_account else row.new_value,
        reason=row.reason,
        status=row.status,
        proposed_at=row.proposed_at,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
    )


def _teachers() -> Select[Teacher, bool]:
    return select(Teacher, TeacherPhoto.teacher_id.is_not(None)).outerjoin(TeacherPhoto, TeacherPhoto.teacher_id == Teacher.id)


def _teacher(row: Teacher, has_photo: bool) -> TeacherView:
    return TeacherView(
        id=row.id,
        name=row.name,
        subject=row.subject,
        certificate_no=row.certificate_no,
        certificate_subject=row.certificate_subject,
        certificate_to_on=row.certificate_to_on,
        employed_from_on=row.employed_from_on,
        employed_to_on=row.employed_to_on,
        serving_school_teacher=row.serving_school_teacher,
        foreigner_abroad=row.foreigner_abroad,
        has_photo=has_photo,
        created_at=row.created_at,
    )
