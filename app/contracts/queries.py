"""What contracts, their lessons and the classes on offer look like to their readers; pages of 100 rows at most."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.contracts import rules
from app.contracts.models import IN_ESCROW, LIVE, Contract, Lesson
from app.errors import NotFound
from app.registry import service as registry
from app.registry.models import ClassSession, Institution, Student, Teacher, TrainingClass
from app.registry.queries import PAGE, masked_name

type Cursor = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class ClassView:
    """A class as it stands in a list: who teaches it, what it costs in all, what is left of it."""

    id: UUID
    institution_id: UUID
    institution_name: str
    teacher_name: str
    teacher_certificate_no: str
    name: str
    subject: str
    price_fen: int
    lesson_count: int
    lessons_left: int
    seats: int
    seats_left: int
    starts_on: Any
    ends_on: Any
    status: str
    created_at: datetime
