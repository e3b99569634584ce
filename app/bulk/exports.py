"""The four registers as workbooks for officers: recorded in the audit trail, then read out of one snapshot while they are sent."""

import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from anyio import to_thread
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.banking.models import BankAccount
from app.bulk.workbooks import Listing, Value
from app.clock import SHANGHAI
from app.contracts.models import Contract
from app.crypto import mask_account, mask_phone
from app.db import District
from app.errors import NotFound
from app.money import plain
from app.registry import families
from app.registry.institution_queries import masked
from app.registry.institutions import contact_of
from app.registry.models import (
    Campus,
    Guardian,
    Guardianship,
    Institution,
    InstitutionListing,
    Student,
    Teacher,
    TrainingClass,
    YearlyCheck,
)
from app.registry.queries import HIDDEN, masked_name

AT_A_TIME = 500
_BLOCK = 256 * 1024
_LISTINGS = {"white": "白名单", "black": "黑名单"}

Word = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a register; the value comes from a row and from what people call states."""

    heading: str
    width: int
    value: Callable[[Any, Word], Value]


Rows = Callable[[AsyncSession, UUID], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Page:
    """One sheet: its columns, and its rows in the order of their ids, those after one."""

    name_zh: str
    fields: Sequence[Field]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Register:
    """A register as a file; its own sheet is the first, then come those of what belongs to its entries."""

    slug: str
    pages: Sequence[Page]

    @property
    def name_zh(self) -> str:
        """What the register is called."""
        return self.pages[0].name_zh


@dataclass(frozen=True, slots=True)
class _Child:
    """A child with the masked phones of who answers for it, and how many contracts it has."""

    student: Student
    phones: Sequence[str]
    contracts: int

    @property
    def id(self) -> UUID:
        return self.student.id


def register_of(slug: str) -> Register:
    """The register of this slug. Raises NotFound("bulk.register_not_found")."""
    if slug not in REGISTERS:
        raise NotFound("bulk.register_not_found", "没有这个库")
    return REGISTERS[slug]


async def record(session: AsyncSession, actor: str, register: Register) -> None:
    """Enter in the audit trail who takes a register away."""
    await audit.record(session, actor, "bulk.register_exported", f"register:{register.slug}")


def file_name(district: District, register: Register) -> str:
    """teachers-510112-2026-03-03.xlsx: the register, the district, the day."""
    return f"{register.slug}-{district.code}-{clock.today()}.xlsx"


async def stream(district: District, register: Register, word: Word) -> AsyncGenerator[bytes]:
    """The workbook in parts; it is written to disk first, so that memory does not grow with the register."""
    with tempfile.TemporaryDirectory(prefix="register-") as folder, tempfile.TemporaryFile(dir=folder) as file:
        listing = Listing(file, folder, f"{district.code} {register.name_zh}")
        async with district.reading() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
            for page in register.pages:
                listing.begin(page.name_zh, [(field.heading, field.width) for field in page.fields])
                async with aclosing(_parts(session, page, word)) as parts:
                    async for rows in parts:
                        await to_thread.run_sync(listing.add, rows)
        await to_thread.run_sync(listing.close)
        file.seek(0)
        while block := await to_thread.run_sync(file.read, _BLOCK):
            yield block


async def _parts(session: AsyncSession, page: Page, word: Word) -> AsyncGenerator[list[list[Value]]]:
    after = UUID(int=0)
    while rows := await page.rows(session, after):
        yield [[field.value(row, word) for field in page.fields] for row in rows]
        after = rows[-1].id
        session.expunge_all()


async def _institutions(session: AsyncSession, after: UUID) -> Sequence[Institution]:
    return (await session.scalars(select(Institution).where(Institution.id > after).order_by(Institution.id).limit(AT_A_TIME))).all()


def _of_institutions(kept: type[Campus | YearlyCheck | InstitutionListing | BankAccount]) -> Rows:
    """The rows of a table that belong to institutions, with whose they are."""
    owner = kept.book_id if issubclass(kept, BankAccount) else kept.institution_id
    query = select(kept.id, kept, Institution.name.label("institution"), Institution.credit_code).join(Institution, Institution.id == owner)

    async def rows(session: AsyncSession, after: UUID) -> Sequence[Any]:
        return (await session.execute(query.where(kept.id > after).order_by(kept.id).limit(AT_A_TIME))).all()

    return rows


async def _teachers(session: AsyncSession, after: UUID) -> Sequence[Any]:
    query = select(Teacher.id, Teacher, Institution.name.label("institution"))
    query = query.join(Institution, Institution.id == Teacher.institution_id)
    return (await session.execute(query.where(Teacher.id > after).order_by(Teacher.id).limit(AT_A_TIME))).all()


async def _classes(session: AsyncSession, after: UUID) -> Sequence[Any]:
    names = Institution.name.label("institution"), Teacher.name.label("teacher"), Campus.name.label("campus")
    query = (
        select(TrainingClass.id, TrainingClass, Teacher.certificate_no, *names)
        .join(Institution, Institution.id == TrainingClass.institution_id)
        .join(Teacher, Teacher.id == TrainingClass.teacher_id)
        .outerjoin(Campus, Campus.id == TrainingClass.campus_id)
    )
    return (await session.execute(query.where(TrainingClass.id > after).order_by(TrainingClass.id).limit(AT_A_TIME))).all()


async def _students(session: AsyncSession, after: UUID) -> Sequence[_Child]:
    found = (await session.scalars(select(Student).where(Student.id > after).order_by(Student.id).limit(AT_A_TIME))).all()
    ids = [each.id for each in found]
    answering = select(Guardianship.student_id, Guardian).join(Guardian, Guardian.id == Guardianship.guardian_id)
    phones: dict[UUID, list[str]] = {}
    for student_id, guardian in await session.execute(answering.where(Guardianship.student_id.in_(ids)).order_by(Guardianship.since)):
        phones.setdefault(student_id, []).append(mask_phone(families.phone_of(guardian)))
    signed = select(Contract.student_id, func.count()).where(Contract.student_id.in_(ids)).group_by(Contract.student_id)
    contracts: dict[UUID, int] = {student_id: count for student_id, count in await session.execute(signed)}
    return [_Child(each, phones.get(each.id, []), contracts.get(each.id, 0)) for each in found]


def _contact(each: Institution, part: str) -> Value:
    contact = masked(contact_of(each))
    return getattr(contact, part) if contact else None


def _of_child(each: _Child, shown: Callable[[], Value]) -> Value:
    """What is shown of a child to others than its family: nothing while a guardian's withdrawal stands."""
    return HIDDEN if each.student.hidden_at else shown()


