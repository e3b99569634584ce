"""The two steps of an import: the dry run, which reads only, and the import, which is one transaction. Each may be long, so it is leased.

A process that dies leaves nothing behind: its lease runs out, and another one begins the step anew.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit, clock
from app.bulk import service
from app.bulk.cells import UNFIT, Line
from app.bulk.headings import line_of
from app.bulk.kinds import AnyKind, Importer, Report, Row
from app.bulk.models import BulkUpload
from app.bulk.reader import Numbered
from app.bulk.registry import KINDS
from app.db import District
from app.errors import BadInput, Conflict, DomainError
from app.ids import uuid7
from app.registry import institutions

LEASE = timedelta(seconds=60)
PHASES = {"uploaded": 2, "confirmed": 3}
"""How often a step goes through all rows: drafting, planning, entering."""
MOST_TRIES = 3
"""How often a step is begun that something unforeseen keeps from its end."""
_BREATHES_AFTER = 25
"""Rows; then other work of the process has its turn."""
_TELLS_EVERY_SECONDS = 0.5

Told = Callable[[int, int], None]


class _Lost(Exception):
    """Somebody else has taken the step over, or the file was given up."""


async def take_due(district: District) -> int:
    """Take the next step of one upload that waits for it; 0 where none does."""
    due = (
        select(BulkUpload.id)
        .where(BulkUpload.ended_at.is_(None), BulkUpload.status.in_(PHASES))
        .where(or_(BulkUpload.leased_until.is_(None), BulkUpload.leased_until < clock.now()))
        .order_by(BulkUpload.uploaded_at)
        .limit(1)
    )
    async with district.reading() as session:
        upload_id = await session.scalar(due)
    return 0 if upload_id is None else await take(district, upload_id)


async def take(district: District, upload_id: UUID, told: Told | None = None) -> int:
    """Take an upload's next step; 0 where there is none or somebody else is at it.

    `told` hears how many rows of how many the step is through with.
    """
    lease = uuid7()
    async with district.transaction() as session:
        free = or_(BulkUpload.leased_until.is_(None), BulkUpload.leased_until < clock.now())
        upload = await session.scalar(
            update(BulkUpload)
            .where(BulkUpload.id == upload_id, BulkUpload.status.in_(PHASES), free)
            .values(leased_by=lease, leased_until=clock.now() + LEASE, done=0, attempts=BulkUpload.attempts + 1)
            .returning(BulkUpload)
        )
    if upload is None:
        return 0
    step = _Step(district, upload, lease, told)
    try:
        if upload.attempts > MOST_TRIES:
            await step.give_up()
        else:
            await (step.check() if upload.status == "uploaded" else step.enter())
    except _Lost:
        return 0
    return 1


async def _plan_for_many(session: AsyncSession) -> None:
    """A connection's plans, those of foreign keys too, may be from when the tables were small: then every row would read them whole."""
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    await session.execute(text("DISCARD PLANS"))


def _read(kind: AnyKind, line: Line) -> tuple[Any, list[DomainError]]:
    """What a row comes to by itself, and every cell that is wrong; what the rules say counts only where all cells can be read."""
    missing = [column for column in kind.columns if column.required and not line.cells[column.field]]
    wrong: list[DomainError] = [BadInput("bulk.cell_missing", f"请填写{each.heading}", field=each.field) for each in missing]
    draft = None
    try:
        draft = kind.draft(line)
    except DomainError as refused:
        wrong += line.wrong or ()
        if not wrong or refused.code == UNFIT:
            wrong.append(refused)
    else:
        wrong += line.wrong or ()
    return draft, wrong


