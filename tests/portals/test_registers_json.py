"""Registers of institutions and teachers in JSON: applying, deciding, changing, looking up, showing certificates."""

import asyncio
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
from PIL import Image
from sqlalchemy import func, select

from app import clock
from app.portals.envelope import LARGER_BODIES, MAX_BODY_BYTES
from app.registry.models import InstitutionApplication
from app.registry.rules import InstitutionDraft
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, problem_of
from tests.world import World

PUBLIC = "/api/v1/public"
PASSWORD = "correct horse battery"
SOON, FAR_OFF = [(clock.today() + timedelta(days=days)).isoformat() for days in (40, 4000)]


def filled_in(draft: InstitutionDraft, **changed: Any) -> dict[str, Any]:
    """A sound application for an institution."""
    assert draft.licence is not None
    licence = {"no": draft.licence.no, "issuer": draft.licence.issuer, "scope": draft.licence.scope}
    days = {"from_on": draft.licence.from_on.isoformat(), "to_on": draft.licence.to_on.isoformat()}
    return {
        "credit_code": draft.credit_code,
        "name": draft.name,
        "kind": draft.kind,
        "for_profit": False,
        "address": draft.address,
        "legal_representative": "赵法人",
        "licence": licence | days,
        "contact": {"name": "钱校长", "phone": "13900000001"},
        "supervised_no": draft.supervised_no,
        "settlement_no": draft.settlement_no,
        "username": "chenguang",
        "staff_name": "孙管理",
        "password": PASSWORD,
    } | changed


async def applied(desks: Desks, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    return await (await desks.anybody()).post(f"{PUBLIC}/applications", json=body, headers={"Idempotency-Key": key or uuid4().hex})


async def waiting(officer: Desk) -> dict[str, Any]:
    [found] = (await officer.get("/applications", status="applied"))["items"]
    return await officer.get(f"/applications/{found['id']}")


async def decide(desk: Desk, path: str, **body: Any) -> httpx.Response:
    return await desk.post(path, {"reason": "材料齐全"} | body, key=uuid4().hex)


async def test_from_the_application_to_the_first_sign_in(desks: Desks, world: World) -> None:
    draft, officer, public = await world.institution_draft(), await desks.officer(), await desks.anybody()
    lease = {"name": "东校区", "address": "东路 1 号", "lease_ends_on": FAR_OFF, "area_m2": 300}
    sent = await applied(desks, filled_in(draft, campuses=[lease]))
    assert (sent.status_code, sent.json()["status"], sent.json()["username"]) == (201, "applied", None)
    address = f"{PUBLIC}/applications/{sent.json()['application_no']}"
    seen = await waiting(officer)
    assert (seen["contact"]["phone"], seen["supervised_no"][4:8], seen["connection"]) == ("139****0001", "****", "mock")
    assert seen["campuses"] == [lease]
    assert PASSWORD not in str(seen)

    key = uuid4().hex
    approve = [await officer.post(f"/applications/{seen['id']}/approve", {"reason": "材料齐全"}, key=key) for _ in range(2)]
    assert [answer.status_code for answer in approve] == [200, 200]
    assert approve[0].json() == approve[1].json()
    institution_id = approve[0].json()["institution_id"]
    told = (await public.get(address)).json()
    assert (told["status"], told["decision_reason"], told["username"]) == ("approved", "材料齐全", "chenguang")
    signed_in = await public.post("/api/v1/auth/staff/session", json={"username": "chenguang", "password": PASSWORD})
    token = signed_in.json()["access_token"]
    entry = (await public.get("/api/v1/institution/profile", headers={"Authorization": f"Bearer {token}"})).json()
    assert (entry["id"], entry["licence"]["no"], entry["campuses"][0]["lease_ends_on"]) == (institution_id, draft.licence.no, FAR_OFF)  # type: ignore[union-attr]
    assert [account["role"] for account in entry["accounts"]] == ["supervised", "settlement"]
    assert (await public.get(f"{PUBLIC}/institutions/{institution_id}")).status_code == 200


async def test_an_application_sent_twice_under_its_key_is_one(desks: Desks, world: World) -> None:
    draft, public = await world.institution_draft(), await desks.anybody()
    body, key = filled_in(draft), uuid4().hex
    assert problem_of(await public.post(f"{PUBLIC}/applications", json=body)) == (400, "idempotency.missing")
    assert problem_of(await applied(desks, body | {"kind": "subject"}, key)) == (400, "registry.stage_invalid"), "the key stays free"
    first, second = [await applied(desks, body, key) for _ in range(2)]
    assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert problem_of(await applied(desks, body | {"name": "另一个名字"}, key)) == (422, "idempotency.other_request")
    async with world.district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(InstitutionApplication)) == 1


