"""The ways of an imported file: kept sealed, confirmed, given up, forgotten. The work itself is in `steps`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import case, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app import audit, clock, crypto, sealing
from app.bulk.headings import Table
from app.bulk.kinds import AnyKind, Importer
from app.bulk.models import BulkAllowance, BulkPart, BulkUpload
from app.bulk.reader import Numbered
from app.errors import Conflict, NotFound, TooManyAttempts
from app.ids import uuid7

KEPT_FOR = timedelta(hours=24)
"""How long the rows of a file that nobody confirms are kept."""
MOST_AN_HOUR = 30
"""Files of one institution, readable or not: it bounds what reading costs."""
PAGE = 100
_PART_ROWS = 500

Cursor = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class Received:
    """An upload; `repeated` where the same rows were imported before, so that there is nothing to do."""

    upload: BulkUpload
    repeated: bool


async def admit(session: AsyncSession, importer: Importer) -> None:
    """Count a file before it is read. Raises TooManyAttempts("bulk.too_many_files")."""
    counting = insert(BulkAllowance).values(institution_id=importer.institution_id, since=clock.now(), files=1)
    over = BulkAllowance.since <= clock.now() - timedelta(hours=1)
    files = case((over, 1), else_=BulkAllowance.files + 1)
    since = case((over, counting.excluded.since), else_=BulkAllowance.since)
    counted = counting.on_conflict_do_update(
        index_elements=[BulkAllowance.institution_id],
        set_={"files": files, "since": since},
        where=or_(over, BulkAllowance.files < MOST_AN_HOUR),
    )
    if await session.scalar(counted.returning(BulkAllowance.files)) is None:
        raise TooManyAttempts("bulk.too_many_files", f"每小时最多上传 {MOST_AN_HOUR} 个文件，请稍后再试")


async def receive(session: AsyncSession, importer: Importer, kind: AnyKind, table: Table) -> Received:
    """Keep a file's rows, sealed, to be checked by the worker; what was imported before is not kept again."""
    content_hash = _hash_of(kind, table)
    own = BulkUpload.institution_id == importer.institution_id
    same = own, BulkUpload.kind == kind.slug, BulkUpload.content_hash == content_hash, BulkUpload.status == "imported"
    before = await session.scalar(select(BulkUpload).where(*same))
    if before is not None:
        return Received(before, repeated=True)
    upload = BulkUpload(
        id=uuid7(),
        institution_id=importer.institution_id,
        kind=kind.slug,
        content_hash=content_hash,
        places=table.places,
        row_count=len(table.rows),
        status="uploaded",
        done=0,
        attempts=0,
        problems=[],
        uploaded_by=importer.actor,
        uploaded_at=clock.now(),
    )
    session.add(upload)
    await session.flush()
    await session.execute(insert(BulkPart), list(_parts(upload.id, table.rows)))
    await audit.record(session, importer.actor, "bulk.uploaded", subject(upload.id), kind=kind.slug, rows=upload.row_count)
    return Received(upload, repeated=False)


async def confirm(session: AsyncSession, importer: Importer, upload_id: UUID) -> BulkUpload:
    """Let a checked file without bad rows be imported.

    Raises NotFound("bulk.upload_not_found"), Conflict("bulk.upload_not_checked").
    """
    upload = await _lock_own(session, importer, upload_id)
    if upload.status != "checked":
        raise Conflict("bulk.upload_not_checked", "只有核对通过的文件可以导入")
    upload.status, upload.done, upload.attempts = "confirmed", 0, 0
    await audit.record(session, importer.actor, "bulk.confirmed", subject(upload_id))
    return upload


