"""The pages that people look at every day, over the district's year: `python -m tests.bench year [FOLDER]`."""

import json
from pathlib import Path
from uuid import UUID

from rich.console import Console
from sqlalchemy import func, select

from app.contracts.models import Contract
from app.db import Database, District
from app.districts import APP_ROLE
from app.ledger.models import Transfer
from app.registry.models import Institution
from app.sample.diary import Simulation
from app.sample.installation import STAFF, Installation
from app.sample.simulate import simulate
from app.security import Role, Staff, open_session
from tests.bench.serving import Request, Serving, serving
from tests.bench.table import Results

YEAR = Simulation(institutions=170, days=365, seed=1, yuan=72_000_000)
FAMILIES = 64
SECONDS = 6.0
CONNECTIONS = 2
SLOWEST_MS = 300


async def year(folder: Path) -> Results:
    """Measure over the largest finished simulation in a data folder; where there is none, the year is played first."""
    if not _finished(folder):
        await simulate(folder, YEAR, None, Console(width=140))
    code, played = _finished(folder)[-1]
    installation = Installation(folder)
    installation.adopt()
    with installation.postgres() as server:
        url = server.url(APP_ROLE, "escrow")
        database = Database(url)
        results = Results(f"Pages over {played}, {CONNECTIONS} connections, p95")
        try:
            asked = await _requests(database.district(code))
            results.fact("contracts, transfers", await _size(database.district(code)), holds=True)
        finally:
            await database.aclose()
        async with serving(url) as web:
            for name, requests in asked.items():
                await _measure(web, name, requests, results)
    return results


def _finished(folder: Path) -> list[tuple[str, str]]:
    """Codes of finished simulations and what was played there, the largest last."""
    kept = [json.loads(path.read_text("utf-8")) for path in (folder / "simulated").glob("*.json")]
    played = [(each["simulation"], each["code"]) for each in kept if each["ended"]]
    played.sort(key=lambda each: each[0]["institutions"] * each[0]["days"])
    return [(code, f"{size['days']} days of {size['institutions']} institutions") for size, code in played]


async def _size(district: District) -> str:
    async with district.reading() as session:
        contracts, transfers = [await session.scalar(select(func.count()).select_from(each)) for each in (Contract, Transfer)]
    return f"{contracts:,}, {transfers:,}"


async def _requests(district: District) -> dict[str, list[Request]]:
    async with district.transaction() as session:
        staff = {name: staff_id for name, staff_id in await session.execute(select(Staff.username, Staff.id))}
        institutions = list(await session.scalars(select(Institution.id).order_by(Institution.id)))
        signed = await session.execute(select(Contract.guardian_id, func.max(Contract.created_at)).group_by(Contract.guardian_id))
        by_time = [guardian_id for guardian_id, _ in sorted(signed, key=lambda row: (row[1], row[0]))]
        families = by_time[:: max(len(by_time) // FAMILIES, 1)]

        async def token(role: Role, guardian_id: UUID | None = None) -> str:
            return await open_session(session, role, guardian_id=guardian_id, staff_id=staff[STAFF[role]] if role in STAFF else None)

        officer, school = await token("supervision"), await token("institution")
        parents = [await token("parent", guardian_id) for guardian_id in families]
    return {
        "supervision, overview": [_page("/supervision", officer)],
        "supervision, one institution": [_page(f"/supervision/institutions/{each}", officer) for each in institutions],
        "institution, its own home": [_page("/institution", school)],
        **{f"parent, {path}": [_page(path, parent) for parent in parents] for path in ("/parent", "/parent/lessons", "/parent/contracts")},
    }


def _page(path: str, token: str) -> Request:
    return "GET", path, token, "", ""


async def _measure(web: Serving, name: str, requests: list[Request], results: Results) -> None:
    await web.load(requests, SECONDS / 4, again=True, connections=CONNECTIONS)
    load = await web.load(requests, SECONDS, again=True, connections=CONNECTIONS)
    if load.refused:
        raise SystemExit(f"{name}: {load.statuses}")
    results.limit(name, load.p95_ms, "ms", SLOWEST_MS)
