"""The background process: for every district the jobs in the order in which money flows, again and again.

Several may run beside each other: each row that is work is claimed by one of them.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from app import clock, districts, idempotency, security, telemetry
from app.banking import jobs as banking
from app.banking.banks import Banks
from app.bulk import service as bulk
from app.bulk import steps
from app.db import Database, District
from app.errors import DomainError
from app.ledger import jobs as ledger
from app.lessons import jobs as lessons
from app.payments import jobs as payments
from app.reconciliation import jobs as reconciliation
from app.refunds import jobs as refunds
from app.registry import search
from app.settings import Settings, settings
from app.settlement import jobs as settlement
from app.supervision import jobs as supervision
from app.supervision import publishing
from bank_adapters.port import BankUnknown

IDLE_SECONDS = 0.2
AFTER_FAILURE_SECONDS = 2.0
TIDY_EVERY = timedelta(hours=1)
ANSWERS_KEPT = timedelta(days=7)
"""Longer than any client repeats a request."""

Job = Callable[[District, Banks], Awaitable[int]]

log = structlog.get_logger()


def _own(job: Callable[[District], Awaitable[int]]) -> Job:
    """A job that needs no bank."""

    async def run(district: District, banks: Banks) -> int:
        return await job(district)

    run.__name__, run.__module__ = job.__name__, job.__module__
    return run


MOVING: tuple[Job, ...] = (
    banking.process_inbox,
    banking.run_collections,
    _own(payments.match_receipts),
    _own(lessons.confirm_paid),
    payments.expire_payments,
    _own(payments.lapse_contracts),
    _own(payments.lapse_charges),
    _own(payments.return_unassigned),
    _own(refunds.fund),
    _own(supervision.clear_payouts),
    banking.send_instructions,
    banking.resolve_instructions,
    _own(payments.settle_returns),
    _own(refunds.restore_unpaid),
    _own(settlement.free_unpaid),
    banking.fetch_balances,
    reconciliation.reconcile_due,
)
"""What moves money, and learns from banks that it moved."""
FOLLOWING: tuple[Job, ...] = (_own(ledger.seal), _own(supervision.watch), _own(search.keep_up), _own(publishing.publish))
"""What follows from it: none of the others waits for these."""
JOBS = (*MOVING, *FOLLOWING)

LONG_JOBS: tuple[Job, ...] = (_own(steps.take_due),)
"""Those that may take a minute: they run beside the others, for money does not wait for them."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How much a round of all jobs did, and which of them failed."""

    done: int
    failed: tuple[str, ...]


async def one_pass(district: District, banks: Banks, jobs: Sequence[Job] | None = None) -> Pass:
    """Every job once, in order; without any named, those of JOBS. A job that fails is logged and does not stop the others."""
    done, failed = 0, []
    for job in JOBS if jobs is None else jobs:
        name = f"{job.__module__.removeprefix('app.').removesuffix('.jobs')}.{job.__name__}"
        try:
            done += await job(district, banks)
        except (BankUnknown, DomainError) as error:
            failed.append(name)
            log.warning("worker.job_waits", job=name, district=district.code, reason=getattr(error, "code", type(error).__name__))
        except Exception:
            failed.append(name)
            log.exception("worker.job_failed", job=name, district=district.code)
        telemetry.JOB_RUNS.labels(name, "failed" if name in failed else "done").inc()
    return Pass(done, tuple(failed))


async def tidy(district: District) -> None:
    """Forget what has expired: sign-ins, codes, the answers kept for repeated requests, and files that nobody imported."""
    async with district.transaction() as session:
        await security.forget_expired(session)
        await idempotency.forget(session, clock.now() - ANSWERS_KEPT)
        await bulk.forget(session, clock.now() - bulk.KEPT_FOR)


async def serve(configuration: Settings, stop: asyncio.Event) -> None:
    """Work for every district that may reach a bank until told to stop; a pass that has begun is finished first."""
    database = Database(configuration.database_url, pool_size=8)
    try:
        banks, codes = await _reach(database, configuration, stop)
        log.info("worker.started", districts=codes)
        try:
            async with asyncio.TaskGroup() as group:
                for code in codes:
                    group.create_task(_work(database.district(code), banks, stop))
                    group.create_task(_work_long(database.district(code), banks, stop))
        finally:
            await banks.aclose()
    finally:
        await database.aclose()
        log.info("worker.stopped")


async def _reach(database: Database, configuration: Settings, stop: asyncio.Event) -> tuple[Banks, list[str]]:
    """The banks that this process may use, and the districts that they serve; a database without any is waited for."""
    while True:
        banks = await Banks.of(database, configuration)
        codes = [entry.code for entry in await districts.entries(database) if banks.slugs(entry.code)]
        if codes or stop.is_set():
            return banks, codes
        await banks.aclose()
        await _pause(stop, AFTER_FAILURE_SECONDS)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _work(district: District, banks: Banks, stop: asyncio.Event) -> None:
    tidied_at = datetime.min.replace(tzinfo=UTC)
    while not stop.is_set():
        latest = await one_pass(district, banks)
        if clock.now() - tidied_at > TIDY_EVERY and not latest.failed:
            await tidy(district)
            tidied_at = clock.now()
        await _pause(stop, AFTER_FAILURE_SECONDS if latest.failed else 0.0 if latest.done else IDLE_SECONDS)


async def _work_long(district: District, banks: Banks, stop: asyncio.Event) -> None:
    while not stop.is_set():
        latest = await one_pass(district, banks, LONG_JOBS)
        await _pause(stop, AFTER_FAILURE_SECONDS if latest.failed else 0.0 if latest.done else IDLE_SECONDS)


async def _main() -> None:
    configuration = settings()
    telemetry.configure(configuration.log_format)
    database = Database(configuration.database_url)
    try:
        await districts.refuse_unsafe_start(database, configuration)
    except districts.UnsafeStart as refusal:
        log.error("start_refused", reasons=refusal.reasons)
        raise SystemExit(3) from refusal
    finally:
        await database.aclose()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await serve(configuration, stop)


if __name__ == "__main__":
    asyncio.run(_main())
