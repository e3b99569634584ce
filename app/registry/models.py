"""四库: institutions, teachers, classes with their sessions, students and guardians. Personal columns end in `_enc`."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint as Check
from sqlalchemy import Connection, ForeignKey, Index, Integer, Text, TextClause, UniqueConstraint, event, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, one_of


class Institution(Base):
    """机构库. Its id is also its book's. What was not asked for when an institution was entered is empty."""

    __tablename__ = "institution"
    __table_args__ = (
        one_of("kind", "subject", "arts", "sports", "science", "other"),
        one_of("status", "approved", "suspended", "closed"),
        one_of("stage", "preschool", "primary", "middle", "high"),
        one_of("listing", "white", "black"),
        Check("licence_from_on <= licence_to_on", name="licence"),
        Check("(sales_paused_at IS NULL) = (sales_pause_reason IS NULL)", name="sales_pause"),
    )

    id: Mapped[UUID] = mapped_column(ForeignKey("book.id"), primary_key=True)
    credit_code: Mapped[str] = mapped_column(unique=True)
    """统一社会信用代码, 18 characters with a check digit (GB 32100)."""
    name: Mapped[str]
    kind: Mapped[str]
    stage: Mapped[str | None]
    """学段, of subject training."""
    for_profit: Mapped[bool | None]
    address: Mapped[str]
    legal_representative: Mapped[str | None]
    contact_name_enc: Mapped[bytes | None]
    contact_phone_enc: Mapped[bytes | None]
    """Whom officers call."""
    licence_no: Mapped[str | None]
    licence_issuer: Mapped[str | None]
    licence_scope: Mapped[str | None]
    licence_from_on: Mapped[date | None]
    licence_to_on: Mapped[date | None]
    """Last day of the licence (办学许可证)."""
    status: Mapped[str]
    listing: Mapped[str | None]
    """白名单 or 黑名单, as `institution_listing` last says."""
    sales_paused_at: Mapped[datetime | None]
    sales_pause_reason: Mapped[str | None]
    """Since when nothing new is sold, and why, as parents read it; empty while sales go on."""
    sells_again_at: Mapped[datetime | None]
    """When the last pause, suspension or black listing ended."""
    created_at: Mapped[datetime]


