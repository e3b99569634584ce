"""The register of teachers: certificates, employment, the mark of serving school teachers, photos, and who may teach what."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.audit import AuditEntry
from app.db import District
from app.errors import BadInput, Conflict, NotFound, Refused
from app.ids import uuid7
from app.registry import institution_queries as registry
from app.registry import photos, teachers
from app.registry.models import Institution, Teacher
from app.registry.teachers import Employment, check_may_teach, covers
from app.security import SupervisionStaff
from tests.world import World

ON = date(2026, 3, 3)
Mark = Callable[[AsyncSession, SupervisionStaff, UUID, bool, str], Awaitable[Teacher]]


def teacher(**changed: Any) -> Teacher:
    facts = {"certificate_subject": "数学", "certificate_to_on": None, "employed_from_on": None, "employed_to_on": None}
    return Teacher(**({"serving_school_teacher": False} | facts | changed))


@pytest.mark.parametrize(
    ("certificate", "subject", "covered"),
    [
        ("数学", "数学", True),
        ("数学", "初中数学", True),
        ("语文、数学", "小学数学", True),
        ("语文, 数学", "小学语文", True),
        ("小学全科", "英语", True),
        ("English", "english", True),
        ("数学", "物理", False),
        ("初中数学", "数学", False),
        ("文", "语文", False),
        ("", "数学", False),
        (None, "数学", False),
    ],
)
def test_what_a_certificate_covers(certificate: str | None, subject: str, covered: bool) -> None:
    assert covers(certificate, subject) is covered


@pytest.mark.parametrize(
    ("facts", "kind", "code"),
    [
        ({}, "subject", None),
        ({"certificate_to_on": ON, "employed_from_on": ON, "employed_to_on": ON}, "subject", None),
        ({"certificate_subject": "物理"}, "subject", "registry.certificate_uncovering"),
        ({"certificate_subject": None}, "subject", "registry.certificate_uncovering"),
        ({"certificate_subject": "物理"}, "arts", None),
        ({"certificate_to_on": ON - timedelta(days=1)}, "subject", "registry.certificate_expired"),
        ({"certificate_to_on": ON - timedelta(days=1)}, "arts", "registry.certificate_expired"),
        ({"employed_to_on": ON - timedelta(days=1)}, "arts", "registry.teacher_left"),
        ({"employed_from_on": ON + timedelta(days=1)}, "arts", "registry.teacher_left"),
        ({"serving_school_teacher": True}, "arts", "registry.teacher_serving"),
        ({"serving_school_teacher": True, "certificate_subject": None}, "subject", "registry.teacher_serving"),
    ],
)
def test_who_may_teach(facts: dict[str, Any], kind: str, code: str | None) -> None:
    if code is None:
        check_may_teach(teacher(**facts), "初中数学", kind, ON)
        return
    with pytest.raises(Refused) as refusal:
        check_may_teach(teacher(**facts), "初中数学", kind, ON)
    assert (refusal.value.code, refusal.value.facts["field"]) == (code, "teacher_id")


async def entered(world: World, institution: Institution, employment: Employment | None = None) -> Teacher:
    async with world.district.transaction() as session:
        return await teachers.create_teacher(session, institution.id, "李老师", "CERT-1", "数学", employment)


async def test_a_certificate_covers_what_is_taught_unless_said_otherwise(world: World) -> None:
    here, there = await world.institution(), await world.institution()
    assert (await entered(world, here)).certificate_subject == "数学"
    assert (await entered(world, there, Employment("数学", "物理"))).certificate_subject == "物理"


async def test_subject_training_says_what_a_certificate_covers(world: World, district: District) -> None:
    unsaid = Employment("数学", None)
    assert (await entered(world, await world.institution(), unsaid)).certificate_subject == "数学"
    of_subjects = await world.institution(kind="subject")
    with pytest.raises(BadInput) as refusal:
        await entered(world, of_subjects, unsaid)
    assert refusal.value.facts["field"] == "certificate_subject"
    row = await entered(world, of_subjects, Employment("数学", "小学数学"))
    with pytest.raises(BadInput) as refusal:
        async with district.transaction() as session:
            await teachers.edit_teacher(session, world.staff(of_subjects), row.id, unsaid)
    assert refusal.value.facts["field"] == "certificate_subject"
    async with district.reading() as session:
        assert (await registry.teacher(session, of_subjects.id, row.id)).certificate_subject == "小学数学"


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("certificate_to_on", {"certificate_to_on": -1}),
        ("certificate_to_on", {"certificate_to_on": 366 * 60}),
        ("employed_from_on", {"employed_from_on": 400}),
        ("employed_from_on", {"employed_from_on": -366 * 90}),
        ("employed_to_on", {"employed_from_on": 0, "employed_to_on": -1}),
        ("certificate_subject", {"certificate_subject": " "}),
        ("subject", {"subject": "数\n学"}),
    ],
)
async def test_an_unsound_teacher_is_refused_by_field(world: World, district: District, field: str, changed: dict[str, Any]) -> None:
    institution = await world.institution()
    values = {name: clock.today() + timedelta(days=value) if isinstance(value, int) else value for name, value in changed.items()}
    with pytest.raises(BadInput) as refusal:
        await entered(world, institution, replace(Employment("数学", "数学"), **values))
    assert refusal.value.facts["field"] == field
    async with district.reading() as session:
        assert await registry.teachers(session, institution.id) == []


async def test_an_entry_is_edited_by_its_own_institution_and_leaving_ends_it(world: World, district: District) -> None:
    institution, other = await world.institution(), await world.institution()
    row = await entered(world, institution)
    today = clock.today()
    wanted = Employment("数学", "数学、物理", today + timedelta(days=900), today - timedelta(days=30))
    with pytest.raises(NotFound):
        async with district.transaction() as session:
            await teachers.edit_teacher(session, world.staff(other), row.id, wanted)
    async with district.transaction() as session:
        await teachers.edit_teacher(session, world.staff(institution), row.id, wanted)
    async with district.transaction() as session:
        await teachers.leave(session, world.staff(institution), row.id, today - timedelta(days=1))
    with pytest.raises(BadInput):
        async with district.transaction() as session:
            await teachers.leave(session, world.staff(institution), row.id, today - timedelta(days=31))
    async with district.reading() as session:
        view = await registry.teacher(session, institution.id, row.id)
        assert await registry.teachers(session, institution.id, employed_on=today) == []
        assert len(await registry.teachers(session, institution.id, employed_on=today - timedelta(days=1))) == 1
        [edited] = await session.scalars(select(AuditEntry).where(AuditEntry.action == "registry.teacher_edited"))
    assert (view.certificate_subject, view.employed_to_on) == ("数学、物理", today - timedelta(days=1))
    assert edited.facts == {"changed": ["certificate_subject", "certificate_to_on", "employed_from_on"]}


@pytest.mark.parametrize(
    ("mark", "action", "fact"),
    [
        (teachers.mark_serving, "registry.serving_teacher_marked", "serving"),
        (teachers.mark_abroad, "registry.foreigner_abroad_marked", "abroad"),
    ],
)
async def test_an_officer_marks_who_may_not_teach(world: World, district: District, mark: Mark, action: str, fact: str) -> None:
    row, officer = await entered(world, await world.institution()), world.officer()
    for marked in (True, False):
        async with district.transaction() as session:
            await mark(session, officer, row.id, marked, "教育局名册")
        with pytest.raises(Conflict):
            async with district.transaction() as session:
                await mark(session, officer, row.id, marked, "再标一次")
    with pytest.raises(NotFound):
        async with district.transaction() as session:
            await mark(session, officer, uuid7(), True, "查无此人")
    async with district.reading() as session:
        told = await session.scalars(select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id))
        assert [(each.reason, each.facts) for each in told] == [("教育局名册", {fact: True}), ("教育局名册", {fact: False})]


def picture(size: tuple[int, int] = (1200, 1600), form: str = "JPEG", **options: Any) -> bytes:
    written = BytesIO()
    Image.effect_noise(size, 120).convert("RGB").save(written, form, **options)
    return written.getvalue()


@pytest.mark.parametrize("uploaded", [picture(), picture((40, 30)), picture((600, 800), "PNG"), picture((300, 2000))])
def test_a_photo_is_made_small_and_fits(uploaded: bytes) -> None:
    photo = photos.encode(uploaded)
    kept = Image.open(BytesIO(photo.content))
    assert len(photo.content) <= photos.MAX_BYTES
    assert (kept.format, kept.width <= 480, kept.height <= 640) == ("JPEG", True, True)


def test_nothing_but_the_picture_is_kept_of_a_photo() -> None:
    taken = Image.Exif()
    taken[0x9286] = "at home"
    noted = PngInfo()
    noted.add_text("Comment", "<script>alert(1)</script>")
    for uploaded in (picture(exif=taken), picture((200, 200), "PNG", pnginfo=noted)):
        kept = photos.encode(uploaded + b"<script>alert(1)</script>").content
        assert b"script" not in kept
        assert b"at home" not in kept
        assert not Image.open(BytesIO(kept)).getexif()


def test_a_photo_stands_upright_and_its_transparency_turns_white() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    upright = Image.open(BytesIO(photos.encode(picture((400, 200), exif=turned)).content))
    assert upright.size == (200, 400)
    clear = BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(clear, "PNG")
    white = Image.open(BytesIO(photos.encode(clear.getvalue()).content)).getpixel((10, 10))
    assert isinstance(white, tuple)
    assert min(white) > 250


@pytest.mark.parametrize(
    "uploaded",
    [
        b"",
        b"x" * (photos.MAX_UPLOAD_BYTES + 1),
        b"<svg onload='alert(1)'/>",
        b"GIF89a" + b"\0" * 100,
        picture()[:5000],
        picture((200, 200), "BMP"),
        picture((5001, 5000), "PNG", compress_level=1)[:100_000],
    ],
    ids=["empty", "too long", "svg", "gif", "cut off", "bmp", "too many pixels"],
)
def test_what_is_no_picture_is_refused(uploaded: bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        photos.encode(uploaded)
    assert refusal.value.facts["field"] == "photo"


async def test_a_photo_is_set_replaced_and_removed(world: World, district: District) -> None:
    institution, other = await world.institution(), await world.institution()
    row, staff = await entered(world, institution), world.staff(institution)
    for photo in (photos.encode(picture((50, 50))), photos.encode(picture((60, 60)))):
        with pytest.raises(NotFound):
            async with district.transaction() as session:
                await teachers.set_photo(session, world.staff(other), row.id, photo)
        async with district.transaction() as session:
            await teachers.set_photo(session, staff, row.id, photo)
        async with district.reading() as session:
            assert (await registry.photo(session, row.id)).content == photo.content
    async with district.transaction() as session:
        await teachers.remove_photo(session, staff, row.id)
    async with district.reading() as session:
        with pytest.raises(NotFound):
            await registry.photo(session, row.id)
