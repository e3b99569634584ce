"""What may stand in a register: pure checks. Each refusal names its field and says in Chinese what is wrong."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from app import crypto
from app.clock import SHANGHAI, business_date
from app.errors import BadInput
from app.money import MAX_FEN
from app.policy.catalogue import KINDS

MAX_LESSONS = 500
MAX_SEATS = 500
MOST_UNPAID = 20
USUAL_UNPAID = 2
"""Lessons that may be taught and not paid yet where the institution says nothing."""
MAX_MATERIALS = 50
MODES = ("onsite", "online")
"""线下, 线上."""
MAX_AGE_YEARS = 25
MAX_CAMPUSES = 50
MAX_AREA_M2 = 1_000_000
STAGES = ("preschool", "primary", "middle", "high")
"""学段 of subject training."""
EARLIEST_LICENCE = date(1980, 1, 1)
LONGEST_LICENCE = timedelta(days=50 * 366)
LONGEST_SESSION = timedelta(hours=12)
FURTHEST_SESSION = timedelta(days=3 * 366)

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_ASKED = {
    "licence": "办学许可证",
    "for_profit": "是否营利性",
    "legal_representative": "法定代表人",
    "contact": "联系人",
}


@dataclass(frozen=True, slots=True)
class Licence:
    """办学许可证: business dates, both included."""

    no: str
    issuer: str
    scope: str
    from_on: date
    to_on: date


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom officers call; the phone is a mobile number."""

    name: str
    phone: str


@dataclass(frozen=True, slots=True)
class CampusDraft:
    """Where an institution teaches; `lease_ends_on` is the last day of the lease, None for rooms of its own."""

    name: str
    address: str
    lease_ends_on: date | None = None
    area_m2: int | None = None


@dataclass(frozen=True, slots=True)
class InstitutionDraft:
    """What an institution is entered with. The account numbers are those at the bank behind `connection`.

    An operator may leave out what has a default, but not the stage of subject training; an applicant may leave out nothing.
    Without a campus it teaches at its address.
    """

    credit_code: str
    name: str
    kind: str
    address: str
    connection: str
    supervised_no: str
    settlement_no: str
    licence: Licence | None = None
    stage: str | None = None
    for_profit: bool | None = None
    legal_representative: str | None = None
    contact: Contact | None = None
    campuses: Sequence[CampusDraft] = ()


@dataclass(frozen=True, slots=True)
class ClassDraft:
    """What a class is filed with. `sessions` are (starts_at, ends_at) pairs of aware instants.

    Unless said otherwise the posted price is the price, and a lesson lasts as long as the shortest session, in whole minutes.
    `most_unpaid` lessons may be taught and not paid yet (先学后付); with 0 the class is only paid in advance.
    """

    teacher_id: UUID
    name: str
    subject: str
    price_fen: int
    lesson_count: int
    seats: int
    sessions: Sequence[tuple[datetime, datetime]]
    mode: str = "onsite"
    lesson_minutes: int | None = None
    listed_price_fen: int | None = None
    materials: Sequence[str] = ()
    campus_id: UUID | None = None
    room: str | None = None
    most_unpaid: int = USUAL_UNPAID


def refuse(field: str, message_zh: str) -> BadInput:
    """The refusal of one field, to be raised."""
    return BadInput(f"registry.{field}_invalid", message_zh, field=field)


def clean_text(value: str, field: str, name_zh: str, limit: int) -> str:
    """The text in NFC without spaces around it. Raises BadInput unless it has 1 to `limit` visible characters."""
    text = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(text) <= limit or any(unicodedata.category(char) in _INVISIBLE for char in text):
        raise refuse(field, f"{name_zh}须为 1 至 {limit} 个可见字符")
    return text


def child_name(value: str) -> str:
    """A child's name with single spaces. Raises BadInput unless it is letters of any script, each two words of them apart by one of
    · • ’ ' - or a space, or by the sign that parts Tibetan syllables."""
    name = " ".join(clean_text(value, "name", "学生姓名", 40).split())
    if not all(_is_word(word) for word in re.split("[·•’'་ -]", name)):
        raise refuse("name", "学生姓名只能写文字，文字之间可用间隔号（·）、撇号（’）、连字符（-）或空格")
    return name


