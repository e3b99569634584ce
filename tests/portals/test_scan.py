"""Is this code ours? Shown, pasted or photographed, and what happens with those that are not."""

from io import BytesIO

import httpx
import pytest
from PIL import Image

from app import ids
from app.payments import codes, qr
from app.payments.models import Payment
from app.portals.envelope import CONTENT_POLICY
from app.portals.public import decoding
from tests.portals.desks import Desks
from tests.portals.families import problem_of, shown
from tests.world import World

JSON = "/api/v1/public/scan"
WECHAT = "wxp://f2f0Zm9v"


@pytest.fixture
async def anybody(desks: Desks) -> httpx.AsyncClient:
    return await desks.anybody()


async def ordered(world: World) -> Payment:
    parent = await world.parent()
    return await world.order(parent, await world.sign(parent, await world.training_class(await world.institution())))


async def verdict(anybody: httpx.AsyncClient, content: str) -> tuple[str, bool, bool]:
    """Kind, ours, payable."""
    answer = await anybody.post(JSON, json={"content": content})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    return said["kind"], said["ours"], said["payable"]


def jpeg(text: str, size: tuple[int, int] = (1200, 900)) -> bytes:
    """A photo with a code in it, a little turned."""
    code = Image.open(BytesIO(qr.png(text))).convert("RGB").rotate(7, expand=True, fillcolor="white")
    photo = Image.new("RGB", size, "#8a8a70")
    photo.paste(code.resize((500, 500)), (300, 200))
    stream = BytesIO()
    photo.save(stream, "JPEG")
    return stream.getvalue()


def empty_png(width: int, height: int) -> bytes:
    stream = BytesIO()
    Image.new("1", (width, height), 1).save(stream, "PNG")
    return stream.getvalue()


async def test_codes_of_this_district_are_known(world: World, anybody: httpx.AsyncClient) -> None:
    payment = await ordered(world)
    code = codes.code_for(payment)
    for said in (code, codes.url_of(code), f"  {codes.url_of(code)}\n"):
        assert await verdict(anybody, said) == ("payment_code", True, True)
    assert (await anybody.post(JSON, json={"content": code})).json()["institution_name"] == "晨光艺术培训学校"
    assert await verdict(anybody, codes.district_url("510112")) == ("district_code", True, False)
    assert await verdict(anybody, "http://escrow.test/institutions") == ("own_page", True, False)


async def test_a_code_of_ours_that_has_ended_says_so(world: World, anybody: httpx.AsyncClient) -> None:
    payment = await ordered(world)
    await world.wait_until(payment.expires_at)
    answer = (await anybody.post(JSON, json={"content": codes.code_for(payment)})).json()
    assert (answer["ours"], answer["payable"]) == (True, False)
    assert "已过期" in answer["ended"]


async def test_the_banks_page_counts_only_as_we_had_it_opened(world: World, anybody: httpx.AsyncClient) -> None:
    payment = await ordered(world)
    collection = await world.learn_of(payment.payment_no)
    assert collection.cashier_url
    assert await verdict(anybody, collection.cashier_url) == ("cashier", True, True)
    opened = collection.cashier_url
    for changed in (opened + "0", opened.replace("http", "https"), f"https://evil.example/{payment.payment_no}"):
        assert await verdict(anybody, changed) == ("unknown", False, False)


async def test_filed_accounts_are_known_and_settlement_accounts_are_not_for_tuition(world: World, anybody: httpx.AsyncClient) -> None:
    institution = await world.institution()
    custody, settlement = [(await world.account(institution, role)).account_no for role in ("supervised", "settlement")]
    spaced = " ".join(custody[start : start + 4] for start in range(0, len(custody), 4))
    for written in (custody, spaced):
        assert await verdict(anybody, written) == ("custody_account", True, True)
    assert await verdict(anybody, settlement) == ("settlement_account", False, False)
    assert await verdict(anybody, "6222020000000000017") == ("unknown", False, False)