def _stage(each: _Child, word: Word) -> Value:
    stage = families.stage_of(each.student, clock.today())
    return stage and word(stage, "stage")


def _time(instant: datetime | None) -> str | None:
    return instant.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M") if instant else None


INSTITUTIONS = (
    Field("机构名称", 28, lambda each, _: each.name),
    Field("统一社会信用代码", 22, lambda each, _: each.credit_code),
    Field("类别", 12, lambda each, word: word(each.kind, "institution_kind")),
    Field("学段", 8, lambda each, word: each.stage and word(each.stage, "stage")),
    Field("营利性", 10, lambda each, _: {True: "营利性", False: "非营利性"}.get(each.for_profit)),
    Field("地址", 32, lambda each, _: each.address),
    Field("法定代表人", 12, lambda each, _: each.legal_representative),
    Field("联系人（已脱敏）", 16, lambda each, _: _contact(each, "name")),
    Field("联系电话（已脱敏）", 18, lambda each, _: _contact(each, "phone")),
    Field("办学许可证号", 18, lambda each, _: each.licence_no),
    Field("发证机关", 18, lambda each, _: each.licence_issuer),
    Field("办学范围", 24, lambda each, _: each.licence_scope),
    Field("许可证起", 12, lambda each, _: each.licence_from_on),
    Field("许可证止", 12, lambda each, _: each.licence_to_on),
    Field("状态", 8, lambda each, word: word(each.status, "institution")),
    Field("名单", 8, lambda each, _: _LISTINGS.get(each.listing)),
    Field("暂停招生原因", 28, lambda each, _: each.sales_pause_reason),
    Field("登记时间", 18, lambda each, _: _time(each.created_at)),
)
OWNER = (Field("机构名称", 28, lambda each, _: each.institution), Field("统一社会信用代码", 22, lambda each, _: each.credit_code))
CAMPUSES = (
    *OWNER,
    Field("校区", 18, lambda each, _: each.Campus.name),
    Field("地址", 36, lambda each, _: each.Campus.address),
    Field("面积（平方米）", 14, lambda each, _: each.Campus.area_m2),
    Field("租赁到期日", 12, lambda each, _: each.Campus.lease_ends_on),
    Field("登记时间", 18, lambda each, _: _time(each.Campus.created_at)),
    Field("关闭时间", 18, lambda each, _: _time(each.Campus.closed_at)),
)
ACCOUNTS = (
    *OWNER,
    Field("账户", 12, lambda each, word: word(each.BankAccount.role, "account_role")),
    Field("账号（已脱敏）", 24, lambda each, _: mask_account(each.BankAccount.account_no)),
    Field("银行接口", 16, lambda each, _: each.BankAccount.connection),
    Field("登记时间", 18, lambda each, _: _time(each.BankAccount.opened_at)),
    Field("停用时间", 18, lambda each, _: _time(each.BankAccount.replaced_at)),
)
CHECKS = (
    *OWNER,
    Field("年度", 8, lambda each, _: each.YearlyCheck.year),
    Field("结果", 10, lambda each, word: word(each.YearlyCheck.result, "yearly_check")),
    Field("说明", 36, lambda each, _: each.YearlyCheck.note),
    Field("记录时间", 18, lambda each, _: _time(each.YearlyCheck.recorded_at)),
)
LISTED = (
    *OWNER,
    Field("名单", 12, lambda each, _: _LISTINGS.get(each.InstitutionListing.listing, "移出名单")),
    Field("理由", 36, lambda each, _: each.InstitutionListing.reason),
    Field("决定时间", 18, lambda each, _: _time(each.InstitutionListing.decided_at)),
)
TEACHERS = (
    Field("机构", 28, lambda each, _: each.institution),
    Field("姓名", 12, lambda each, _: each.Teacher.name),
    Field("任教科目", 14, lambda each, _: each.Teacher.subject),
    Field("资格证书号", 22, lambda each, _: each.Teacher.certificate_no),
    Field("证书任教学科", 18, lambda each, _: each.Teacher.certificate_subject),
    Field("证书有效期至", 14, lambda each, _: each.Teacher.certificate_to_on),
    Field("入职日期", 12, lambda each, _: each.Teacher.employed_from_on),
    Field("离职日期", 12, lambda each, _: each.Teacher.employed_to_on),
    Field("在职中小学教师", 14, lambda each, _: "是" if each.Teacher.serving_school_teacher else None),
    Field("在境外的外籍人员", 14, lambda each, _: "是" if each.Teacher.foreigner_abroad else None),
    Field("登记时间", 18, lambda each, _: _time(each.Teacher.created_at)),
)
CLASSES = (
    Field("机构", 28, lambda each, _: each.institution),
    Field("班级名称", 24, lambda each, _: each.TrainingClass.name),
    Field("课程科目", 14, lambda each, _: each.TrainingClass.subject),
    Field("授课方式", 10, lambda each, word: word(each.TrainingClass.mode, "class_mode")),
    Field("校区", 16, lambda each, _: each.campus),
    Field("教室", 10, lambda each, _: each.TrainingClass.room),
    Field("教师", 12, lambda each, _: each.teacher),
    Field("资格证书号", 22, lambda each, _: each.certificate_no),
    Field("名额", 8, lambda each, _: each.TrainingClass.seats),
    Field("课时数", 8, lambda each, _: each.TrainingClass.lesson_count),
    Field("每课时分钟", 12, lambda each, _: each.TrainingClass.lesson_minutes),
    Field("实收总价（元）", 14, lambda each, _: plain(each.TrainingClass.price_fen)),
    Field("公示总价（元）", 14, lambda each, _: plain(each.TrainingClass.listed_price_fen)),
    Field("开课日期", 12, lambda each, _: each.TrainingClass.starts_on),
    Field("结课日期", 12, lambda each, _: each.TrainingClass.ends_on),
    Field("教材", 28, lambda each, _: "；".join(each.TrainingClass.materials)),
    Field("状态", 10, lambda each, word: word(each.TrainingClass.status, "class")),
    Field("审批理由", 24, lambda each, _: each.TrainingClass.decision_reason),
    Field("备案时间", 18, lambda each, _: _time(each.TrainingClass.created_at)),
)
STUDENTS = (
    Field("学生（已脱敏）", 16, lambda each, _: masked_name(each.student)),
    Field("出生年份", 10, lambda each, _: _of_child(each, lambda: families.birth_month_of(each.student)[:4])),
    Field("学段", 8, lambda each, word: _of_child(each, lambda: _stage(each, word))),
    Field("监护人手机号（已脱敏）", 28, lambda each, _: _of_child(each, lambda: "、".join(each.phones))),
    Field("同意处理个人信息", 18, lambda each, _: "是" if each.student.consent_version else "否"),
    Field("合同数", 8, lambda each, _: each.contracts),
    Field("登记时间", 18, lambda each, _: _time(each.student.created_at)),
    Field("编号", 38, lambda each, _: str(each.id)),
)
REGISTERS: Mapping[str, Register] = {
    register.slug: register
    for register in (
        Register(
            "institutions",
            (
                Page("机构库", INSTITUTIONS, _institutions),
                Page("校区", CAMPUSES, _of_institutions(Campus)),
                Page("银行账户", ACCOUNTS, _of_institutions(BankAccount)),
                Page("年检", CHECKS, _of_institutions(YearlyCheck)),
                Page("名单记录", LISTED, _of_institutions(InstitutionListing)),
            ),
        ),
        Register("teachers", (Page("教师库", TEACHERS, _teachers),)),
        Register("classes", (Page("班课库", CLASSES, _classes),)),
        Register("students", (Page("学生库", STUDENTS, _students),)),
    )
}