def _is_word(text: str) -> bool:
    """〇 is a number to Unicode, and stands in names."""
    kinds = ["L" if char == "〇" else unicodedata.category(char)[0] for char in text]
    return kinds[:1] == ["L"] and {"L", "M"}.issuperset(kinds)


def credit_code(value: str) -> str:
    """A unified social credit code in its compact form. Raises BadInput for a wrong length, character or check digit."""
    try:
        return str(uscc.validate(value))
    except ValidationError as wrong:
        raise refuse("credit_code", "统一社会信用代码不正确，应为 18 位且校验码相符") from wrong


def account_no(value: str, field: str, name_zh: str) -> str:
    """A bank account number without spaces and hyphens. Raises BadInput unless it is 6 to 34 digits or capitals."""
    compact = re.sub(r"[ -]", "", value)
    if not re.fullmatch(r"[0-9A-Z]{6,34}", compact):
        raise refuse(field, f"{name_zh}须为 6 至 34 位数字或大写字母")
    return compact


def birth_month(value: str, today: date) -> str:
    """A month `YYYY-MM`. Raises BadInput for another form, the future, or more than 25 years ago."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", value):
        raise refuse("birth_month", "出生年月须写成 2016-09 这样的形式")
    months_ago = (today.year - int(value[:4])) * 12 + today.month - int(value[5:])
    if not 0 <= months_ago <= MAX_AGE_YEARS * 12:
        raise refuse("birth_month", f"出生年月不能晚于本月，也不能早于 {MAX_AGE_YEARS} 年前")
    return value


def child_stage(value: str | None) -> str | None:
    """A child's stage, None where the guardian says nothing. Raises BadInput for one that does not exist."""
    if value and value not in STAGES:
        raise refuse("stage", "学段须为学前、小学、初中或高中")
    return value or None


def stage_at(birth_month: str, on: date) -> str:
    """The stage of a child of that month of birth on a business date.

    Who is six by the end of August starts school in September (义务教育法 art. 11): six years of primary, three of middle school.
    """
    school_year = on.year if on.month >= 9 else on.year - 1
    age = school_year - int(birth_month[:4]) - (1 if int(birth_month[5:]) > 8 else 0)
    return "preschool" if age < 6 else "primary" if age < 12 else "middle" if age < 15 else "high"


def check_institution(draft: InstitutionDraft, today: date) -> InstitutionDraft:
    """The draft with every field cleaned. Raises BadInput naming the first field that does not hold."""
    if draft.kind not in KINDS:
        raise refuse("kind", "机构类别须为学科、艺术、体育、科技或其他之一")
    supervised_no = account_no(draft.supervised_no, "supervised_no", "监管账户账号")
    settlement_no = account_no(draft.settlement_no, "settlement_no", "结算账户账号")
    if supervised_no == settlement_no:
        raise refuse("settlement_no", "结算账户不能与监管账户相同")
    name, address = clean_text(draft.name, "name", "机构名称", 80), clean_text(draft.address, "address", "地址", 200)
    if len(draft.campuses) > MAX_CAMPUSES:
        raise refuse("campuses", f"校区最多登记 {MAX_CAMPUSES} 个")
    return InstitutionDraft(
        credit_code=credit_code(draft.credit_code),
        name=name,
        kind=draft.kind,
        address=address,
        connection=draft.connection,
        supervised_no=supervised_no,
        settlement_no=settlement_no,
        licence=draft.licence and check_licence(draft.licence, today),
        stage=_stage(draft.kind, draft.stage),
        for_profit=draft.for_profit,
        legal_representative=draft.legal_representative and legal_representative(draft.legal_representative),
        contact=draft.contact and check_contact(draft.contact),
        campuses=[check_campus(campus, today) for campus in draft.campuses or (CampusDraft("主校区", address),)],
    )


def check_application(draft: InstitutionDraft, today: date) -> InstitutionDraft:
    """The same for an applicant, who leaves nothing out. Raises BadInput naming the first field that does not hold."""
    for field, name_zh in _ASKED.items():
        if getattr(draft, field) in (None, ""):
            raise refuse(field, f"请填写{name_zh}")
    return check_institution(draft, today)