async def test_forgeries_and_look_alikes_are_not_ours(world: World, anybody: httpx.AsyncClient) -> None:
    code = codes.code_for(await ordered(world))
    invented = Payment(payment_no=ids.number("P", "510112"), nonce=codes.new_nonce())
    abroad = Payment(payment_no=ids.number("P", "110101"), nonce=codes.new_nonce())
    for text in (
        f"https://escrow.test/pay/{code}",
        f"http://escrow.test.evil.example/pay/{code}",
        f"http://escrow.test@evil.example/pay/{code}",
        f"http://evil.example/?next=http://escrow.test/pay/{code}",
        f"http://escrow.test:81/pay/{code}",
        f"http://escrow.test/pay/{code[:-1]}",
        "http://escrow.test/?district=110101",
        "http://[escrow.test/pay/",
        codes.url_for(invented),
        codes.url_for(abroad),
        "你好",
    ):
        assert await verdict(anybody, text) == ("unknown", False, False), text
    for wallet in (WECHAT, "https://qr.alipay.com/fkx123", "HTTPS://QR.ALIPAY.COM/FKX123"):
        assert await verdict(anybody, wallet) == ("personal_code", False, False)


@pytest.mark.parametrize(("content", "code"), [("\u0007", "scan.empty"), (" ", "scan.empty")])
async def test_nothing_is_no_code(anybody: httpx.AsyncClient, content: str, code: str) -> None:
    assert problem_of(await anybody.post(JSON, json={"content": content})) == (400, code)


async def test_a_picture_is_read(world: World, anybody: httpx.AsyncClient) -> None:
    payment = await ordered(world)
    for picture in (jpeg(codes.url_for(payment)), qr.png(codes.code_for(payment))):
        answer = await anybody.post(f"{JSON}/picture", files={"picture": ("x", picture)})
        assert [(item["kind"], item["payable"]) for item in answer.json()["items"]] == [("payment_code", True)]


async def test_several_codes_in_a_picture_are_each_judged(anybody: httpx.AsyncClient) -> None:
    sheet = Image.new("RGB", (1400, 700), "white")
    for number, text in enumerate((WECHAT, codes.district_url("510112"))):
        sheet.paste(Image.open(BytesIO(qr.png(text))).convert("RGB").resize((500, 500)), (100 + 650 * number, 100))
    stream = BytesIO()
    sheet.save(stream, "WEBP", lossless=True)
    answer = await anybody.post(f"{JSON}/picture", files={"picture": ("x", stream.getvalue())})
    assert {item["kind"] for item in answer.json()["items"]} == {"personal_code", "district_code"}


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (b"", "scan.no_picture"),
        (b"GIF89a is no picture", "scan.picture_invalid"),
        (jpeg("x")[:2000], "scan.picture_invalid"),
        (empty_png(300, 300), "scan.no_code"),
        (empty_png(9000, 5000), "scan.picture_too_large"),
        (b"\xff" * (decoding.MOST_BYTES + 1), "scan.picture_too_large"),
    ],
    ids=["empty", "no picture", "cut off", "no code", "bomb", "heavy"],
)
async def test_bad_pictures_are_refused_in_words(anybody: httpx.AsyncClient, picture: bytes, code: str) -> None:
    answer = await anybody.post(f"{JSON}/picture", files={"picture": ("x", picture)})
    assert problem_of(answer) == (400, code)
    assert "图片" in answer.json()["detail"]


async def test_far_too_much_is_not_even_read(anybody: httpx.AsyncClient) -> None:
    heavy = b"\xff" * (decoding.MOST_BYTES + 128 * 1024)
    assert problem_of(await anybody.post(f"{JSON}/picture", files={"picture": ("x", heavy)})) == (413, "request.too_large")


