"""A served district in the middle of its life, with somebody of every role signed in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import select

from app import clock
from app.banking.models import BankMovement
from app.bulk import service as bulk
from app.bulk.headings import Table
from app.bulk.kinds import Importer
from app.bulk.reader import Numbered
from app.bulk.registry import KINDS
from app.db import Database
from app.lessons import trials
from app.payments import codes
from app.refunds import service as refunds
from app.registry import applications, changes, consenting, institutions, inviting
from app.registry.applications import ApplicationDraft
from app.registry.changes import ChangeDraft
from app.registry.models import Campus, Institution, InstitutionApplication, InstitutionChange
from app.security import Parent
from app.settlement import jobs as settlement_jobs
from app.supervision import scanning
from app.supervision.models import Alert
from app.supervision.service import Finding, raise_alerts
from tests.portals.desks import desks_of
from tests.portals.families import at_home
from tests.portals.port import served
from tests.school import found_school
from tests.world import World


@dataclass(frozen=True)
class Stage:
    """Its address, a token of each role, and the ids of what is there by the name under which the API takes them."""

    url: str
    tokens: dict[str, str]
    known: dict[str, list[str]]


@asynccontextmanager
async def staged(world: World, database: Database) -> AsyncIterator[Stage]:
    """Serve it for the length of a block."""
    known, parent, institution = await _lived_in(world)
    async with AsyncExitStack() as stack:
        desks = await stack.enter_async_context(desks_of(world, database))
        people = [await at_home(desks, parent), await desks.institution(institution), await desks.clerk(), await desks.officer()]
        url = await stack.enter_async_context(served(desks))
        yield Stage(url, {desk.end: desk.token for desk in people}, known)


async def _lived_in(world: World) -> tuple[dict[str, list[str]], Parent, Institution]:
    """Lessons confirmed, disputed and waiting; a payout, a refund, an alert, an open payment."""
    school = await found_school(world)
    mine, theirs, leaving = [await school.enrol() for _ in range(3)]
    await school.deliver(1, mine, theirs, leaving)
    await school.deliver(2, mine)
    await school.confirm(mine, 1)
    await school.dispute(theirs, 1)
    drafted = await settlement_jobs.run_district(world.district, clock.today(), 1)
    async with world.district.transaction() as session:
        [refund] = await refunds.request(session, leaving.parent, leaving.contract.id, "搬家")
        await raise_alerts(session, [Finding(school.institution.id, "large_transfer", "instruction:none", {"amount_fen": 1})])
        invited = await inviting.invite(session, mine.parent, mine.student.id)
        alert_ids = list(await session.scalars(select(Alert.id)))
    curious = await world.child(mine.parent, "王小红")
    async with world.district.transaction() as session:
        trial = await trials.book(session, mine.parent, school.sessions[2].id, curious.id)
        report = await scanning.report(session, "https://pay.example/1", "校门口", "")
    waiting = await world.sign(mine.parent, await world.training_class(school.institution))
    payment = await world.order(mine.parent, waiting)
    application, change, campus = await _registered(world, school.institution)
    kind = KINDS["students"]
    async with world.district.transaction() as session:
        importer = Importer(school.institution.id, "staff:clerk")
        table = Table(["A", "B", "C", None], [Numbered(2, ["13800138000", "王小红", "2017-05", ""])])
        upload = (await bulk.receive(session, importer, kind, table)).upload
        movements = list(await session.scalars(select(BankMovement.id).limit(3)))
    found = {
        "contract_id": [mine.contract.id, waiting.id, theirs.contract.id],
        "on": [clock.today()],
        "lesson_id": [*mine.lesson_ids, theirs.lesson_ids[0], leaving.lesson_ids[0]],
        "lesson_ids": [*mine.lesson_ids, theirs.lesson_ids[0]],
        "contract_no": [mine.contract.contract_no],
        "invitation_id": [invited.invitation.id],
        "consent": [consenting.CURRENT],
        "class_id": [school.training_class.id],
        "class_session_id": [each.id for each in school.sessions],
        "student_id": [mine.student.id, theirs.student.id],
        "attended_student_ids": [mine.student.id, theirs.student.id],
        "teacher_id": [school.training_class.teacher_id],
        "institution_id": [school.institution.id],
        "book": [school.institution.id],
        "payout_id": [each.id for each in drafted],
        "alert_id": alert_ids,
        "payment_no": [payment.payment_no],
        "refund_no": [refund.refund_no],
        "connection": ["mock"],
        "application_id": [application.id],
        "application_no": [application.application_no],
        "change_id": [change.id],
        "campus_id": [campus.id],
        "trial_id": [trial.id],
        "report_id": [report.id],
        "upload_id": [upload.id],
        "movement_id": movements,
        "kind": [kind.slug],
        "register": ["students"],
        "code": [codes.code_for(payment)],
    }
    return {name: [str(each) for each in values] for name, values in found.items()}, mine.parent, school.institution


async def _registered(world: World, institution: Institution) -> tuple[InstitutionApplication, InstitutionChange, Campus]:
    """An application and a change that wait for an officer, and a campus."""
    draft = await world.institution_draft()
    async with world.district.transaction() as session:
        application = await applications.apply(session, ApplicationDraft(draft, "waiting", "孙管理", "no hash"))
        proposal = ChangeDraft("address", "新址 9 号", "搬迁")
        change = await changes.propose(session, world.staff(institution), institution.id, proposal)
        [campus] = await institutions.campuses(session, institution.id)
    return application, change, campus