class InstitutionApplication(Base):
    """入库申请: an institution that asks to be entered. Its id becomes the institution's."""

    __tablename__ = "institution_application"
    __table_args__ = (
        one_of("status", "applied", "approved", "refused"),
        Check("(status = 'applied') = (decided_at IS NULL)", name="decided"),
        Check("(status = 'applied') = (password_hash IS NOT NULL)", name="password_hash"),
        Index(None, "applied_at", "id"),
        Index("ix_institution_application_undecided", "applied_at", "id", postgresql_where=text("status = 'applied'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    application_no: Mapped[str] = mapped_column(unique=True)
    """Who has it may ask how far the application is; it cannot be guessed."""
    credit_code: Mapped[str]
    name: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Everything else that was filled in, without contacts."""
    contact_name_enc: Mapped[bytes | None]
    contact_phone_enc: Mapped[bytes | None]
    username: Mapped[str]
    """Of the first member of staff; a number is added at approval where somebody else has it by then."""
    staff_name: Mapped[str]
    password_hash: Mapped[str | None]
    """Kept until the decision."""
    status: Mapped[str]
    applied_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    decision_reason: Mapped[str | None]


class InstitutionChange(Base):
    """变更: what an institution, or an officer for it, wants changed in its entry; it holds once an officer has confirmed it."""

    __tablename__ = "institution_change"
    __table_args__ = (
        one_of("kind", "legal_representative", "address", "campus_address", "settlement_account", "lease"),
        one_of("status", "proposed", "confirmed", "refused"),
        Check("(kind IN ('campus_address', 'lease')) = (campus_id IS NOT NULL)", name="campus"),
        Check("(status = 'proposed') = (decided_at IS NULL)", name="decided"),
        Index(None, "institution_id", "proposed_at", "id"),
        Index(
            "uq_institution_change_undecided",
            "institution_id",
            "kind",
            unique=True,
            postgresql_where=text("status = 'proposed' AND kind <> 'lease'"),
        ),
        Index(
            "uq_institution_change_undecided_lease",
            "campus_id",
            unique=True,
            postgresql_where=text("status = 'proposed' AND kind = 'lease'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    kind: Mapped[str]
    campus_id: Mapped[UUID | None] = mapped_column(ForeignKey("campus.id"))
    old_value: Mapped[str | None]
    """What stood before; empty for the address of a campus that is added with this change."""
    new_value: Mapped[str]
    reason: Mapped[str]
    status: Mapped[str]
    proposed_at: Mapped[datetime]
    proposed_by: Mapped[UUID]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    decision_reason: Mapped[str | None]


class InstitutionListing(Base):
    """One decision about the white or black list; an empty `listing` takes the institution off. Rows are only ever added."""

    __tablename__ = "institution_listing"
    __table_args__ = (one_of("listing", "white", "black"), Index(None, "institution_id", "decided_at", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    listing: Mapped[str | None]
    reason: Mapped[str]
    decided_at: Mapped[datetime]
    decided_by: Mapped[UUID]


class YearlyCheck(Base):
    """年检: one result of one year; the latest row of a year counts. Rows are only ever added."""

    __tablename__ = "yearly_check"
    __table_args__ = (
        one_of("result", "passed", "conditional", "failed"),
        Check("year BETWEEN 2000 AND 2199", name="year"),
        Index(None, "institution_id", "year", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    year: Mapped[int] = mapped_column(Integer)
    result: Mapped[str]
    note: Mapped[str]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID]


class Campus(Base):
    """校区: where an institution teaches."""

    __tablename__ = "campus"
    __table_args__ = (Check("area_m2 BETWEEN 1 AND 1000000", name="area"), Index(None, "institution_id", "created_at", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    name: Mapped[str]
    address: Mapped[str]
    area_m2: Mapped[int | None] = mapped_column(Integer)
    lease_ends_on: Mapped[date | None]
    """Last day of the lease; empty where the rooms are owned, or it was not said."""
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Teacher(Base):
    """教师库. Name and certificate are shown to parents, as the rules for training institutions ask."""

    __tablename__ = "teacher"
    __table_args__ = (UniqueConstraint("institution_id", "certificate_no"), Check("employed_from_on <= employed_to_on", name="employed"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    name: Mapped[str]
    certificate_no: Mapped[str]
    certificate_subject: Mapped[str | None]
    """What the certificate covers; empty where it was not asked for."""
    certificate_to_on: Mapped[date | None]
    """Last day of the certificate; empty where it does not end."""
    subject: Mapped[str]
    """What is taught."""
    employed_from_on: Mapped[date | None]
    employed_to_on: Mapped[date | None]
    """Last day at the institution."""
    serving_school_teacher: Mapped[bool] = mapped_column(server_default=text("false"))
    """在职中小学教师: may not teach here; an officer's mark."""
    foreigner_abroad: Mapped[bool] = mapped_column(server_default=text("false"))
    """在境外的外籍人员: may not teach a school subject; an officer's mark."""
    created_at: Mapped[datetime]


class TeacherPhoto(Base):
    """A teacher's picture as this service encoded it (JPEG), never as it was uploaded."""

    __tablename__ = "teacher_photo"
    __table_args__ = (Check("octet_length(content) BETWEEN 1 AND 204800", name="content"),)

    teacher_id: Mapped[UUID] = mapped_column(ForeignKey("teacher.id"), primary_key=True)
    content: Mapped[bytes]
    sha256: Mapped[bytes]
    uploaded_at: Mapped[datetime]


class TrainingClass(Base):
    """班课库: lessons sold together at one price, taught in the class sessions of its schedule.

    Filed → opened | refused; opened → closed.
    """

    __tablename__ = "training_class"
    __table_args__ = (
        Check("price_fen BETWEEN 1 AND 10000000000000", name="price"),
        Check("listed_price_fen BETWEEN price_fen AND 10000000000000", name="listed_price"),
        Check("lesson_count BETWEEN 1 AND 500", name="lesson_count"),
        Check("lesson_minutes BETWEEN 1 AND 720", name="lesson_minutes"),
        Check("seats BETWEEN 1 AND 500", name="seats"),
        Check("most_unpaid BETWEEN 0 AND 20", name="most_unpaid"),
        one_of("mode", "onsite", "online"),
        Check("mode = 'onsite' OR num_nonnulls(campus_id, room) = 0", name="place"),
        one_of("status", "filed", "opened", "refused", "closed"),
        Check("num_nulls(decided_at, decision_reason) = CASE status WHEN 'filed' THEN 2 ELSE 0 END", name="decided"),
        Index(None, "institution_id"),
        Index("ix_training_class_filed", "created_at", "id", postgresql_where=text("status = 'filed'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    teacher_id: Mapped[UUID] = mapped_column(ForeignKey("teacher.id"))
    name: Mapped[str]
    subject: Mapped[str]
    mode: Mapped[str] = mapped_column(server_default="onsite")
    price_fen: Mapped[int]
    """Of all lessons together, as it is charged."""
    listed_price_fen: Mapped[int]
    """The same as it is posted (公示价): nobody pays more."""
    lesson_count: Mapped[int] = mapped_column(Integer)
    lesson_minutes: Mapped[int] = mapped_column(Integer)
    """What is taught in each class session, breaks left out."""
    seats: Mapped[int] = mapped_column(Integer)
    """Also the class size (班额) that the band of the guide price goes by."""
    most_unpaid: Mapped[int] = mapped_column(Integer, server_default="2")
    """先学后付: with so many lessons taught and unpaid a child is not taught the next; 0 where the class is only paid in advance."""
    materials: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """教材清单, as filed."""
    campus_id: Mapped[UUID | None] = mapped_column(ForeignKey("campus.id"))
    room: Mapped[str | None]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    status: Mapped[str]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    """The officer; empty where the class was entered already approved."""
    decision_reason: Mapped[str | None]
    judged_by: Mapped[str | None]
    """The rule pack, id and version, that the filing was judged by; empty where the class is older than filing."""
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")


_PLACE = "coalesce(campus_id, institution_id)"


def _taken(whose: str) -> TextClause:
    """A range over whose and when: two overlap exactly where the same one is taken twice.

    `whose` begins with a hash, so that the tree over it stays flat in whichever order timetables are entered.
    """
    return text(f"bytea_range({whose} || timestamptz_send(starts_at), {whose} || timestamptz_send(ends_at))")


class ClassSession(Base):
    """课次: one meeting of a class. Scheduled → delivered | cancelled; a cancelled one is scheduled anew with its replacement (补课)."""

    __tablename__ = "class_session"
    __table_args__ = (
        UniqueConstraint("class_id", "number"),
        Check("ends_at > starts_at", name="times"),
        one_of("status", "scheduled", "delivered", "cancelled"),
        Check("(attended IS NOT NULL) = (status = 'delivered')", name="attended"),
        Index(None, "institution_id", "starts_at"),
        ExcludeConstraint(
            (_taken("int8send(uuid_hash_extended(teacher_id, 0)) || uuid_send(teacher_id)"), "&&"),
            name="ex_class_session_teacher",
            using="spgist",
            where=text("teacher_id IS NOT NULL AND status <> 'cancelled'"),
        ),
        ExcludeConstraint(
            (_taken(f"int8send(hashtextextended(CAST({_PLACE} AS text) || room, 0)) || uuid_send({_PLACE})"), "&&"),
            name="ex_class_session_room",
            using="spgist",
            where=text("room IS NOT NULL AND status <> 'cancelled'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[UUID] = mapped_column(ForeignKey("training_class.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    number: Mapped[int] = mapped_column(Integer)
    """Its name for people; after a move a higher number may come earlier."""
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    teacher_id: Mapped[UUID | None] = mapped_column(ForeignKey("teacher.id"))
    """Who teaches it; empty where the class is older than filing: the class's own teacher then."""
    campus_id: Mapped[UUID | None] = mapped_column(ForeignKey("campus.id"))
    room: Mapped[str | None]
    status: Mapped[str]
    delivered_at: Mapped[datetime | None]
    attended: Mapped[int | None] = mapped_column(Integer)
    """How many children came, once it is delivered."""


@event.listens_for(ClassSession.__table__, "before_create")
def _make_range(_: Any, connection: Connection, **__: Any) -> None:
    connection.execute(text("CREATE TYPE bytea_range AS RANGE (subtype = bytea, multirange_type_name = bytea_multirange)"))


class ClassSessionChange(Base):
    """调课: what an institution changed about a class session, and why, as parents read it. Rows are only ever added."""

    __tablename__ = "class_session_change"
    __table_args__ = (
        one_of("kind", "changed", "cancelled", "replaced"),
        Check(
            "(kind = 'cancelled') = (new_starts_at IS NULL) AND num_nulls(new_starts_at, new_ends_at, new_teacher_id) IN (0, 3)",
            name="result",
        ),
        Index(None, "class_session_id", "changed_at"),
        Index(None, "institution_id", "changed_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    class_session_id: Mapped[UUID] = mapped_column(ForeignKey("class_session.id"))
    institution_id: Mapped[UUID] = mapped_column(ForeignKey("institution.id"))
    kind: Mapped[str]
    old_starts_at: Mapped[datetime]
    old_ends_at: Mapped[datetime]
    old_teacher_id: Mapped[UUID] = mapped_column(ForeignKey("teacher.id"))
    old_campus_id: Mapped[UUID | None] = mapped_column(ForeignKey("campus.id"))
    old_room: Mapped[str | None]
    new_starts_at: Mapped[datetime | None]
    new_ends_at: Mapped[datetime | None]
    new_teacher_id: Mapped[UUID | None] = mapped_column(ForeignKey("teacher.id"))
    new_campus_id: Mapped[UUID | None] = mapped_column(ForeignKey("campus.id"))
    new_room: Mapped[str | None]
    judged_by: Mapped[str | None]
    """The rule pack, id and version, that the new time and place were judged by."""
    reason: Mapped[str]
    changed_by: Mapped[UUID]
    changed_at: Mapped[datetime]


class Guardian(Base):
    """监护人: the contracting party; found by the blind index of the phone. An erased one is a row without a person."""

    __tablename__ = "guardian"
    __table_args__ = (
        Check("(phone_enc IS NULL) = (erased_at IS NOT NULL) AND (phone_index IS NULL) = (erased_at IS NOT NULL)", name="erased"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    phone_index: Mapped[bytes | None] = mapped_column(unique=True)
    phone_enc: Mapped[bytes | None]
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]


class Student(Base):
    """学生库: only what is needed, a name, a month of birth and a stage. An erased one is a row without a person."""

    __tablename__ = "student"
    __table_args__ = (
        one_of("stage", "preschool", "primary", "middle", "high"),
        Check("(name_enc IS NULL) = (erased_at IS NOT NULL) AND (birth_month_enc IS NULL) = (erased_at IS NOT NULL)", name="erased"),
        Check("consent_version IS NULL OR (hidden_at IS NULL AND erased_at IS NULL)", name="consent"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name_enc: Mapped[bytes | None]
    birth_month_enc: Mapped[bytes | None]
    stage: Mapped[str | None]
    """What the guardian said; where they said nothing it follows from the month of birth."""
    consent_version: Mapped[str | None]
    """The text that every guardian's last word agrees to; empty where nobody has agreed, or somebody has withdrawn."""
    hidden_at: Mapped[datetime | None]
    """Since when a guardian's withdrawal stands: the child's data is shown to nobody but its family."""
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]


class Guardianship(Base):
    """Which guardian answers for which child, now."""

    __tablename__ = "guardianship"
    __table_args__ = (Index(None, "student_id"),)

    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"), primary_key=True)
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"), primary_key=True)
    since: Mapped[datetime]


class FormerGuardianship(Base):
    """Which guardian answered for which child, and until when; rows are only ever added."""

    __tablename__ = "former_guardianship"
    __table_args__ = (Index(None, "student_id"),)

    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"), primary_key=True)
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime]


class GuardianInvitation(Base):
    """A guardian asks another one to answer for a child too: by a code that they hand over, or by a phone. It can be taken once."""

    __tablename__ = "guardian_invitation"
    __table_args__ = (
        Check("num_nonnulls(code_hash, phone_index) = 1", name="way"),
        one_of("outcome", "accepted", "declined", "revoked"),
        Check("(outcome IS NULL) = (ended_at IS NULL)", name="ended"),
        Check("(outcome IS NOT DISTINCT FROM 'accepted') = (accepted_by IS NOT NULL)", name="accepted"),
        Index("ix_guardian_invitation_open_phone", "phone_index", postgresql_where=text("outcome IS NULL AND phone_index IS NOT NULL")),
        Index(None, "student_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    invited_by: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    code_hash: Mapped[bytes | None] = mapped_column(unique=True)
    phone_index: Mapped[bytes | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    outcome: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    accepted_by: Mapped[UUID | None] = mapped_column(ForeignKey("guardian.id"))


class Consent(Base):
    """单独同意: a guardian agrees to a version of the text about a child's data, or withdraws; rows are only ever added."""

    __tablename__ = "consent"
    __table_args__ = (
        one_of("act", "given", "withdrawn"),
        Check("length(text_sha256) = 32", name="text_sha256"),
        Index(None, "student_id", "at"),
        Index(None, "guardian_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    guardian_id: Mapped[UUID] = mapped_column(ForeignKey("guardian.id"))
    student_id: Mapped[UUID] = mapped_column(ForeignKey("student.id"))
    act: Mapped[str]
    version: Mapped[str]
    text_sha256: Mapped[bytes]
    at: Mapped[datetime]
