"""The story of one contract, played by four people against the running sample, and where every yuan of it went."""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from app.clock import SHANGHAI, business_date
from app.errors import NotFound
from app.money import yuan
from app.sample.people import Json, Person, Unexpected, get_image, pay_like_a_browser

PRICE_FEN, LESSONS = 480_000, 4
LESSON_FEN = PRICE_FEN // LESSONS
LOW_LINE_FEN = 10_000
"""The large-transfer line during the story: under any lesson's fee, so that the payout must be held."""
STARTS_IN, LASTS = timedelta(seconds=12), timedelta(seconds=2)
LATEST_END = clock_time(20, 30)
"""In Shanghai; a class may not meet any later, so the story then has a lesson marked that took place before."""
ALERT_SECONDS = 5.0
PAID_OUT = "paid_out"
ACCOUNTS = {
    "cash": "监管账户",
    "escrow": "家长的钱",
    "payable": "应付机构",
    "outgoing": "待转出",
    "suspense": "挂账",
    "shortfall": "缺口",
    PAID_OUT: "结算账户",
}
"""The accounts of a book, and what left it for the institution's settlement account."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays."""

    parent: Person
    institution: Person
    settlement: Person
    supervision: Person

    async def aclose(self) -> None:
        """Everybody leaves."""
        for person in (self.parent, self.institution, self.settlement, self.supervision):
            await person.aclose()


def may_meet_at(first: datetime, lasts: timedelta) -> bool:
    """Whether a class may meet from an instant on: it ends on the same business date, and not in the night."""
    starts, ends = first.astimezone(SHANGHAI), (first + lasts).astimezone(SHANGHAI)
    return starts.date() == ends.date() and ends.time() <= LATEST_END


def noon_after(instant: datetime) -> datetime:
    """Noon in Shanghai on the day after an instant's."""
    return datetime.combine(business_date(instant) + timedelta(days=1), clock_time(12), SHANGHAI)


async def play(folder: Path, console: Console, *, evening: bool = False) -> None:
    """Play the story, where wished as it goes in the evening.

    Raises Unexpected where something is not as it should be, NotFound `sample.not_running`.
    """
    path = folder / "demo.json"
    if not path.exists():
        raise NotFound("sample.not_running", f"找不到 {path}：请先运行 make run")
    facts: Json = json.loads(path.read_text(encoding="utf-8"))
    try:
        people = await _sign_in(facts)
    except httpx.ConnectError as cause:
        raise NotFound("sample.not_running", f"{facts['base_url']} 没有应答：请先运行 make run") from cause
    try:
        await Demo(facts, people, console, evening).play()
    finally:
        await people.aclose()


async def _sign_in(facts: Json) -> Cast:
    async def sign_in(path: str, credentials: Json) -> Person:
        return await Person.signed_in(facts["base_url"], facts["district"], path, credentials)

    parent = await sign_in("parent", facts["parent"])
    staff = [await sign_in("staff", facts["staff"][role]) for role in ("institution", "settlement", "supervision")]
    return Cast(parent, *staff)


