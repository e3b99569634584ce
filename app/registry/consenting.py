"""单独同意: a guardian's separate consent to the handling of a child's data (个人信息保护法 28–31), and its withdrawal.

A child is contracted for only while the last word of every guardian who has spoken agrees to the current text.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.errors import Refused
from app.ids import uuid7
from app.registry.models import Consent, Student

CURRENT = "1"
"""The version that is asked for now. A text that somebody has agreed to never changes: a new one is a new file."""
_TEXTS = Path(__file__).parent / "consents"

# The last word of each present guardian of a child counts; one that withdrew hides it, and nobody contracts for it.
_WEIGH = text("""
    WITH last_word AS (
        SELECT DISTINCT ON (c.student_id, c.guardian_id) c.student_id, c.act, c.version
        FROM consent c JOIN guardianship g ON g.student_id = c.student_id AND g.guardian_id = c.guardian_id
        WHERE c.student_id = ANY (CAST(:students AS uuid[]))
        ORDER BY c.student_id, c.guardian_id, c.at DESC, c.id DESC
    ), weighed AS (
        SELECT s.id, coalesce(bool_or(w.act = 'withdrawn'), false) AS withdrawn,
            max(w.version) FILTER (WHERE w.version = :current AND w.act = 'given') AS agreed
        FROM student s LEFT JOIN last_word w ON w.student_id = s.id
        WHERE s.id = ANY (CAST(:students AS uuid[])) AND s.erased_at IS NULL
        GROUP BY s.id
    )
    UPDATE student SET consent_version = CASE WHEN withdrawn THEN NULL ELSE agreed END,
        hidden_at = CASE WHEN withdrawn THEN coalesce(hidden_at, :now) END
    FROM weighed
    WHERE student.id = weighed.id AND (student.consent_version, student.hidden_at IS NOT NULL)
        IS DISTINCT FROM (CASE WHEN withdrawn THEN NULL ELSE agreed END, withdrawn)
    RETURNING student.id
""")


@dataclass(frozen=True, slots=True)
class ConsentText:
    """What a guardian is asked to agree to."""

    version: str
    text: str
    sha256: bytes


@lru_cache
def consent_text(version: str = CURRENT) -> ConsentText:
    """A version of the text."""
    content = (_TEXTS / f"{version}.txt").read_bytes()
    return ConsentText(version, content.decode(), hashlib.sha256(content).digest())


def check_version(version: str | None) -> None:
    """Raises Refused("registry.consent_needed") unless it is the current text that somebody agrees to."""
    if version != CURRENT:
        raise needed()


def needed() -> Refused:
    """The refusal of what needs a guardian's consent; to be raised."""
    return Refused("registry.consent_needed", "请先阅读并同意《处理未成年人个人信息告知与同意书》", field="consent", version=CURRENT)


async def give(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]]) -> None:
    """Guardians agree to the current text for their children; who agreed to it already is not recorded again."""
    await _speak(session, pairs, "given")


async def take_back(session: AsyncSession, guardian_id: UUID, student_id: UUID) -> None:
    """A guardian withdraws their consent."""
    await _speak(session, [(guardian_id, student_id)], "withdrawn")


async def weigh(session: AsyncSession, student_ids: Collection[UUID]) -> None:
    """Let the present guardians' last words count for these children; to be called whenever either has changed."""
    changed = (await session.scalars(_WEIGH, {"students": list(student_ids), "current": CURRENT, "now": clock.now()})).all()
    if changed:
        # What the session knows of them is old now.
        await session.scalars(select(Student).where(Student.id.in_(changed)), execution_options={"populate_existing": True})


async def consents_of_child(session: AsyncSession, student_id: UUID) -> Sequence[Consent]:
    """Every consent and withdrawal about a child, the newest first."""
    spoken = select(Consent).where(Consent.student_id == student_id).order_by(Consent.at.desc(), Consent.id.desc())
    return (await session.scalars(spoken)).all()


async def _speak(session: AsyncSession, pairs: Collection[tuple[UUID, UUID]], act: str) -> None:
    spoken = (
        select(Consent.guardian_id, Consent.student_id, Consent.act, Consent.version)
        .ext(distinct_on(Consent.guardian_id, Consent.student_id))
        .where(tuple_(Consent.guardian_id, Consent.student_id).in_(pairs))
        .order_by(Consent.guardian_id, Consent.student_id, Consent.at.desc(), Consent.id.desc())
    )
    last_words = {(row.guardian_id, row.student_id): (row.act, row.version) for row in await session.execute(spoken)}
    said = consent_text()
    now = clock.now()
    session.add_all(
        Consent(id=uuid7(), guardian_id=guardian_id, student_id=student_id, act=act, version=said.version, text_sha256=said.sha256, at=now)
        for guardian_id, student_id in dict.fromkeys(pairs)
        if last_words.get((guardian_id, student_id)) != (act, CURRENT)
    )
    await session.flush()
    await weigh(session, {student_id for _, student_id in pairs})