UNSOUND = (
    ({"credit_code": "91110000600037341M"}, 400, "registry.credit_code_invalid"),
    (
        {"licence": {"no": "1", "issuer": "x", "scope": "x", "from_on": "2019-01-01", "to_on": "2019-12-31"}},
        400,
        "registry.licence_to_on_invalid",
    ),
    ({"licence": {"no": "1", "issuer": "x", "scope": "x", "from_on": "2019-02-30", "to_on": FAR_OFF}}, 422, "request.invalid"),
    ({"contact": {"name": "钱", "phone": "12345"}}, 400, "registry.contact_phone_invalid"),
    ({"connection": "elsewhere"}, 400, "registry.connection_invalid"),
    ({"password": "short"}, 400, "staff.weak_password"),
    ({"username": "张"}, 400, "staff.username"),
    ({"username": "sample-x"}, 400, "registry.username_invalid"),
    ({"kind": "subject"}, 400, "registry.stage_invalid"),
    ({"kind": "astrology"}, 422, "request.invalid"),
    ({"for_profit": None}, 422, "request.invalid"),
    ({"campuses": [{"name": "东校区", "address": "东路", "area_m2": 0}]}, 422, "request.invalid"),
)


async def test_an_unsound_application_names_its_field_and_leaves_nothing(desks: Desks, world: World) -> None:
    draft = await world.institution_draft()
    for changed, status, code in UNSOUND:
        refused = await applied(desks, filled_in(draft, **changed))
        assert problem_of(refused) == (status, code), changed
        assert refused.json().get("field") or refused.json().get("fields"), changed
    async with world.district.reading() as session:
        assert await session.scalar(select(func.count()).select_from(InstitutionApplication)) == 0


async def test_accounts_that_are_not_the_institutions_keep_it_out(desks: Desks, world: World) -> None:
    officer, draft = await desks.officer(), await world.institution_draft()
    await applied(desks, filled_in(draft, name="另一个名字"))
    path = f"/applications/{(await waiting(officer))['id']}/approve"
    refused = await decide(officer, path)
    assert problem_of(refused) == (422, "banking.holder_differs")
    assert refused.json()["field"] == "supervised_no"
    await world.bank.knob("down", operation="check_holder")
    assert problem_of(await decide(officer, path)) == (503, "banking.silent")
    assert (await officer.get("/institutions"))["items"] == []
    assert (await decide(officer, path.replace("approve", "refuse"), reason="户名不符")).status_code == 200
    assert problem_of(await decide(officer, path)) == (409, "registry.application_decided")


async def test_two_officers_approve_one_application_at_once(desks: Desks, world: World) -> None:
    await applied(desks, filled_in(await world.institution_draft()))
    officers = [await desks.officer() for _ in range(2)]
    path = f"/applications/{(await waiting(officers[0]))['id']}/approve"
    answers = await asyncio.gather(*(decide(officer, path) for officer in officers))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len((await officers[0].get("/institutions"))["items"]) == 1


async def test_a_change_pauses_is_told_to_families_and_resumes(desks: Desks, world: World) -> None:
    institution = await world.institution()
    parent, _ = await world.paid_contract(institution)
    desk, officer, home = await desks.institution(institution), await desks.officer(), await at_home(desks, parent)
    asked = {"kind": "address", "new_value": "驿都大道 99 号", "reason": "搬迁"}
    key = uuid4().hex
    proposed = await desk.post("/profile/changes", asked, key=key)
    assert (proposed.status_code, proposed.json()["status"], proposed.json()["old_value"]) == (201, "proposed", institution.address)
    assert (await desk.post("/profile/changes", asked, key=key)).json() == proposed.json()
    assert problem_of(await desk.post("/profile/changes", asked, key=uuid4().hex)) == (409, "registry.change_waiting")
    [notice] = (await home.get("/notices"))["items"]
    assert (notice["institution_id"], notice["reason"]) == (str(institution.id), "变更地址，待监管部门核实")

    resume = f"/institutions/{institution.id}/resume"
    assert problem_of(await decide(officer, resume)) == (422, "registry.change_undecided")
    [change] = (await officer.get("/changes", status="proposed"))["items"]
    confirmed = await decide(officer, f"/changes/{change['id']}/confirm")
    assert (confirmed.status_code, confirmed.json()["address"]) == (200, "驿都大道 99 号")
    figures = (await decide(officer, resume)).json()
    held = {"escrow_fen": 40_000, "old_stock_fen": 0, "due_fen": 40_000, "reported_fen": 40_000}
    assert figures == {"institution_id": str(institution.id), **held, "coverage_bps": 10_000, "due_bps": 10_000}
    assert (await home.get("/notices"))["items"] == []
    assert problem_of(await decide(officer, resume)) == (409, "registry.sales_not_paused")