class _Step:
    """One step of one upload under its lease."""

    def __init__(self, district: District, upload: BulkUpload, lease: UUID, told: Told | None) -> None:
        self._district, self._upload, self._lease, self._told = district, upload, lease, told
        self._kind: AnyKind = KINDS[upload.kind]
        self._importer = Importer(upload.institution_id, upload.uploaded_by)
        self._report = Report(self._kind.columns, upload.places, self._kind.aliases, self._advance)
        self._done = 0
        self._told_at = time.monotonic()

    async def check(self) -> None:
        """The dry run: what is wrong with which row, and nothing is stored but that."""
        known = 0
        async with self._district.reading() as session:
            rows = await service.rows_of(session, self._upload.id)
            try:
                drafted = await self._drafted(rows)
                known = (await self._kind.plan(session, self._importer, drafted, self._report)).known_count
            except DomainError as refused:
                self._report.refuse(None, refused)
        async with self._district.transaction() as session:
            upload = await self._locked(session)
            upload.checked_at = clock.now()
            await self._found(session, upload, known)

    async def enter(self) -> None:
        """All rows or none."""
        try:
            async with self._district.transaction() as session:
                await _plan_for_many(session)
                await institutions.lock(session, self._importer.institution_id)
                await self._refuse_repeated(session)
                drafted = await self._drafted(await service.rows_of(session, self._upload.id))
                plan = await self._kind.plan(session, self._importer, drafted, self._report)
                if self._report.problems:
                    raise BadInput("bulk.rows_invalid", "有不能导入的行")
                await self._kind.enter(session, self._importer, plan, self._report)
                upload = await self._locked(session)
                upload.known_count, upload.problem_count = plan.known_count, 0
                await service.end(session, upload, "imported")
                facts = {"kind": self._kind.slug, "rows": upload.row_count, "known": plan.known_count}
                await audit.record(session, self._importer.actor, "bulk.imported", service.subject(upload.id), **facts)
                return
        except DomainError as refused:
            if not self._report.problems:
                self._report.refuse(None, refused)
        except IntegrityError:
            self._report.refuse(None, Conflict("bulk.register_changed", "登记刚刚有变动，没有导入任何一行，请重新上传"))
        async with self._district.transaction() as session:
            await self._found(session, await self._locked(session), 0)

    async def give_up(self) -> None:
        """The file ends: it cannot be worked through."""
        self._report.refuse(None, Conflict("bulk.step_failed", "系统多次未能处理完这个文件，没有导入任何一行，请联系管理员"))
        async with self._district.transaction() as session:
            await self._found(session, await self._locked(session), 0)

    async def _drafted(self, rows: Sequence[Numbered]) -> list[Row[Any]]:
        drafted = []
        for each in rows:
            line = line_of(self._kind, each)
            draft, wrong = _read(self._kind, line)
            for refused in wrong:
                self._report.refuse(line, refused)
            if not wrong:
                drafted.append(Row(line, draft))
            await self._advance(1)
        return drafted

    async def _refuse_repeated(self, session: AsyncSession) -> None:
        upload = self._upload
        same = BulkUpload.institution_id == upload.institution_id, BulkUpload.kind == upload.kind
        imported = BulkUpload.content_hash == upload.content_hash, BulkUpload.status == "imported"
        if await session.scalar(select(BulkUpload.id).where(*same, *imported)):
            raise Conflict("bulk.repeated", "同样的内容已经导入过，没有重复导入")

    async def _found(self, session: AsyncSession, upload: BulkUpload, known: int) -> None:
        """The step ends without an import: with bad rows the upload ends, without any it waits for a person."""
        upload.known_count, upload.problem_count = known, len(self._report.problems)
        upload.problems = self._report.told()
        if self._report.problems:
            await service.end(session, upload, "faulty")
        else:
            upload.status, upload.leased_by, upload.leased_until = "checked", None, None

    async def _locked(self, session: AsyncSession) -> BulkUpload:
        leased = select(BulkUpload).where(BulkUpload.id == self._upload.id, BulkUpload.leased_by == self._lease)
        upload = await session.scalar(leased.with_for_update(), execution_options={"populate_existing": True})
        if upload is None or upload.status != self._upload.status:
            raise _Lost
        return upload

    async def _advance(self, rows: int) -> None:
        """So many rows further; now and then others have their turn, and who watches is told."""
        self._done += rows
        if self._done % _BREATHES_AFTER >= rows:
            return
        await asyncio.sleep(0)
        if time.monotonic() - self._told_at < _TELLS_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        if self._told is not None:
            self._told(self._done, self._upload.row_count * PHASES[self._upload.status])
        mine = BulkUpload.id == self._upload.id, BulkUpload.leased_by == self._lease
        async with self._district.transaction() as session:
            lease = {"done": self._done, "leased_until": clock.now() + LEASE}
            if await session.scalar(update(BulkUpload).where(*mine).values(lease).returning(BulkUpload.id)) is None:
                raise _Lost