class Demo:
    """One telling of the story."""

    def __init__(self, facts: Json, people: Cast, console: Console, evening: bool) -> None:
        self._base_url = facts["base_url"]
        self._district = facts["district"]
        self._people = people
        self._console = console
        self._first_at = datetime.now(UTC) + STARTS_IN
        self._evening = evening or not may_meet_at(self._first_at, LASTS)
        self._class: Json = {}
        self._lesson: Json = {}
        self._institution_id = ""
        self._contract: Json = {}
        self._book: list[tuple[str, dict[str, int]]] = []
        self._alerts: asyncio.Queue[tuple[float, Json]] = asyncio.Queue()

    async def play(self) -> None:
        """Enrol, pay, teach, confirm, settle, refund; then show the book after each act."""
        await self._open_class()
        await self._look("演示前")
        lines = await self._thresholds()
        watching = asyncio.create_task(self._watch())
        try:
            await self._set_line(lines, LOW_LINE_FEN)
            await self._enrol()
            await self._pay()
            await self._look("付款后")
            await self._teach()
            await self._confirm()
            await self._look("确认后")
            payout = await self._settle()
            await self._look("结算暂扣")
            await self._release(payout)
            await self._look("放行后")
            await self._refund()
            await self._look("退费后")
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await self._set_line(lines, lines["large_transfer_fen"])
        await self._reconcile()
        self._show(payout["amount_fen"])
        await self._say_what_waits()

    async def _open_class(self) -> None:
        """The institution files a class of a new teacher, and an officer approves it.

        Its first meeting is over in seconds, so that the story needs no waiting; in the evening it is tomorrow at noon.
        """
        first = noon_after(self._first_at) if self._evening else self._first_at
        starts = [first + timedelta(days=n) for n in range(LESSONS)]
        sessions = [{"starts_at": at.isoformat(), "ends_at": (at + LASTS).isoformat()} for at in starts]
        name = f"演示班 {self._first_at.astimezone(SHANGHAI):%m%d-%H%M%S}"
        teacher = {"name": "郑演示", "certificate_no": f"2023{self._first_at:%Y%m%d%H%M%S%f}", "subject": "演示"}
        teacher_id = (await self._people.institution.post("/institution/teachers", teacher))["id"]
        campus_id = (await self._people.institution.get("/institution/profile"))["campuses"][0]["id"]
        body = {"teacher_id": teacher_id, "campus_id": campus_id, "name": name, "subject": "演示", "price_fen": PRICE_FEN, "seats": 1}
        self._class = await self._people.institution.post("/institution/classes", body | {"sessions": sessions})
        begins = "明天中午开始" if self._evening else f"第一次课 {STARTS_IN.seconds} 秒后开始"
        self._say("机构", f"提交班课备案“{name}”：{LESSONS} 课时 {yuan(PRICE_FEN)}，{begins}")
        decided = await self._people.supervision.post(f"/supervision/classes/{self._class['id']}/approve", {"reason": "材料齐全，教师持证"})
        self._expect("备案结果", decided["status"], "opened")
        self._say("监管", "批准备案，家长可以报名")
        self._institution_id = (await self._people.parent.get(f"/public/classes/{self._class['id']}"))["institution_id"]

    async def _enrol(self) -> None:
        """The parent scans the district's code, finds the institution and the class, and signs for a child."""
        size = await get_image(f"{self._base_url}/qr/district.png?district={self._district}")
        institutions = await self._people.parent.get("/public/institutions", district=self._district)
        self._say("家长", f"扫全区一码（PNG {size} 字节），看到 {len(institutions['items'])} 家机构")
        agreed = (await self._people.parent.get("/parent/consent-text"))["version"]
        child = await self._people.parent.post("/parent/students", {"name": "陈小演", "birth_month": "2017-06", "consent": agreed})
        checkout = await self._people.parent.get(f"/parent/classes/{self._class['id']}/checkout")
        body = {"class_id": self._class["id"], "student_id": child["id"], "document": checkout["document"]}
        self._contract = await self._people.parent.post("/parent/contracts", body)
        self._expect("合同金额", self._contract["amount_fen"], PRICE_FEN)
        self._say("家长", f"为 {child['name']} 签合同 {self._contract['contract_no']}，{yuan(self._contract['amount_fen'])}")

    async def _pay(self) -> None:
        """The parent scans the payment's code and pays on the bank's page; the money shows in escrow."""
        payment = await self._people.parent.post(f"/parent/contracts/{self._contract['id']}/payments")
        await get_image(payment["qr_png_url"])
        await pay_like_a_browser(payment["pay_url"])
        _, seconds = await self._people.parent.wait_for(
            f"/parent/payments/{payment['payment_no']}", "入监管", lambda found: found["status"] == "paid"
        )
        contract = await self._people.parent.get(f"/parent/contracts/{self._contract['id']}")
        self._expect("监管余额", contract["escrow_fen"], PRICE_FEN)
        self._say("家长", f"在银行收银台支付 {yuan(PRICE_FEN)}；{seconds:.1f} 秒后全部进入监管（付款 {payment['payment_no']}）")

    async def _teach(self) -> None:
        """A class session is over, and the institution marks it with those who paid for it present."""
        session = await (self._session_of_before() if self._evening else self._first_session())
        present = [each["student_id"] for each in session["students"] if each["status"] == "scheduled"]
        delivery = await self._people.institution.post(
            f"/institution/class-sessions/{session['id']}/delivery", {"attended_student_ids": present}
        )
        self._expect("已上课时", delivery["delivered"], len(present))
        children = await self._own_children()
        self._lesson = next(each for each in delivery["lessons"] if each["student_id"] in children)
        self._say("机构", f"{session['class_name']}第 {session['number']} 次课结束，登记到课 {len(present)} 人；钱还在监管账户")

    async def _first_session(self) -> Json:
        """That of the new class, once it is over."""
        found = await self._people.institution.get("/institution/class-sessions", class_id=self._class["id"])
        first = found["items"][0]
        await asyncio.sleep(max(0.0, (datetime.fromisoformat(first["ends_at"]) - datetime.now(UTC)).total_seconds() + 0.1))
        return await self._people.institution.get(f"/institution/class-sessions/{first['id']}")

    async def _session_of_before(self) -> Json:
        """The last one that is over, is not marked yet, and was paid for by the parent."""
        children, now = await self._own_children(), datetime.now(UTC)
        found = await self._people.institution.get("/institution/class-sessions", status="scheduled", limit=100)
        over = [each for each in found["items"] if datetime.fromisoformat(each["ends_at"]) <= now]
        for each in reversed(over):
            session = await self._people.institution.get(f"/institution/class-sessions/{each['id']}")
            if any(line["student_id"] in children and line["status"] == "scheduled" for line in session["students"]):
                return session
        raise Unexpected("没有待登记的课次：请在白天演示，或换一个空的数据目录重新运行 make run")

    async def _own_children(self) -> set[str]:
        return {each["id"] for each in (await self._people.parent.get("/parent/students"))["items"]}

    async def _confirm(self) -> None:
        """The parent confirms that lesson, twice with the same key and once more with another: it is released once."""
        body, key = {"lesson_ids": [self._lesson["id"]]}, f"demo-{self._lesson['id']}"
        answers = [await self._people.parent.post("/parent/confirmations", body, key) for _ in range(2)]
        again = await self._people.parent.post("/parent/confirmations", body)
        self._expect("两次同样的请求得到同样的回答", answers[1], answers[0])
        self._expect("确认结果", answers[0]["items"][0]["outcome"], "confirmed")
        self._expect("划拨金额", answers[0]["items"][0]["released_fen"], self._lesson["price_fen"])
        self._expect("再次确认", again["items"][0]["outcome"], "already_confirmed")
        self._say("家长", f"确认这一课时：{yuan(self._lesson['price_fen'])} 划为应付机构，重复确认不重复划拨")

    @property
    def _untaught_fen(self) -> int:
        """What the new contract still holds when the parent leaves."""
        return PRICE_FEN if self._evening else PRICE_FEN - LESSON_FEN

    async def _settle(self) -> Json:
        """The settlement run drafts a payout; it is over the line, so it is held, and the officer hears of it at once."""
        began = time.perf_counter()
        run = await self._people.settlement.post("/settlement/runs")
        payout: Json = next(each for each in run["items"] if each["institution_id"] == self._institution_id)
        self._say(
            "结算", f"第 {run['run_no']} 批结算：付款单 {payout['payout_no']}，{yuan(payout['amount_fen'])}，{payout['line_count']} 课时"
        )
        raised = await self._hear_of(payout["payout_no"])
        held, _ = await self._people.supervision.wait_for(
            f"/supervision/payouts/{payout['id']}", "暂扣", lambda found: found["status"] == "held"
        )
        self._say("监管", f"{raised - began:.1f} 秒后收到大额预警；付款单已按规则暂扣（{held['status']}）")
        return payout

    async def _release(self, payout: Json) -> None:
        """The officer looks into it and lets it go; the bank executes, and the institution sees it paid."""
        paid_before = (await self._people.institution.get("/institution/balance"))["paid_fen"]
        await self._people.supervision.post(f"/supervision/payouts/{payout['id']}/release", {"reason": "已核对课消记录，准予划拨"})
        _, seconds = await self._people.institution.wait_for(
            f"/institution/payouts/{payout['id']}", "到账", lambda found: found["status"] == "settled"
        )
        paid_after = (await self._people.institution.get("/institution/balance"))["paid_fen"]
        self._expect("机构已收", paid_after - paid_before, payout["amount_fen"])
        self._say("监管", f"放行；{seconds:.1f} 秒后银行转入结算账户 {yuan(payout['amount_fen'])}，机构已看到")

    async def _refund(self) -> None:
        """The parent asks for the untaught lessons' fees and gets them back on the account that paid."""
        body = {"contract_id": self._contract["id"], "reason": "时间冲突，不再上课"}
        refund = await self._people.parent.post("/parent/refunds", body)
        self._expect("退费金额", refund["amount_fen"], self._untaught_fen)
        _, seconds = await self._people.parent.wait_for(
            f"/parent/refunds/{refund['refund_no']}", "退到账", lambda found: found["status"] == "settled"
        )
        await self._hear_of(refund["refund_no"])
        contract = await self._people.parent.get(f"/parent/contracts/{self._contract['id']}")
        self._expect("合同剩余监管余额", contract["escrow_fen"], 0)
        self._say("家长", f"申请退费，依规则即时同意；{seconds:.1f} 秒后 {yuan(refund['amount_fen'])} 原路退回")

    async def _reconcile(self) -> None:
        """The bank's statement of today, held against the book."""
        day = await self._people.settlement.post("/settlement/reconciliation")
        mine = next(each for each in day["items"] if each["institution_id"] == self._institution_id)
        self._expect("对账差错", mine["breaks"], [])
        self._expect("银行余额与账簿", mine["statement_fen"], mine["cash_fen"])
        self._say("结算", f"与银行对账单核对：{yuan(mine['statement_fen'])} = {yuan(mine['cash_fen'])}，无差错")

    def _show(self, payout_fen: int) -> None:
        """The institution's book after each act, and that what changed from first to last is what the story moved."""
        refunded_fen, earned_fen = self._untaught_fen, self._lesson["price_fen"]
        moved = {
            "cash": PRICE_FEN - payout_fen - refunded_fen,
            "escrow": PRICE_FEN - refunded_fen - earned_fen,
            "payable": earned_fen - payout_fen,
            PAID_OUT: payout_fen,
        }
        table = Table(
            "", *(title for title, _ in self._book), title="机构账簿：每一步之后钱在哪里（元）", box=box.SIMPLE, padding=(0, 1, 0, 0)
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for account, title in ACCOUNTS.items():
            held = [book.get(account, 0) for _, book in self._book]
            self._expect(f"{title}的变化", held[-1] - held[0], moved.get(account, 0))
            if any(held):
                table.add_row(title, *(yuan(fen).removeprefix("¥") for fen in held))
        self._console.print(table)
        if self._evening:
            self._console.print(f"缴入 {yuan(PRICE_FEN)} = 原路退回家长 {yuan(refunded_fen)}；晚间不能上课，")
            self._console.print(f"上课所得 {yuan(earned_fen)} 来自此前合同的一课时，转入机构结算账户。")
        else:
            self._console.print(
                f"缴入 {yuan(PRICE_FEN)} = 原路退回家长 {yuan(refunded_fen)} + 上课所得 {yuan(earned_fen)}，转入机构结算账户。"
            )
        if payout_fen > earned_fen:
            self._console.print(f"同一笔结算还转出了此前已确认的 {yuan(payout_fen - earned_fen)}。")

    async def _say_what_waits(self) -> None:
        overview = await self._people.supervision.get("/supervision/overview")
        coverage = overview["coverage"]["coverage_bps"]
        covered = "" if coverage is None else f"，监管资金覆盖率 {coverage // 100}.{coverage % 100:02d}%"
        self._say("监管", f"全区监管余额 {yuan(overview['totals']['escrow_fen'])}{covered}")
        open_alerts = sum(overview["open_alerts"].values())
        self._say("监管", f"未处置预警 {open_alerts}，待决付款 {overview['held_payouts']}，待裁决异议 {overview['open_disputes']}")

    async def _watch(self) -> None:
        async for alert in self._people.supervision.events("/supervision/alerts/stream"):
            self._alerts.put_nowait((time.perf_counter(), alert))

    async def _hear_of(self, reference: str) -> float:
        """The officer's open stream tells of a large transfer, and the officer deals with it; when it came.

        Raises Unexpected where it does not come.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ALERT_SECONDS):
                while True:
                    at, alert = await self._alerts.get()
                    if (alert["subject"], alert["rule"], alert["change"]) == (f"instruction:{reference}", "large_transfer", "opened"):
                        break
                await self._people.supervision.post(f"/supervision/alerts/{alert['id']}/resolve", {"note": "演示：已核对课消与付款记录"})
                return at
        raise Unexpected(f"{ALERT_SECONDS:.0f} 秒内没有收到关于 {reference} 的大额预警")

    async def _look(self, title: str) -> None:
        """Remember how the institution's book stands now."""
        books = await self._people.supervision.get("/supervision/books", limit=100)
        mine = next(each for each in books["items"] if each["institution_id"] == self._institution_id)
        self._expect("账簿平衡", mine["balanced"], True)
        paid_fen = (await self._people.institution.get("/institution/balance"))["paid_fen"]
        self._book.append((title, {line["type"]: line["balance_fen"] for line in mine["lines"]} | {PAID_OUT: paid_fen}))

    async def _thresholds(self) -> Json:
        lines: Json = (await self._people.supervision.get(f"/supervision/institutions/{self._institution_id}"))["thresholds"]
        return {name: fen for name, fen in lines.items() if name.endswith("_fen")}

    async def _set_line(self, lines: Json, large_transfer_fen: int) -> None:
        body = lines | {"large_transfer_fen": large_transfer_fen}
        await self._people.supervision.put(f"/supervision/institutions/{self._institution_id}/thresholds", body)
        self._say("监管", f"单笔大额线设为 {yuan(large_transfer_fen)}")

    def _say(self, who: str, what: str) -> None:
        self._console.print(f"[bold]{who}[/bold]  {what}")

    def _expect(self, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            raise Unexpected(f"{what}应为 {expected}，实为 {found}")