async def test_a_new_settlement_account_is_the_institutions_own(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk, officer = await desks.institution(institution), await desks.officer()
    await world.bank.open_account("6229888800000001", "别人", client="mock")
    asked = {"kind": "settlement_account", "new_value": "6229888800000001", "reason": "换账户"}
    assert (await desk.post("/profile/changes", asked, key=uuid4().hex)).json()["new_value"] == "6229****0001"
    [change] = (await officer.get("/changes", status="proposed"))["items"]
    assert problem_of(await decide(officer, f"/changes/{change['id']}/confirm")) == (422, "banking.holder_differs")
    assert (await decide(officer, f"/changes/{change['id']}/refuse")).status_code == 200
    accounts = (await desk.get("/profile"))["accounts"]
    assert [(account["role"], account["replaced_at"]) for account in accounts] == [("supervised", None), ("settlement", None)]


async def test_officers_keep_lists_checks_licence_status_and_pauses(desks: Desks, world: World) -> None:
    institution = await world.institution()
    officer, path = await desks.officer(), f"/institutions/{institution.id}"
    licence = {"no": "新证 1", "issuer": "教育局", "scope": "美术", "from_on": "2021-01-01", "to_on": FAR_OFF}
    await decide(officer, f"{path}/listing", listing="white")
    assert (await decide(officer, f"{path}/yearly-checks", year=2025, result="passed", note="合格")).status_code == 201
    renewed = await officer.api.put(
        f"/api/v1/supervision{path}/licence", json=licence | {"reason": "换证"}, headers={"Idempotency-Key": uuid4().hex}
    )
    assert renewed.json()["licence"] == licence
    await decide(officer, f"{path}/pause", reason="群众举报")
    recorded = await decide(officer, f"{path}/changes", kind="legal_representative", new_value="李法人", reason="企业登记系统")
    assert recorded.json()["sales_pause_reason"] == "群众举报；变更法定代表人，待监管部门核实"
    await decide(officer, f"{path}/status", status="suspended")
    entry = await officer.get(f"{path}/entry")
    assert (entry["status"], entry["listing"], entry["licence"]["no"]) == ("suspended", "white", "新证 1")
    assert [(check["year"], check["result"]) for check in entry["yearly_checks"]] == [(2025, "passed")]
    assert [each["kind"] for each in entry["changes"]] == ["legal_representative"]
    assert problem_of(await decide(officer, f"{path}/status", status="suspended")) == (409, "registry.status_refused")
    assert problem_of(await decide(officer, f"/institutions/{uuid4()}/pause")) == (404, "registry.institution_not_found")
    assert problem_of(await decide(officer, f"{path}/listing", listing="grey")) == (422, "request.invalid")
    assert problem_of(await decide(officer, f"{path}/yearly-checks", year=2999, result="passed", note="x"))[0] == 422
    looked = await officer.post(f"{path}/contact", {"reason": "核实举报"})
    assert looked.json()["name"] == "钱校长"
    assert entry["contact"]["name"] == "钱*长"


async def test_an_institution_keeps_its_campuses_and_contact(desks: Desks, world: World) -> None:
    institution, other = await world.institution(), await world.institution()
    desk, stranger = await desks.institution(institution), await desks.institution(other)
    made = (await desk.post("/profile/campuses", {"name": "东校区", "address": "东路 1 号"})).json()
    lease = f"/api/v1/institution/profile/campuses/{made['id']}/lease"
    assert (await desk.api.put(lease, json={"ends_on": FAR_OFF})).json()["lease_ends_on"] == FAR_OFF
    assert problem_of(await desk.api.put(lease, json={"ends_on": "2001-01-01"})) == (400, "registry.lease_ends_on_invalid")
    assert problem_of(await stranger.api.put(lease, json={"ends_on": None})) == (404, "registry.campus_not_found")
    assert problem_of(await desk.api.put(lease, json={"ends_on": None})) == (400, "registry.reason_invalid")
    assert (await desk.api.delete(lease.removesuffix("/lease"))).status_code == 204
    assert (await desk.api.put("/api/v1/institution/profile/contact", json={"name": "孙主任", "phone": "13800138000"})).status_code == 204
    entry = await desk.get("/profile")
    assert (len(entry["campuses"]), entry["contact"]) == (1, {"name": "孙*任", "phone": "138****8000"})


async def test_a_longer_lease_waits_for_an_officer_and_a_shorter_one_does_not(desks: Desks, world: World) -> None:
    institution = await world.institution()
    desk, officer = await desks.institution(institution), await desks.officer()
    [campus] = (await desk.get("/profile"))["campuses"]
    lease = f"/api/v1/institution/profile/campuses/{campus['id']}/lease"
    shorter = (await desk.api.put(lease, json={"ends_on": SOON})).json()
    assert (shorter["lease_ends_on"], shorter["change_id"]) == (SOON, None)
    longer = (await desk.api.put(lease, json={"ends_on": FAR_OFF, "reason": "续租"})).json()
    [change] = (await officer.get("/changes", status="proposed"))["items"]
    assert (longer["lease_ends_on"], longer["change_id"]) == (SOON, change["id"])
    assert (change["kind"], change["campus_id"], change["old_value"], change["new_value"]) == ("lease", campus["id"], SOON, FAR_OFF)
    assert problem_of(await desk.api.put(lease, json={"ends_on": None, "reason": "买下"})) == (409, "registry.change_waiting")
    confirmed = (await decide(officer, f"/changes/{change['id']}/confirm")).json()
    assert (confirmed["campuses"][0]["lease_ends_on"], confirmed["sales_paused_at"]) == (FAR_OFF, None)
    await desk.api.put(lease, json={"ends_on": None, "reason": "买下"})
    [change] = (await officer.get("/changes", status="proposed"))["items"]
    refused = (await decide(officer, f"/changes/{change['id']}/refuse")).json()
    assert (refused["campuses"][0]["lease_ends_on"], refused["changes"][0]["status"]) == (FAR_OFF, "refused")


def picture(size: tuple[int, int] = (400, 500)) -> bytes:
    written = BytesIO()
    Image.effect_noise(size, 100).convert("RGB").save(written, "JPEG", quality=95)
    return written.getvalue()


async def test_a_teachers_certificate_and_photo_are_shown_to_parents(desks: Desks, world: World) -> None:
    institution, other = await world.institution(), await world.institution()
    desk, stranger, public = await desks.institution(institution), await desks.institution(other), await desks.anybody()
    facts = {
        "name": "李老师",
        "certificate_no": "20251001",
        "subject": "数学",
        "certificate_subject": "数学、物理",
        "certificate_to_on": FAR_OFF,
    }
    made = (await desk.post("/teachers", facts)).json()
    path = f"/api/v1/institution/teachers/{made['id']}"
    upload = picture((1400, 1600))
    assert MAX_BODY_BYTES < len(upload) < LARGER_BODIES[0][1]
    assert problem_of(await stranger.api.put(f"{path}/photo", content=upload)) == (404, "registry.teacher_not_found")
    assert (await desk.api.put(f"{path}/photo", content=upload)).status_code == 204
    assert problem_of(await desk.api.put(f"{path}/photo", content=b"<svg/>")) == (400, "registry.photo_invalid")
    assert problem_of(await desk.api.put(f"{path}/photo", content=b"x" * 4_000_000)) == (413, "request.too_large")
    [shown] = (await public.get(f"{PUBLIC}/institutions/{institution.id}/teachers")).json()["items"]
    assert (shown["certificate_no"], shown["certificate_subject"], shown["has_photo"]) == ("20251001", "数学、物理", True)
    assert not {"serving_school_teacher", "foreigner_abroad"} & set(shown)
    photo = await public.get(f"{PUBLIC}/teachers/{made['id']}/photo.jpg")
    assert (photo.status_code, photo.headers["content-type"], photo.headers["x-content-type-options"]) == (200, "image/jpeg", "nosniff")
    assert len(photo.content) <= 204_800
    assert photo.content != upload
    assert (await desk.api.delete(f"{path}/photo")).status_code == 204
    assert (await public.get(f"{PUBLIC}/teachers/{made['id']}/photo.jpg")).status_code == 404

    gone = await desk.post(f"/teachers/{made['id']}/leave", {"last_on": "2020-01-01"})
    assert gone.json()["employed_to_on"] == "2020-01-01"
    assert (await public.get(f"{PUBLIC}/institutions/{institution.id}/teachers")).json()["items"] == []
    back = await desk.api.put(path, json={"subject": "物理", "certificate_subject": "物理"})
    assert (back.json()["employed_to_on"], back.json()["subject"]) == (None, "物理")
    assert problem_of(await stranger.api.put(path, json={"subject": "物理"})) == (404, "registry.teacher_not_found")

    officer = await desks.officer()
    marked = await decide(officer, f"/teachers/{made['id']}/serving", serving=True)
    assert marked.json()["serving_school_teacher"] is True
    abroad = await decide(officer, f"/teachers/{made['id']}/abroad", abroad=True)
    assert (abroad.json()["foreigner_abroad"], abroad.json()["serving_school_teacher"]) == (True, True)
    assert [each["id"] for each in (await officer.get(f"/institutions/{institution.id}/teachers"))["items"]] == [made["id"]]
