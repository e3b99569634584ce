"""The sample as a whole: `make run`, `make demo` and a simulation beside them, stopped, started again, and one of its processes killed."""

import asyncio
import signal
import stat
import time
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import func, select

from app.db import Database
from app.registry.models import TrainingClass
from app.sample import seed
from tests.running_sample import RunningSample
from tests.sample.commands import run_cli

pytestmark = pytest.mark.timeout(300)
DASHBOARD_SECONDS = 0.3


def processes(sample: RunningSample) -> list[psutil.Process]:
    """Everything that the sample runs: its own children, and the database, which is nobody's."""
    database = psutil.Process(int((sample.folder / "pg" / "postmaster.pid").read_text().split("\n", 1)[0]))
    return [*psutil.Process(sample.process.pid).children(recursive=True), database]


def command_of(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def left_over(running: list[psutil.Process]) -> list[str]:
    """Those that still run. An ended database may wait for its entry to be cleared away: a container's first process need not do it."""
    return [command_of(each) for each in running if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


async def command(sample: RunningSample, *arguments: str) -> tuple[int, str]:
    """Run a command against the sample's folder; its status and output."""
    settings = {"ESCROW_DATA_DIR": str(sample.folder), "DATABASE_URL": "", "COLUMNS": "120"}
    done = await asyncio.to_thread(run_cli, *arguments, **settings)
    return done.returncode, done.stdout + done.stderr


async def books_check(sample: RunningSample) -> None:
    assert await command(sample, "check-books") == (0, "账簿核对无误\n")


async def what_the_people_find(sample: RunningSample) -> None:
    """The facts of `demo.json` let a client do what the sample is for."""
    demo = sample.demo
    assert stat.S_IMODE((sample.folder / "demo.json").stat().st_mode) == 0o600
    assert set(demo) == {"base_url", "bank_url", "bank_key", "district", "parent", "staff"}
    assert (set(demo["parent"]), set(demo["staff"])) == ({"phone", "code"}, {"institution", "settlement", "supervision"})
    async with httpx.AsyncClient(base_url=f"{demo['base_url']}/api/v1", timeout=30, trust_env=False) as http:
        assert (await http.post("/auth/parent/session", json=demo["parent"] | {"phone": "13800138000"})).status_code == 401
        parent = await signed_in(http, "parent", demo["parent"])
        waiting = (await http.get("/parent/lessons?status=delivered&limit=100", headers=parent)).json()["items"]
        assert len(waiting) >= 6
        contracts = {each["way"]: each for each in (await http.get("/parent/contracts", headers=parent)).json()["items"]}
        assert {way: each["status"] for way, each in contracts.items()} == {"once": "paid", "parts": "paid", "later": "agreed"}
        due = [sum(charge["is_due"] for charge in contracts[way]["charges"]) for way in ("once", "parts", "later")]
        assert due == [0, 1, 1]
        classes = (await http.get("/public/classes")).json()["items"]
        assert len([each for each in classes if each["seats_left"] and each["lessons_left"] == each["lesson_count"]]) >= 3
        staff = {role: await signed_in(http, "staff", demo["staff"][role]) for role in demo["staff"]}
        sessions = (await http.get("/institution/class-sessions?status=scheduled&limit=100", headers=staff["institution"])).json()["items"]
        assert len([each for each in sessions if each["ends_at"] < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())]) >= 3
        payouts = (await http.get("/settlement/payouts", headers=staff["settlement"])).json()["items"]
        assert {each["status"] for each in payouts} == {"settled", "held"}
        reconciled = (await http.get("/settlement/reconciliation", headers=staff["settlement"])).json()["items"]
        assert {each["status"] for each in reconciled} == {"matched"}
        alerts = (await http.get("/supervision/alerts", headers=staff["supervision"])).json()["items"]
        assert {each["rule"] for each in alerts} >= {"large_transfer", "minimum_balance", "unassigned_money"}
        overview = (await http.get("/supervision/overview", headers=staff["supervision"])).json()
        assert (overview["held_payouts"], overview["open_disputes"], overview["totals"]["suspense_fen"]) == (1, 1, 0)
        assert (overview["applications"], overview["changes"], overview["classes"]) == (1, 1, 1)


async def signed_in(http: httpx.AsyncClient, path: str, credentials: dict[str, str]) -> dict[str, str]:
    answer = await http.post(f"/auth/{path}/session", json=credentials)
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def quickest_dashboard(sample: RunningSample, district: str) -> float:
    """Seconds until the supervision's first page of a district is there, at best."""
    base_url = sample.demo["base_url"]
    async with httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False, follow_redirects=True) as browser:
        sign_in = f"/supervision/sign-in?district={district}"
        entered = await browser.post(sign_in, data=sample.demo["staff"]["supervision"], headers={"Origin": base_url})
        assert entered.status_code == 200
        took = []
        for _ in range(5):
            began = time.perf_counter()
            assert (await browser.get("/supervision")).status_code == 200
            took.append(time.perf_counter() - began)
    return min(took)


async def classes_of(sample: RunningSample) -> int:
    database = Database(f"postgresql+asyncpg://escrow_app@/escrow?host={sample.folder / 'pg'}")
    try:
        async with database.district("510112").reading() as session:
            return await session.scalar(select(func.count()).select_from(TrainingClass)) or 0
    finally:
        await database.aclose()


async def test_it_runs_is_demonstrated_and_simulated_in_stops_and_finds_its_data_again(tmp_path: Path) -> None:
    sample = await RunningSample.start(tmp_path)
    try:
        await what_the_people_find(sample)
        status, told = await command(sample, "demo", "--evening")
        assert status == 0, told
        assert "缴入 ¥4,800.00 = 原路退回家长 ¥4,800.00" in told
        status, told = await command(sample, "demo")
        assert status == 0, told
        assert "缴入 ¥4,800.00 = 原路退回家长" in told
        assert ("上课所得 ¥1,200.00" in told) == ("第一次课 12 秒后开始" in told)
        status, told = await command(sample, "simulate", "--institutions", "3", "--days", "7", "--seed", "1")
        assert status == 0, told
        assert "未平差错 0" in told
        assert "账簿核对无误，与银行一致。" in told
        assert await quickest_dashboard(sample, "510181") < DASHBOARD_SECONDS
        assert (await command(sample, "run-sample"))[1].count("正在运行") == 1
        await books_check(sample)
        running, facts = processes(sample), sample.demo
    finally:
        assert await sample.stop(signal.SIGINT) == 0, sample.printed
    assert left_over(running) == []

    sample = await RunningSample.start(tmp_path)
    try:
        assert {name: sample.demo[name] for name in ("bank_key", "district", "parent", "staff")} == {
            name: facts[name] for name in ("bank_key", "district", "parent", "staff")
        }
        assert await classes_of(sample) == len(seed.COURSES) + 3
        running = processes(sample)
        (worker,) = [each for each in running if "app.worker" in command_of(each)]
        worker.kill()
        rest, _ = await asyncio.wait_for(sample.process.communicate(), 60)
    finally:
        if sample.process.returncode is None:
            await sample.stop(signal.SIGTERM)
    assert sample.process.returncode == 1
    assert "后台任务进程意外结束" in rest.decode()
    assert left_over(running) == []