async def test_a_reader_that_hangs_or_dies_refuses_the_picture(anybody: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PATIENCE_SECONDS", 0.0)
    answer = await anybody.post(f"{JSON}/picture", files={"picture": ("x", qr.png("x"))})
    assert problem_of(answer) == (400, "scan.picture_invalid")


async def test_the_page_takes_text_and_pictures(world: World, anybody: httpx.AsyncClient) -> None:
    payment = await ordered(world)
    page = await anybody.get("/scan")
    assert page.headers["permissions-policy"].startswith("camera=(self)")
    assert page.headers["content-security-policy"] == CONTENT_POLICY
    said = shown((await anybody.post("/scan", data={"content": codes.url_for(payment)})).text)
    assert "备案监管账户的付款码" in said
    assert "请不要付款" not in said
    photographed = await anybody.post("/scan?district=510112", files={"picture": ("x.jpg", jpeg(WECHAT))}, data={"content": ""})
    assert "不是本区的码，请不要付款" in shown(photographed.text)
    assert "举报这个码" in photographed.text
    nothing = await anybody.post("/scan", data={"content": ""})
    assert (nothing.status_code, "请选择一张图片" in nothing.text) == (400, True)
    shown_back = (await anybody.post("/scan", data={"content": "<script>x</script>"})).text
    assert "<script>x" not in shown_back


async def test_elsewhere_there_is_no_camera(anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get("/")).headers["permissions-policy"].startswith("camera=()")


async def test_another_sites_form_is_refused(anybody: httpx.AsyncClient) -> None:
    for path in ("/scan", "/scan/report"):
        answer = await anybody.post(path, data={"content": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403


async def test_from_a_report_to_its_end(desks: Desks, anybody: httpx.AsyncClient) -> None:
    report = {"content": WECHAT, "place": "某培训点前台", "note": "老师要求扫这个码\n交学费"}
    thanked = await anybody.post("/scan/report", data=report)
    assert "监管部门会核查" in shown(thanked.text)
    again = await anybody.post(f"{JSON}/reports", json=report)
    assert again.status_code == 201
    officer = await desks.officer()
    (item,) = (await officer.get("/scan-reports"))["items"]
    assert (item["id"], item["content"], item["place"], item["note"]) == (
        again.json()["id"],
        WECHAT,
        "某培训点前台",
        "老师要求扫这个码 交学费",
    )
    page = await officer.page("/scan-reports")
    assert WECHAT in page
    assert f'href="{WECHAT}' not in page
    assert "举报已办结" in await officer.told(await officer.submit(f"/scan-reports/{item['id']}/handle", {"reason": "已责令撤除"}, page))
    assert (await officer.get("/scan-reports"))["items"] == []
    (handled,) = (await officer.get("/scan-reports", show="all"))["items"]
    assert (handled["status"], handled["answer"]) == ("handled", "已责令撤除")
    twice = await officer.post(f"/scan-reports/{item['id']}/handling", {"reason": "再办一次"})
    assert problem_of(twice) == (409, "scan.report_handled")
    assert problem_of(await officer.post("/scan-reports/x/handling", {"reason": "没有"})) == (404, "scan.report_not_found")


async def test_our_own_code_is_not_reported(world: World, anybody: httpx.AsyncClient) -> None:
    own = {"content": codes.district_url("510112")}
    assert problem_of(await anybody.post(f"{JSON}/reports", json=own)) == (422, "scan.ours")
    refused = await anybody.post("/scan/report", data=own)
    assert (refused.status_code, "不需要举报" in refused.text) == (422, True)


async def test_reports_have_an_end(anybody: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.supervision.scanning.MOST_IN_AN_HOUR", 2)
    for number in range(2):
        assert (await anybody.post(f"{JSON}/reports", json={"content": f"{WECHAT}{number}"})).status_code == 201
    assert problem_of(await anybody.post(f"{JSON}/reports", json={"content": f"{WECHAT}x"})) == (429, "scan.too_many_reports")
    long_note = {"content": WECHAT, "note": "长" * 501}
    assert problem_of(await anybody.post(f"{JSON}/reports", json=long_note)) == (422, "request.invalid")