def check_licence(licence: Licence, today: date) -> Licence:
    """The licence cleaned. Raises BadInput for one that is not valid today, or for impossible dates."""
    if not EARLIEST_LICENCE <= licence.from_on <= today:
        raise refuse("licence_from_on", "许可证起始日期不能晚于今天，也不能早于 1980 年")
    if licence.to_on < today:
        raise refuse("licence_to_on", "办学许可证已过期")
    if licence.to_on > licence.from_on + LONGEST_LICENCE:
        raise refuse("licence_to_on", "许可证有效期不合理，最长 50 年")
    return Licence(
        no=clean_text(licence.no, "licence_no", "许可证号", 40),
        issuer=clean_text(licence.issuer, "licence_issuer", "发证机关", 80),
        scope=clean_text(licence.scope, "licence_scope", "办学范围", 200),
        from_on=licence.from_on,
        to_on=licence.to_on,
    )


def check_contact(contact: Contact) -> Contact:
    """The contact cleaned, the phone in E.164. Raises BadInput naming the field."""
    try:
        phone = crypto.normal_phone(contact.phone)
    except BadInput as wrong:
        raise refuse("contact_phone", "联系电话须为手机号码") from wrong
    return Contact(clean_text(contact.name, "contact_name", "联系人姓名", 40), phone)


def check_campus(campus: CampusDraft, today: date) -> CampusDraft:
    """The campus cleaned. Raises BadInput naming the field, also for a lease that is over."""
    if campus.area_m2 is not None and not 1 <= campus.area_m2 <= MAX_AREA_M2:
        raise refuse("area_m2", f"校区面积须为 1 至 {MAX_AREA_M2} 平方米")
    return CampusDraft(
        name=clean_text(campus.name, "campus_name", "校区名称", 40),
        address=clean_text(campus.address, "campus_address", "校区地址", 200),
        lease_ends_on=check_lease(campus.lease_ends_on, today),
        area_m2=campus.area_m2,
    )


def check_lease(ends_on: date | None, today: date) -> date | None:
    """The last day of a lease. Raises BadInput for one that is over, or further off than 50 years."""
    if ends_on is not None and not today <= ends_on <= today + LONGEST_LICENCE:
        raise refuse("lease_ends_on", "租赁到期日不能早于今天，也不能超过 50 年")
    return ends_on


def legal_representative(value: str) -> str:
    """A legal representative's name. Raises BadInput."""
    return clean_text(value, "legal_representative", "法定代表人", 40)


def reason(value: str) -> str:
    """A reason on one line. Raises BadInput unless it has 1 to 500 visible characters."""
    return clean_text(" ".join(value.split()), "reason", "理由", 500)


def _stage(kind: str, stage: str | None) -> str | None:
    """The guide price binds by stage: without one no price of subject training would be held against it."""
    if kind == "subject" and stage is None:
        raise refuse("stage", "学科类机构请选择学段")
    if stage is not None and (kind != "subject" or stage not in STAGES):
        raise refuse("stage", "学段须为学前、小学、初中或高中，且只有学科类机构填写")
    return stage


def check_class(draft: ClassDraft, now: datetime) -> ClassDraft:
    """The draft cleaned and complete, its sessions in order of time. Raises BadInput naming the first field that does not hold."""
    if not 1 <= draft.lesson_count <= MAX_LESSONS:
        raise refuse("lesson_count", f"课时数须为 1 至 {MAX_LESSONS}")
    if not 1 <= draft.seats <= MAX_SEATS:
        raise refuse("seats", f"招生名额须为 1 至 {MAX_SEATS}")
    if not draft.lesson_count <= draft.price_fen <= MAX_FEN:
        raise refuse("price_fen", "班级总价须使每课时不少于 0.01 元，且不超过上限")
    listed_price_fen = draft.price_fen if draft.listed_price_fen is None else draft.listed_price_fen
    if not draft.price_fen <= listed_price_fen <= MAX_FEN:
        raise refuse("listed_price_fen", "公示价不能低于班级总价，也不能超过上限")
    if not 0 <= draft.most_unpaid <= MOST_UNPAID:
        raise refuse("most_unpaid", f"先学后付最多可欠的课时数须为 0 至 {MOST_UNPAID}")
    if draft.mode not in MODES:
        raise refuse("mode", "授课方式须为线下或线上")
    if draft.mode == "online" and draft.campus_id is not None:
        raise refuse("campus_id", "线上班级没有校区")
    sessions = check_schedule(draft.sessions, draft.lesson_count, now)
    return ClassDraft(
        teacher_id=draft.teacher_id,
        name=clean_text(draft.name, "name", "班级名称", 80),
        subject=clean_text(draft.subject, "subject", "课程科目", 40),
        price_fen=draft.price_fen,
        lesson_count=draft.lesson_count,
        seats=draft.seats,
        sessions=sessions,
        mode=draft.mode,
        lesson_minutes=_lesson_minutes(draft.lesson_minutes, sessions),
        listed_price_fen=listed_price_fen,
        materials=_materials(draft.materials),
        campus_id=draft.campus_id,
        room=clean_room(draft.room, draft.mode),
        most_unpaid=draft.most_unpaid,
    )


