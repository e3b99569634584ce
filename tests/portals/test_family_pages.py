"""Pages about the family and its data, and the officers' look-up page."""

import sys
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import CapturingLogger

from app.contracts.models import Contract
from app.registry.models import Institution, Student
from app.security import Parent
from tests.portals.desks import Desk, Desks
from tests.portals.families import accepted, accepting, at_home, link, shown
from tests.world import World

CHILD = {"name": "欧阳小明", "birth_month": "2017-05"}


@pytest.fixture
async def other(world: World, desks: Desks) -> Desk:
    return await at_home(desks, await world.parent())


@pytest.fixture
async def child(world: World, parent: Parent) -> Student:
    return await world.child(parent, CHILD["name"])


@pytest.fixture
async def contract(world: World, parent: Parent, child: Student, institution: Institution) -> Contract:
    return await world.sign(parent, await world.training_class(institution), child)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every line that the service logs meanwhile."""
    lines: list[str] = []
    before = structlog.get_config()
    structlog.configure(processors=[lambda _, __, event: lines.append(str(event)) or event], logger_factory=lambda *_: CapturingLogger())
    for name, module in list(sys.modules.items()):
        # A logger that was used before keeps the configuration it was used with.
        if name.startswith("app.") and hasattr(module, "_log"):
            monkeypatch.setattr(module, "_log", structlog.get_logger())
    yield lines
    structlog.configure(**before)


async def test_a_child_is_entered_only_with_the_box_ticked(home: Desk) -> None:
    page = await home.page("/students")
    assert "告知与同意书" in page
    assert 'name="consent" value="1"' in page
    assert "checked" not in page.partition('name="consent"')[2][:60]
    answer = await home.submit("/students", CHILD)
    assert answer.status_code == 422
    assert "请先阅读并同意" in answer.text.partition('class="form-error"')[2][:120]
    children = await home.told(await home.submit("/students", CHILD | {"consent": "1", "stage": "high"}))
    assert "欧**明" in shown(children)
    assert "高中" in shown(children)
    assert "欧阳小明" not in children


async def test_a_childs_page_tells_and_corrects(home: Desk, child: Student) -> None:
    page = await home.page(f"/students/{child.id}")
    assert "欧**明" in shown(page)
    assert "欧阳小明" not in page
    wrong = await home.submit(f"/students/{child.id}", {"birth_month": "2999-01"})
    assert (wrong.status_code, "出生年月不能晚于" in wrong.text) == (400, True)
    right = await home.told(await home.submit(f"/students/{child.id}", {"name": "欧阳小红", "birth_month": "2016-01", "stage": "middle"}))
    assert "欧**红" in shown(right)
    assert "2016-01 出生 · 初中" in shown(right)


async def test_consent_is_withdrawn_and_given_again(home: Desk, child: Student) -> None:
    withdrawn = await home.told(await home.submit(f"/students/{child.id}/withdrawal", {}))
    assert "已撤回同意" in shown(withdrawn)
    assert "已撤回同意，不能签订新合同" in shown(await home.page("/students"))
    assert "请先阅读并同意" in shown(await home.told(await home.submit(f"/students/{child.id}/consent", {})))
    again = await home.told(await home.submit(f"/students/{child.id}/consent", {"consent": "1"}))
    assert "撤回后不再签订新合同" in shown(again)


async def test_enrolling_asks_for_the_consent_that_is_missing(world: World, home: Desk, child: Student, institution: Institution) -> None:
    await home.submit(f"/students/{child.id}/withdrawal", {})
    offered = await world.training_class(institution)
    path, form = f"/classes/{offered.id}/enrol", {"student_id": str(child.id)} | await accepting(home, offered.id)
    refused = await home.submit(path, form)
    assert (refused.status_code, "请先阅读并同意" in shown(refused.text)) == (422, True)
    assert "合同已签订" in shown(await home.told(await home.submit(path, form | {"consent": "1"})))


async def test_of_several_children_the_parent_chooses_who_joins(
    world: World, home: Desk, parent: Parent, child: Student, institution: Institution
) -> None:
    path = f"/classes/{(await world.training_class(institution)).id}/enrol"
    assert f'value="{child.id}" required checked' in await home.page(path)
    second = await world.child(parent, "王小红")
    page = await home.page(path)
    assert "checked" not in page.partition("<fieldset")[2].partition("</fieldset>")[0]
    refused = await home.submit(path, accepted(page))
    assert (refused.status_code, "请选择孩子" in refused.text) == (400, True)
    unread = await home.submit(path, {"student_id": str(second.id)})
    assert f'value="{second.id}" required checked' in unread.text, "who was chosen stays chosen"
    typed = await home.submit(path, {"student_id": "", "name": "王小刚"})
    assert 'value="new" checked' in typed.text


async def test_a_code_is_shown_once_and_makes_a_guardian(home: Desk, other: Desk, child: Student) -> None:
    made = await home.submit(f"/students/{child.id}/invitations", {"phone": ""})
    assert made.status_code == 200
    code = made.text.partition('class="invite-code number">')[2].partition("<")[0]
    assert len(code) == 14
    assert code not in await home.page(f"/students/{child.id}")
    looked = await other.submit("/invitations/look", {"code": code})
    assert "欧**明" in shown(looked.text)
    unticked = await other.submit("/invitations", {"code": code})
    assert (unticked.status_code, "请先阅读并同意" in shown(unticked.text)) == (422, True)
    joined = await other.told(await other.submit("/invitations", {"code": code, "consent": "1"}))
    assert "您已成为这个孩子的监护人" in shown(joined)
    assert "2 位" in shown(joined)
    wrong = await other.submit("/invitations/look", {"code": "AAAA-BBBB-CCCC"})
    assert (wrong.status_code, "邀请不存在" in wrong.text) == (404, True)
    left = await other.told(await other.submit(f"/students/{child.id}/leave", {}))
    assert "您已不再是这个孩子的监护人" in shown(left)


async def test_an_invitation_by_phone_waits_on_the_others_page(home: Desk, other: Desk, child: Student) -> None:
    phone = shown(await other.page("/privacy/data")).partition("手机号码")[2].split()[0]
    sent = await home.told(await home.submit(f"/students/{child.id}/invitations", {"phone": phone}))
    assert "邀请已发出" in shown(sent)
    assert phone.removeprefix("+86") not in sent
    for path in ("", "/students"):
        invitation = link(await other.page(path), "查看")
        assert invitation.startswith("/parent/invitations/")
    joined = await other.submit("/invitations", {"invitation_id": invitation.rpartition("/")[2], "consent": "1"})
    assert "您已成为" in shown(await other.told(joined))
    assert "欧阳小明" in await other.page("/privacy/data")


async def test_a_child_with_a_live_contract_is_not_erased(home: Desk, contract: Contract) -> None:
    refused = await home.told(await home.submit(f"/students/{contract.student_id}/leave", {}))
    assert "还有1 份未结束的合同" in shown(refused)


async def test_what_is_kept_can_be_read_and_taken(world: World, home: Desk, contract: Contract) -> None:
    data = await home.page("/privacy/data")
    assert "欧阳小明" in data
    assert contract.contract_no in data
    for suffix in ("json", "csv"):
        file = await home.browser.get(f"/parent/privacy/export.{suffix}")
        assert file.headers["content-disposition"].endswith(f'.{suffix}"')
        assert contract.contract_no in file.text


async def test_an_account_is_erased_and_signed_out(world: World, home: Desk, child: Student) -> None:
    assert "欧**明" in shown(await home.page("/privacy/erasure"))
    assert "请先勾选" in shown(await home.told(await home.submit("/privacy/erasure", {})))
    answer = await home.submit("/privacy/erasure", {"sure": "yes"})
    assert answer.headers["location"] == "/parent/sign-in"
    assert (await home.browser.get("/parent")).headers["location"].startswith("/parent/sign-in")


async def test_an_officer_sees_a_name_once_and_the_family_sees_the_officer(
    desks: Desks, home: Desk, contract: Contract, logged: list[str]
) -> None:
    officer = await desks.officer()
    found = await officer.page(f"/contracts?no={contract.contract_no}")
    assert "欧" not in shown(found)
    form = await officer.page(link(found, "申请实名查看").removeprefix("/supervision"))
    asked = {"contract_no": contract.contract_no, "shown": "both", "case_kind": "court", "case_no": "（2026）川 0112 民初 1 号"}
    refused = await officer.submit("/lookups", asked | {"reason": ""}, form)
    assert (refused.status_code, "欧阳小明" in refused.text) == (400, False)
    answer = await officer.submit("/lookups", asked | {"reason": "法院调取学生身份"}, form)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "欧阳小明" in shown(answer.text)
    assert "+86138" in shown(answer.text)
    later = await officer.page("/lookups")
    assert "法院调取学生身份" in shown(later)
    assert "欧阳小明" not in later
    seen = shown(await home.page("/privacy"))
    assert "监管人员 张* 查看了孩子的姓名、出生年月与监护人的手机号" in seen
    assert "司法协助 （2026）川 0112 民初 1 号：法院调取学生身份" in seen
    assert logged
    assert not [line for line in logged if "欧阳小明" in line or "13800" in line]


async def test_somebody_elses_child_has_no_page(home: Desk, other: Desk, child: Student) -> None:
    assert (await other.browser.get(f"/parent/students/{child.id}")).status_code == 404
    for path in ("", "/consent", "/withdrawal", "/leave", "/invitations"):
        assert (await other.submit(f"/students/{child.id}{path}", {"consent": "1", "name": "李四"})).status_code == 404