async def discard(session: AsyncSession, importer: Importer, upload_id: UUID) -> BulkUpload:
    """Give a file up before it is imported; its rows are deleted.

    Raises NotFound("bulk.upload_not_found"), Conflict("bulk.upload_ended").
    """
    upload = await _lock_own(session, importer, upload_id)
    if upload.status not in ("uploaded", "checked"):
        raise Conflict("bulk.upload_ended", "该文件已确认导入或已结束，不能放弃")
    await end(session, upload, "discarded")
    await audit.record(session, importer.actor, "bulk.discarded", subject(upload_id))
    return upload


async def end(session: AsyncSession, upload: BulkUpload, status: str) -> None:
    """End a locked upload: nothing of what was in the file is kept but what entered the registers."""
    upload.status, upload.ended_at = status, clock.now()
    upload.leased_by = upload.leased_until = None
    await session.flush()
    await session.execute(delete(BulkPart).where(BulkPart.upload_id == upload.id))


async def forget(session: AsyncSession, before: datetime) -> None:
    """Give up what was uploaded before an instant and never imported."""
    old = select(BulkUpload.id).where(BulkUpload.ended_at.is_(None), BulkUpload.uploaded_at < before).with_for_update(skip_locked=True)
    gone = (await session.scalars(old)).all()
    ended = {"status": "discarded", "ended_at": clock.now(), "leased_by": None, "leased_until": None}
    await session.execute(update(BulkUpload).where(BulkUpload.id.in_(gone)).values(ended))
    await session.execute(delete(BulkPart).where(BulkPart.upload_id.in_(gone)))


async def own_upload(session: AsyncSession, institution_id: UUID, upload_id: UUID) -> BulkUpload:
    """The institution's own upload. Raises NotFound("bulk.upload_not_found") for an absent one and somebody else's alike."""
    upload = await session.get(BulkUpload, upload_id)
    if upload is None or upload.institution_id != institution_id:
        raise NotFound("bulk.upload_not_found", "没有这次导入")
    return upload


async def uploads(session: AsyncSession, institution_id: UUID, after: Cursor | None = None, limit: int = PAGE) -> list[BulkUpload]:
    """An institution's uploads without their problems, newest first; `after` is (uploaded_at, id) of the last one seen."""
    query = select(BulkUpload).where(BulkUpload.institution_id == institution_id).options(defer(BulkUpload.problems, raiseload=True))
    if after is not None:
        query = query.where(tuple_(BulkUpload.uploaded_at, BulkUpload.id) < after)
    return list(await session.scalars(query.order_by(BulkUpload.uploaded_at.desc(), BulkUpload.id.desc()).limit(min(limit, PAGE))))


async def rows_of(session: AsyncSession, upload_id: UUID) -> list[Numbered]:
    """The rows of an upload, unsealed; none once it has ended."""
    parts = await session.scalars(select(BulkPart).where(BulkPart.upload_id == upload_id).order_by(BulkPart.number))
    return [
        Numbered(number, cells)
        for part in parts
        for number, cells in json.loads(sealing.unseal(part.rows_enc, "bulk_part", "rows_enc", part.id))
    ]


def subject(upload_id: UUID) -> str:
    """What the audit trail calls an upload."""
    return f"import:{upload_id}"


async def _lock_own(session: AsyncSession, importer: Importer, upload_id: UUID) -> BulkUpload:
    upload = await own_upload(session, importer.institution_id, upload_id)
    await session.refresh(upload, with_for_update=True)
    return upload


def _hash_of(kind: AnyKind, table: Table) -> bytes:
    return crypto.keyed_hash("bulk", json.dumps([kind.slug, [row.cells for row in table.rows]], ensure_ascii=False))


def _parts(upload_id: UUID, rows: Sequence[Numbered]) -> Iterator[dict[str, object]]:
    for number, first in enumerate(range(0, len(rows), _PART_ROWS)):
        part_id = uuid7()
        written = json.dumps(rows[first : first + _PART_ROWS], ensure_ascii=False)
        yield {
            "id": part_id,
            "upload_id": upload_id,
            "number": number,
            "rows_enc": sealing.seal(written, "bulk_part", "rows_enc", part_id),
        }