def clean_room(room: str | None, mode: str) -> str | None:
    """The name of a room, or None where none is given. Raises BadInput, also for any room of an online class."""
    if room is None or not room.strip():
        return None
    if mode == "online":
        raise refuse("room", "线上班级没有教室")
    return clean_text(room, "room", "教室", 40)


def _lesson_minutes(wanted: int | None, sessions: Sequence[tuple[datetime, datetime]]) -> int:
    shortest = -(-min(ends_at - starts_at for starts_at, ends_at in sessions) // timedelta(minutes=1))
    if wanted is None:
        return shortest
    if not 1 <= wanted <= shortest:
        raise refuse("lesson_minutes", f"每课时须为 1 分钟以上，且不能长于最短的一次课（{shortest} 分钟）")
    return wanted


def _materials(titles: Sequence[str]) -> list[str]:
    listed = list(dict.fromkeys(clean_text(title, "materials", "教材名称", 100) for title in titles))
    if len(listed) > MAX_MATERIALS:
        raise refuse("materials", f"教材最多填写 {MAX_MATERIALS} 种")
    return listed


def check_schedule(sessions: Sequence[tuple[datetime, datetime]], lesson_count: int, now: datetime) -> list[tuple[datetime, datetime]]:
    """The sessions in order of time.

    Raises BadInput unless there is one for each lesson, each ends after it starts, on the same business date,
    none lies further off than three years, and no two overlap.
    """
    if len(sessions) != lesson_count:
        raise refuse("sessions", f"课次安排有 {len(sessions)} 次，与课时数 {lesson_count} 不一致")
    if any(instant.tzinfo is None for session in sessions for instant in session):
        raise refuse("sessions", "课次时间须带时区")
    ordered = sorted(sessions)
    for number, session in enumerate(ordered, start=1):
        check_session(session, f"第 {number} 次课", now)
    for number, (earlier, later) in enumerate(pairwise(ordered), start=1):
        if later[0] < earlier[1]:
            raise refuse("sessions", f"第 {number} 次课与第 {number + 1} 次课时间重叠")
    return ordered


def check_session(session: tuple[datetime, datetime], name_zh: str, now: datetime) -> None:
    """Raises BadInput unless a session ends after it starts, on the same business date, and lies within three years."""
    starts_at, ends_at = session
    if not timedelta(0) < ends_at - starts_at <= LONGEST_SESSION or business_date(starts_at) != business_date(ends_at):
        raise refuse("sessions", f"{name_zh}的结束时间须在同一天，晚于开始时间，且不超过 12 小时")
    if abs(starts_at - now) > FURTHEST_SESSION:
        raise refuse("sessions", f"{name_zh}的时间离现在超过三年")


def check_to_come(sessions: Sequence[tuple[datetime, datetime]], now: datetime) -> None:
    """Raises BadInput where a session has started: what is filed or moved lies ahead."""
    for starts_at, _ in sessions:
        if starts_at <= now:
            raise refuse("sessions", f"{shanghai(starts_at)} 的课已经开始，只能安排今后的课次")


def shanghai(instant: datetime) -> str:
    """An instant as people say it: 3月4日 16:00."""
    local = instant.astimezone(SHANGHAI)
    return f"{local.month}月{local.day}日 {local:%H:%M}"
