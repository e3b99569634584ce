"""The contract's text: the same facts give the same words, what changes them is noticed, and nobody changes them afterwards."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

import jinja2
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from app import clock, crypto
from app.contracts import accepting, document, service
from app.contracts.accepting import DocumentView
from app.contracts.document import Agreement
from app.contracts.models import Contract, ContractDocument, ContractText
from app.contracts.rules import OfferedLesson, once, sold
from app.contracts.terms import ChargeTerms, Terms
from app.db import District
from app.errors import Conflict, NotFound
from app.policy.packs import Pack, pack_for
from app.privacy import leaving
from app.refunds import service as refunds
from app.registry.models import Campus, Institution, Teacher, TrainingClass
from app.security import Parent
from tests.locality import stating
from tests.school import LESSON_FEN, School, found_school
from tests.world import World, in_utc

NEVER_CHANGED = "EL009"
HOUR = timedelta(hours=1)
SIGNED_ON = date(2026, 3, 3)


@pytest.fixture
async def school(world: World) -> School:
    return await found_school(world)


@pytest.fixture
def agreement() -> Agreement:
    """A class of four lessons on four mornings, all of it, paid at once."""
    first = in_utc(2026, 3, 3, 2)
    lessons = [OfferedLesson(UUID(int=n), n, starts_at, starts_at + HOUR, LESSON_FEN) for n, starts_at in enumerate(_daily(first, 4), 1)]
    return Agreement(
        institution=Institution(
            name="晨光艺术培训学校",
            kind="arts",
            credit_code="52510112MJQ000001X",
            address="驿都大道 1 号",
            licence_no="教民0000001号",
            licence_issuer="龙泉驿区教育局",
            licence_to_on=date(2030, 12, 31),
            legal_representative="赵法人",
        ),
        training_class=TrainingClass(
            name="创意美术", subject="美术", mode="onsite", seats=20, lesson_minutes=60, most_unpaid=2, materials=["画册"]
        ),
        teacher=Teacher(name="李老师", certificate_no="CERT1"),
        campus=None,
        holder="晨光艺术培训学校",
        account_no="62280000000001",
        way="once",
        charges=sold(lessons, once(lessons, SIGNED_ON), SIGNED_ON),
        pack=pack_for("510112", SIGNED_ON),
    )


def _daily(first: datetime, count: int) -> list[datetime]:
    return [first + timedelta(days=day) for day in range(count)]


async def read(district: District, contract: Contract) -> DocumentView:
    async with district.reading() as session:
        view = await accepting.document_of(session, contract.guardian_id, contract.id)
    assert view is not None
    return view


async def sign_having_read(world: World, training_class: TrainingClass, sha256: bytes, terms: Terms | None = None) -> Contract:
    parent = await world.parent()
    child = await world.child(parent)
    async with world.district.transaction() as session:
        return await service.sign(session, parent, training_class.id, child.id, terms, sha256)


async def offered(world: World, training_class: TrainingClass, terms: Terms | None = None) -> document.Wording:
    async with world.district.reading() as session:
        return await accepting.offered(session, training_class.id, terms)


def test_the_same_facts_give_the_same_text(agreement: Agreement) -> None:
    wording = document.wording_of(agreement)
    assert document.wording_of(replace(agreement)) == wording
    assert wording.sha256 == hashlib.sha256(wording.text.encode()).digest()
    institution, teacher = agreement.institution, agreement.teacher
    for fact in (institution.name, institution.credit_code, institution.licence_no, teacher.name, teacher.certificate_no, "创意美术"):
        assert str(fact) in wording.text
    assert "购买 4 课时，价款合计 ¥400.00" in wording.text
    assert "第 1 课时　2026-03-03 10:00–11:00　¥100.00" in wording.text
    assert "户名 晨光艺术培训学校，账号 62280000000001。" in wording.text
    assert "None" not in wording.text


@pytest.mark.parametrize(
    ("otherwise", "said"),
    [
        (lambda a: replace(a, account_no="62280000999999"), "账号 62280000999999。"),
        (lambda a: replace(a, teacher=Teacher(name="张老师", certificate_no="X1")), "张老师，教师资格证书 X1"),
        (lambda a: replace(a, campus=Campus(name="东校区", address="驿都大道 8 号")), "东校区 驿都大道 8 号"),
        (lambda a: replace(a, charges=[replace(a.charges[0], lessons=a.charges[0].lessons[:3])]), "购买 3 课时，价款合计 ¥300.00"),
        (lambda a: replace(a, way="later"), "没有付款的课时达到 2 个时"),
    ],
)
def test_another_fact_gives_another_text(agreement: Agreement, otherwise: Callable[[Agreement], Agreement], said: str) -> None:
    before, after = document.wording_of(agreement), document.wording_of(otherwise(agreement))
    assert said in after.text
    assert before.sha256 != after.sha256


def test_charges_stand_with_their_lessons_and_days(agreement: Agreement) -> None:
    lessons = agreement.charges[0].lessons
    parts = Terms("parts", (ChargeTerms(3, 30_000, date(2026, 3, 3)), ChargeTerms(1, 10_000, date(2026, 3, 5))))
    said = document.wording_of(replace(agreement, way="parts", charges=sold(lessons, parts, date(2026, 3, 3)))).text
    assert "第 1 次　第 1 至 3 课时　¥300.00　签订后 30 分钟内" in said
    assert "第 2 次　第 4 至 4 课时　¥100.00　2026-03-05 起" in said


def test_what_the_locality_states_stands_in_its_words(agreement: Agreement) -> None:
    chengdu = document.wording_of(agreement).text
    assert "开课前申请的，全额退还，在 5 日内办结" in chengdu
    assert "确认后划拨立即生效" in chengdu
    elsewhere: Pack = stating(agreement.pack, "release.final_after_hours", limits={"hour": 48})
    said = document.wording_of(replace(agreement, pack=elsewhere)).text
    assert "确认后 48 小时内，乙方仍可对该课时提出异议" in said
    unsure = stating(agreement.pack, "refund.before", grade="D")
    assert "在 5 日内办结" not in document.wording_of(replace(agreement, pack=unsure)).text, "a draft is no law"


def test_a_seat_that_is_held_for_a_later_day_says_until_when(agreement: Agreement) -> None:
    pays_by = in_utc(2026, 3, 2, 16)
    held = replace(agreement, pays_by=pays_by, charges=[replace(agreement.charges[0], opens_on=date(2026, 3, 2))])
    said = document.wording_of(held).text
    assert "签订时不付款，自 2026-03-02 起可以支付，乙方在 2026-03-03 00:00:00 前支付" in said
    assert "2026-03-02 之前可以随时放弃名额" in said
    assert "30 分钟" not in said


async def test_what_was_read_is_what_is_kept(world: World, school: School, district: District) -> None:
    wording = await offered(world, school.training_class)
    contract = await sign_having_read(world, school.training_class, wording.sha256)
    view = await read(district, contract)
    assert view.text.startswith(wording.text)
    assert view.sha256 == hashlib.sha256(view.text.encode()).digest()
    for fact in (contract.contract_no, "学员：王小明", "138****", wording.sha256.hex(), contract.judged_by):
        assert fact in view.text.removeprefix(wording.text)
    assert (view.accepted_at, view.whole) == (contract.created_at, True)
    async with district.reading() as session:
        kept = await session.get_one(ContractDocument, contract.id)
        clear = await session.get_one(ContractText, wording.sha256)
    assert "王小明".encode() not in (kept.parties_enc or b"") + clear.text.encode()


async def test_a_changed_offer_is_read_again(world: World, school: School, district: District) -> None:
    before = await offered(world, school.training_class)
    await world.wait(timedelta(days=1))
    with pytest.raises(Conflict) as changed:
        await sign_having_read(world, school.training_class, before.sha256)
    assert changed.value.code == "contracts.document_changed"
    assert "购买 3 课时" in changed.value.facts["text"]
    await sign_having_read(world, school.training_class, bytes.fromhex(changed.value.facts["sha256"]))
    async with district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Contract)) == 1


async def test_terms_are_part_of_what_is_read(world: World, school: School) -> None:
    shorter = Terms("once", (ChargeTerms(2, 2 * LESSON_FEN, clock.today()),))
    whole, part = await offered(world, school.training_class), await offered(world, school.training_class, shorter)
    with pytest.raises(Conflict, match=r"contracts\.document_changed"):
        await sign_having_read(world, school.training_class, whole.sha256, shorter)
    await sign_having_read(world, school.training_class, part.sha256, shorter)


async def test_a_new_wording_leaves_what_was_accepted(school: School, district: District, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = (await school.sign()).contract
    before = await read(district, contract)
    texts = {"next.txt": "校外培训服务合同 {{ template }}", "next-parties.txt": "学员：{{ student_name }}"}
    monkeypatch.setattr(document, "CURRENT", "next")
    monkeypatch.setattr(document, "_environment", document._environment.overlay(loader=jinja2.DictLoader(texts)))
    after = await read(district, (await school.sign()).contract)
    assert (after.template, after.text) == ("next", "校外培训服务合同 next学员：王小明")
    assert await read(district, contract) == before


async def test_families_with_the_same_terms_share_their_text(world: World, school: School, district: District) -> None:
    families = await asyncio.gather(*(school.sign() for _ in range(5)))
    async with district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(ContractText)) == 1
    views = [await read(district, family.contract) for family in families]
    assert len({view.sha256 for view in views}) == len({view.text for view in views}) == 5


async def test_not_even_the_owner_changes_a_text(school: School, owner: District) -> None:
    await school.sign()
    for sql in (
        "UPDATE contract_text SET text = 'x'",
        "UPDATE contract_document SET sha256 = text_sha256",
        "UPDATE contract_document SET accepted_at = now()",
        "DELETE FROM contract_document",
        "TRUNCATE contract_document",
        "TRUNCATE contract_text CASCADE",
    ):
        with pytest.raises(DBAPIError) as refused:
            async with owner.transaction() as session:
                await session.execute(text(sql))
        assert getattr(refused.value.orig, "sqlstate", None) == NEVER_CHANGED, sql


async def test_lines_from_another_contract_are_noticed(school: School, owner: District, district: District) -> None:
    one, other = await school.sign(), await school.sign()
    swapped = text(
        "UPDATE contract_document SET parties_enc = (SELECT parties_enc FROM contract_document WHERE id = :other) WHERE id = :one"
    )
    async with owner.transaction() as session:
        await session.execute(swapped, {"one": one.contract.id, "other": other.contract.id})
    with pytest.raises(crypto.Unreadable):
        await read(district, one.contract)


async def test_only_the_family_reads_it(world: World, school: School, district: District) -> None:
    family = await school.sign()
    other, stranger = await school.second_guardian(family), await world.parent()
    async with district.reading() as session:
        shared = await accepting.document_of(session, other.guardian_id, family.contract.id)
        assert shared is not None
        with pytest.raises(NotFound):
            await accepting.document_of(session, stranger.guardian_id, family.contract.id)


async def settled(school: School) -> tuple[Parent, Contract]:
    """A family whose money is back, so that it may leave."""
    family = await school.enrol()
    async with school.world.district.transaction() as session:
        await refunds.request(session, family.parent, family.contract.id, "搬家")
    await school.world.work()
    await school.world.wait(timedelta(minutes=1))
    await school.world.work()
    return family.parent, family.contract


async def test_an_erasure_takes_the_parties_and_leaves_the_terms(world: World, school: School, district: District) -> None:
    parent, contract = await settled(school)
    stays = await school.sign()
    before = await read(district, contract)
    await world.wait(leaving.COMES_BACK_WITHIN)
    async with district.transaction() as session:
        await leaving.erase_account(session, parent)
    after = await read(district, contract)
    assert (after.whole, after.sha256) == (False, before.sha256)
    assert "已注销" in after.text
    assert "王小明" not in after.text
    assert "138****" not in after.text
    assert after.text.split("签署记录\n")[0] == before.text.split("签署记录\n")[0]
    assert (await read(district, stays.contract)).whole, "nobody else's"


async def test_nobody_is_forgotten_who_is_not_erased(school: School, district: District) -> None:
    family = await school.sign()
    async with district.transaction() as session:
        await accepting.forget(session, students=[family.student.id], guardians=[family.parent.guardian_id])
    assert (await read(district, family.contract)).whole


async def test_an_old_contract_has_no_text(school: School, owner: District, district: District) -> None:
    family = await school.sign()
    async with owner.transaction() as session:
        await session.execute(text("ALTER TABLE contract_document DISABLE TRIGGER append_only"))
        await session.execute(text("DELETE FROM contract_document"))
    async with district.reading() as session:
        assert await accepting.document_of(session, family.parent.guardian_id, family.contract.id) is None
