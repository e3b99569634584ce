"""JSON of the parent end: the whole story, its money once per key, and nobody else's rows."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.contracts.models import Contract
from app.ids import number
from app.portals import cashier
from app.registry.models import Institution
from app.security import Parent
from tests.portals.desks import Desk, Desks
from tests.portals.families import at_home, document, problem_of, scanned
from tests.world import World

NOBODY = "00000000-0000-7000-8000-000000000000"


async def made(call: Awaitable[Any]) -> Any:
    """What was created."""
    answer = await call
    assert answer.status_code == 201, answer.text
    return answer.json()


async def taught(world: World, institution: Institution, parent: Parent, delivered: int = 1) -> tuple[Contract, list[str]]:
    """A paid contract whose first lessons were delivered; the ids of all."""
    _, contract = await world.paid_contract(institution, parent)
    lessons = await world.lessons_of(contract)
    for lesson in lessons[:delivered]:
        await world.deliver(institution, lesson)
    return contract, [str(lesson.id) for lesson in lessons]


async def test_from_a_child_to_money_in_escrow(world: World, home: Desk, institution: Institution) -> None:
    offered = await world.training_class(institution, lessons=3, price_fen=10_000)
    child = await made(home.post("/students", {"name": "王小明", "birth_month": "2017-05", "consent": "1"}))
    assert (child["name"], child["birth_month"]) == ("王*明", "2017-05")
    assert (await home.get("/students"))["items"] == [child]
    wish = {"class_id": str(offered.id), "student_id": child["id"]} | await document(home, offered.id)
    contract = await made(home.post("/contracts", wish))
    assert (contract["status"], contract["amount_fen"], contract["escrow_fen"]) == ("created", 10_000, 0)
    assert contract["institution"] == {"id": str(institution.id), "name": institution.name}
    assert contract["class"] == {"id": str(offered.id), "name": "创意美术"}
    assert contract["student"] == {"id": child["id"], "name": "王*明"}
    assert [(lesson["number"], lesson["status"], lesson["price_fen"]) for lesson in contract["lessons"]] == [
        (1, "reserved", 3_334),
        (2, "reserved", 3_333),
        (3, "reserved", 3_333),
    ]
    assert {finding["rule"] for finding in contract["findings"] if finding["binding"]} >= {"charge.span", "charge.cap", "inst.list"}
    payment = await made(home.post(f"/contracts/{contract['id']}/payments", key="pay-1"))
    assert (payment["status"], payment["amount_fen"], payment["contract_id"]) == ("created", 10_000, contract["id"])
    followed = await home.get(f"/payments/{payment['payment_no']}")
    assert followed["cashier_url"].startswith(world.bank.url)
    await world.bank.pay(payment["payment_no"])
    await world.learn_of(payment["payment_no"])
    followed = await home.get(f"/payments/{payment['payment_no']}")
    assert (followed["status"], followed["order_status"], followed["receipts"]) == ("paid", "paid", [])
    assert followed["paid_at"].endswith("Z")
    paid = await home.get(f"/contracts/{contract['id']}")
    assert (paid["status"], paid["escrow_fen"]) == ("paid", 10_000)
    assert (await home.get("/contracts"))["items"] == [paid]
    assert [item["payment_no"] for item in (await home.get("/payments"))["items"]] == [payment["payment_no"]]


async def test_a_payments_code_is_a_picture_of_its_address(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    payment = await made(home.post(f"/contracts/{contract.id}/payments", key="pay-1"))
    assert payment["pay_url"].startswith("http://escrow.test/pay/")
    picture = await home.browser.get(payment["qr_png_url"])
    assert scanned(picture.content) == payment["pay_url"]
    assert "400" not in payment["pay_url"].rpartition("/")[2].split(".")[0][13:], "no amount stands in a code"


async def test_a_payment_is_opened_once_per_key_and_once_per_contract(
    world: World, home: Desk, parent: Parent, institution: Institution
) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    path = f"/contracts/{contract.id}/payments"
    assert problem_of(await home.post(path)) == (400, "idempotency.missing")
    first = await home.post(path, key="a")
    replayed, other_key = await home.post(path, key="a"), await home.post(path, key="b")
    assert (replayed.content, replayed.headers["idempotent-replayed"]) == (first.content, "true")
    assert other_key.json()["payment_no"] == first.json()["payment_no"]
    other = await world.sign(parent, await world.training_class(institution))
    assert problem_of(await home.post(f"/contracts/{other.id}/payments", key="a")) == (422, "idempotency.other_request")
    assert problem_of(await home.post("/refunds", {"contract_id": str(contract.id), "reason": "x"}, key="a"))[0] == 422


async def test_a_bank_that_is_away_keeps_nobody_from_an_answer(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    await world.bank.knob("down", times=None)
    payment = await made(home.post(f"/contracts/{contract.id}/payments", key="a"))
    assert payment["status"] == "created"
    followed = await home.get(f"/payments/{payment['payment_no']}")
    assert (followed["order_status"], followed["cashier_url"]) == ("created", None)
    await world.bank.clear_knobs()
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert (await home.get(f"/payments/{payment['payment_no']}"))["cashier_url"]


async def test_a_bank_that_hangs_is_not_waited_for(
    world: World, home: Desk, parent: Parent, institution: Institution, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    monkeypatch.setattr(cashier, "PATIENCE_SECONDS", 0.2)
    await world.bank.knob("timeout_after", "collect", seconds=30)
    payment = await made(home.post(f"/contracts/{contract.id}/payments", key="a"))
    assert (await home.get(f"/payments/{payment['payment_no']}"))["order_status"] == "created"
    await world.wait(timedelta(minutes=1))
    await world.work()
    assert (await home.get(f"/payments/{payment['payment_no']}"))["order_status"] == "opened"


async def test_money_that_came_twice_is_seen_on_its_way_back(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    payment = await world.order(parent, contract)
    await world.bank.pay(payment.payment_no)
    await world.bank.pay(payment.payment_no)
    await world.learn_of(payment.payment_no)
    (receipt,) = (await home.get(f"/payments/{payment.payment_no}"))["receipts"]
    assert (receipt["outcome"], receipt["amount_fen"], receipt["return_status"]) == ("second", 40_000, None)
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()
    (receipt,) = (await home.get(f"/payments/{payment.payment_no}"))["receipts"]
    assert receipt["return_status"] == "settled"
    assert receipt["returned_at"]


async def test_confirming_pays_the_institution_lesson_by_lesson(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, lessons = await taught(world, institution, parent, delivered=2)
    waiting = await home.get("/lessons", status="delivered")
    assert [(item["id"], item["contract_id"]) for item in waiting["items"]] == [(lesson, str(contract.id)) for lesson in lessons[:2]]
    strange = str(uuid4())
    answer = await home.post("/confirmations", {"lesson_ids": [lessons[0], lessons[2], strange]}, key="a")
    assert answer.status_code == 200
    assert [(each["lesson_id"], each["outcome"], each["released_fen"]) for each in answer.json()["items"]] == [
        (lessons[0], "confirmed", 10_000),
        (lessons[2], "not_delivered", 0),
        (strange, "not_found", 0),
    ]
    again = await home.post("/confirmations", {"lesson_ids": [lessons[0]]}, key="b")
    assert [(each["outcome"], each["released_fen"]) for each in again.json()["items"]] == [("already_confirmed", 0)]
    assert (await home.get(f"/contracts/{contract.id}"))["escrow_fen"] == 30_000
    assert await world.totals(institution) == {"cash": 40_000, "escrow": 30_000, "payable": 10_000}


async def test_the_same_confirmation_many_times_at_once_releases_once(
    world: World, home: Desk, parent: Parent, institution: Institution
) -> None:
    _, lessons = await taught(world, institution, parent)
    body = {"lesson_ids": lessons[:1]}
    answers = await asyncio.gather(*(home.post("/confirmations", body, key="same") for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    others = await asyncio.gather(*(home.post("/confirmations", body, key=f"key-{each}") for each in range(10)))
    assert sum(item["released_fen"] for answer in others for item in answer.json()["items"]) == 0
    assert (await world.totals(institution))["payable"] == 10_000


async def test_a_disputed_lesson_stops_alone(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, lessons = await taught(world, institution, parent, delivered=2)
    answer = await home.post(f"/lessons/{lessons[0]}/dispute", {"reason": "孩子没有上课"})
    assert (answer.status_code, answer.json()["status"]) == (200, "disputed")
    assert problem_of(await home.post(f"/lessons/{lessons[0]}/dispute", {"reason": "再说一次"})) == (409, "lessons.already_disputed")
    assert problem_of(await home.post(f"/lessons/{lessons[2]}/dispute", {"reason": "还没上"})) == (409, "lessons.not_delivered")
    outcomes = (await home.post("/confirmations", {"lesson_ids": lessons[:2]}, key="a")).json()["items"]
    assert [each["outcome"] for each in outcomes] == ["disputed", "confirmed"]
    assert (await home.get(f"/contracts/{contract.id}"))["escrow_fen"] == 30_000


async def test_the_rest_goes_back_once(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract, lessons = await taught(world, institution, parent)
    body = {"contract_id": str(contract.id), "reason": "搬家"}
    assert problem_of(await home.post("/refunds", body)) == (400, "idempotency.missing")
    refund = await made(home.post("/refunds", body, key="a"))
    assert (refund["amount_fen"], refund["status"], len(refund["lines"])) == (30_000, "cleared", 3)
    assert refund["finding"]["rule"] == "refund.untaught"
    assert (await home.post("/refunds", body, key="a")).json() == refund
    assert problem_of(await home.post("/refunds", body, key="b")) == (422, "refunds.nothing_left")
    await world.work()
    await world.wait(timedelta(minutes=1))
    await world.work()
    (listed,) = (await home.get("/refunds"))["items"]
    assert (listed["refund_no"], listed["status"]) == (refund["refund_no"], "settled")
    assert await home.get(f"/refunds/{refund['refund_no']}") == listed
    assert await world.totals(institution) == {"cash": 10_000, "escrow": 10_000}
    assert (await home.get(f"/contracts/{contract.id}"))["lessons"][0]["id"] == lessons[0]


async def test_an_unpaid_contract_has_nothing_to_give_back(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    contract = await world.sign(parent, await world.training_class(institution))
    body = {"contract_id": str(contract.id), "reason": "不想上了"}
    assert problem_of(await home.post("/refunds", body, key="a")) == (422, "refunds.not_paid")


async def test_a_sale_against_the_rules_names_its_source(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    dear = await world.training_class(institution, price_fen=500_001)
    child = await world.child(parent)
    answer = await home.post("/contracts", {"class_id": str(dear.id), "student_id": str(child.id)} | await document(home, dear.id))
    assert problem_of(answer) == (422, "contracts.rule")
    (finding,) = answer.json()["findings"]
    assert (finding["rule"], finding["passed"], finding["value"], finding["limit"]) == ("charge.cap", False, 500_001, 500_000)
    assert finding["source"]


async def test_lists_go_page_by_page(world: World, home: Desk, parent: Parent, institution: Institution) -> None:
    child = await world.child(parent)
    for _ in range(3):
        await world.sign(parent, await world.training_class(institution, lessons=1), child)
    for path, count in (("/contracts", 3), ("/lessons", 3)):
        seen, cursor = [], None
        while True:
            page = await home.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == count


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/students", {"name": "", "birth_month": "2017-05"}, (422, "request.invalid")),
        ("/students", {"name": "王小明", "birth_month": "2017-13", "consent": "1"}, (400, "registry.birth_month_invalid")),
        ("/students", {"name": "王\u200b小明", "birth_month": "2017-05", "consent": "1"}, (400, "registry.name_invalid")),
        ("/students", {"name": "王小明", "birth_month": "2017-05"}, (422, "registry.consent_needed")),
        ("/students", {"name": "王小明", "birth_month": "2017-05", "consent": "0"}, (422, "registry.consent_needed")),
        ("/students", {"name": "王小明", "birth_month": "2017-05", "consent": "1", "stage": "college"}, (422, "request.invalid")),
        (f"/students/{NOBODY}/invitations", {}, (404, "registry.student_not_found")),
        (f"/students/{NOBODY}/consent", {"consent": "1"}, (404, "registry.student_not_found")),
        ("/invitations/acceptance", {"code": "AAAA-BBBB-CCCC", "consent": "1"}, (404, "registry.invitation_not_found")),
        ("/invitations/acceptance", {"consent": "1"}, (422, "request.invalid")),
        ("/contracts", {"class_id": "x", "student_id": "y"}, (422, "request.invalid")),
        ("/contracts", {}, (422, "request.invalid")),
        ("/confirmations", {"lesson_ids": []}, (422, "request.invalid")),
        ("/confirmations", {"lesson_ids": ["x"]}, (422, "request.invalid")),
        ("/confirmations", {"lesson_ids": [NOBODY] * 101}, (422, "request.invalid")),
        ("/refunds", {"contract_id": NOBODY, "reason": " "}, (422, "request.invalid")),
        ("/refunds", {"contract_id": NOBODY, "reason": "搬家"}, (404, "contracts.not_found")),
        (f"/lessons/{NOBODY}/dispute", {"reason": "没上"}, (404, "lessons.not_found")),
        ("/lessons/x/dispute", {"reason": "没上"}, (404, "lessons.not_found")),
        (f"/contracts/{NOBODY}/payments", None, (404, "contracts.not_found")),
    ],
)
async def test_bad_input_changes_nothing(home: Desk, path: str, body: Any, expected: tuple[int, str]) -> None:
    assert problem_of(await home.post(path, body, key="a")) == expected


async def test_somebody_elses_rows_and_absent_ones_are_the_same(
    world: World, desks: Desks, home: Desk, parent: Parent, institution: Institution
) -> None:
    contract, lessons = await taught(world, institution, parent)
    payment_no = (await home.get("/payments"))["items"][0]["payment_no"]
    refund_no = (await made(home.post("/refunds", {"contract_id": str(contract.id), "reason": "搬家"}, key="a")))["refund_no"]
    child = (await home.get("/students"))["items"][0]["id"]
    other = await at_home(desks, await world.parent())
    offered = await world.training_class(institution)

    async def refused(call: Callable[[str], Awaitable[Any]], own: str, absent: str) -> None:
        theirs, nobodys = await call(own), await call(absent)
        assert theirs.status_code == 404
        assert problem_of(theirs) == problem_of(nobodys)

    absent_id = str(uuid4())
    await refused(lambda x: other.api.get(f"/api/v1/parent/contracts/{x}"), str(contract.id), absent_id)
    await refused(lambda x: other.api.get(f"/api/v1/parent/contracts/{x}/document"), str(contract.id), absent_id)
    await refused(lambda x: other.api.get(f"/api/v1/parent/contracts/{x}/document.pdf"), str(contract.id), absent_id)
    await refused(lambda x: other.api.get(f"/api/v1/parent/payments/{x}"), payment_no, number("P", "510112"))
    await refused(lambda x: other.api.get(f"/api/v1/parent/refunds/{x}"), refund_no, number("R", "510112"))
    await refused(lambda x: other.post(f"/contracts/{x}/payments", key=f"p-{x}"), str(contract.id), absent_id)
    await refused(lambda x: other.post(f"/lessons/{x}/dispute", {"reason": "没上"}), lessons[0], absent_id)
    await refused(lambda x: other.post("/refunds", {"contract_id": x, "reason": "搬家"}, key=f"r-{x}"), str(contract.id), absent_id)
    read = await document(other, offered.id)
    await refused(lambda x: other.post("/contracts", {"class_id": str(offered.id), "student_id": x} | read), child, absent_id)
    items = (await other.post("/confirmations", {"lesson_ids": [lessons[0], absent_id]}, key="c")).json()["items"]
    assert [item["outcome"] for item in items] == ["not_found", "not_found"]
    for path in ("/students", "/contracts", "/payments", "/lessons", "/refunds"):
        assert (await other.get(path)) == {"items": [], "next_cursor": None}


async def test_only_parents_come_in(desks: Desks, institution: Institution) -> None:
    anybody, staff = await desks.anybody(), await desks.institution(institution)
    assert problem_of(await anybody.get("/api/v1/parent/contracts")) == (401, "auth.required")
    assert problem_of(await staff.api.get("/api/v1/parent/contracts")) == (403, "auth.wrong_role")
