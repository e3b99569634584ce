"""Who acts in a simulation: an institution with its families, and the authorities that watch and pay it."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from app import clock
from app.contracts.models import Lesson
from app.lessons.service import Ruling
from app.payments.models import Payment
from app.sample import invented
from app.sample.invented import dice
from app.sample.plan import MOST_FAMILIES, FamilyPlan, InstitutionPlan
from app.sample.stage import Family, Stage
from app.security import SupervisionStaff
from app.settlement.models import Payout
from app.supervision import queries as supervision
from app.supervision import service as decisions

UNDERPAID_BY_FEN = 5_000
"""What a family that pays a wrong amount keeps back at first."""


class School:
    """One institution and its families, who do what their plan says when its day comes."""

    def __init__(self, stage: Stage, seed: int, plan: InstitutionPlan) -> None:
        self._stage = stage
        self._seed = seed
        self._plan = plan
        self._id = UUID(int=0)
        self._classes: dict[int, UUID] = {}
        self._enrolled: dict[UUID, tuple[FamilyPlan, Family]] = {}
        """By child."""
        self._hesitating: list[tuple[FamilyPlan, Family, Payment]] = []
        self._supervised_no = ""

    async def enter(self) -> None:
        """The institution is entered in the register and gets its two accounts."""
        plan = self._plan
        address = f"{'龙泉驿区'}"
        entered = await self._stage.institution(plan.number + 1, plan.name, plan.trade.kind, address, plan.lines)
        self._id = entered.id
