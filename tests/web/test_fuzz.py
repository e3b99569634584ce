"""The whole API under fire: what its own description allows, what it forbids, and what no description thinks of."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import anyio.to_thread
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from app.crypto import keyed_hash
from app.db import Database
from app.payments import codes
from app.refunds import service as refunds
from app.settlement import jobs as settlement_jobs
from app.supervision.service import raise_alert
from bank_adapters.mock_bank.client import MockBank
from tests.portals.desks import Desk, desks_of
from tests.portals.families import at_home
from tests.portals.port import served
from tests.school import found_school
from tests.world import World

OWN_EXAMPLES, OTHERS_EXAMPLES = 10, 2
ENDLESS = ("/api/v1/supervision/alerts/stream", "/api/v1/supervision/movements/stream")
SIGNS_OUT = "/api/v1/auth/session"
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
CODE = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")


@dataclass(frozen=True)
class Stage:
    """A served district in the middle of its life: who is signed in, and the ids of what is there, by parameter name."""

    url: str
    tokens: dict[str, str]
    known: dict[str, list[str]]


@pytest.fixture
async def stage(world: World, database: Database) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        desks = await stack.enter_async_context(desks_of(world, database))
        known, parent, institution = await _lived_in(world)
        people: list[Desk] = [
            await at_home(desks, parent),
            await desks.institution(institution),
            await desks.clerk(),
            await desks.officer(),
        ]
        url = await stack.enter_async_context(served(desks))
        yield Stage(url, {desk.end: desk.token for desk in people}, known)


async def _lived_in(world: World) -> tuple[dict[str, list[str]], Any, Any]:
    school = await found_school(world, lesson_count=4)
    first, second, third = [await school.enrol() for _ in range(3)]
    await school.deliver(1, first, second, third)
    await school.deliver(2, first)
    await school.confirm(first, 1)
    await school.dispute(second, 1)
    drafted = await settlement_jobs.run_district(world.district, world_date(), 1, "system")
    async with world.district.transaction() as session:
        refund = await refunds.request(session, third.parent, third.contract.id, "搬家")
    async with world.district.transaction() as session:
        await raise_alert(session, school.institution.id, "large_transfer", "instruction:none", {"amount_fen": 1})
    await world.work()
    waiting = await school.sign(first.parent, await world.child(first.parent, "王小红"))
    payment = await world.order(first.parent, waiting.contract)
    known = {
        "contract_id": [first.contract.id, waiting.contract.id, second.contract.id],
        "lesson_id": [*first.lesson_ids, second.lesson_ids[0], third.lesson_ids[0]],
        "lesson_ids": [*first.lesson_ids, second.lesson_ids[0]],
        "class_id": [school.training_class.id],
        "class_session_id": [each.id for each in school.sessions],
        "student_id": [first.student.id, second.student.id],
        "attended_student_ids": [first.student.id, second.student.id],
        "teacher_id": [school.training_class.teacher_id],
        "institution_id": [school.institution.id],
        "book": [school.institution.id],
        "payout_id": [each.id for each in drafted],
        "payment_no": [payment.payment_no],
        "refund_no": [refund.refund_no],
        "connection": ["mock"],
        "code": [codes.code_for(payment)],
    }
    return {name: [str(each) for each in values] for name, values in known.items()}, first.parent, school.institution
