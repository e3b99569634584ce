"""JSON of the parent end about the family: children, their other guardians, consent, look-ups, everything as a file, erasure."""

from dataclasses import asdict
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from app.portals.download import Download
from app.portals.edge import Home, ParentCaller, Read, Write
from app.portals.fields import Listed, PageByTime, PathId, listed
from app.portals.parent import takeaway
from app.portals.parent.family_answers import (
    AcceptInput,
    ConsentInput,
    ConsentItem,
    ConsentTextAnswer,
    CorrectionInput,
    GuardianItem,
    InvitationItem,
    Invited,
    InviteInput,
    Left,
    LookupItem,
    StudentAnswer,
    StudentDetail,
    StudentInput,
)
from app.privacy import leaving, lookups
from app.registry import consenting, families, family_queries, inviting
from app.registry.families import Correction
from app.security import Parent

router = APIRouter(prefix="/api/v1/parent", tags=["parent"])


@router.get("/consent-text", summary="The text about a child's data")
async def consent_text(caller: ParentCaller) -> ConsentTextAnswer:
    """What a guardian agrees to when they enter a child; its version goes into `consent`."""
    said = consenting.consent_text()
    return ConsentTextAnswer(version=said.version, text=said.text, sha256=said.sha256.hex())


@router.post("/students", status_code=201, summary="Enter a child")
async def add_student(body: StudentInput, caller: ParentCaller, session: Write) -> StudentAnswer:
    """With the guardian's consent. The same name and month of birth again is the same child."""
    student = await families.add_student(session, caller.guardian_id, body.name, body.birth_month, body.stage, consent=body.consent)
    return StudentAnswer.model_validate(await family_queries.student(session, caller.guardian_id, student.id))


@router.get("/students", summary="The caller's children")
async def students(caller: ParentCaller, session: Read) -> Listed[StudentAnswer]:
    """In the order in which they were entered, at most 20."""
    views = await family_queries.students(session, caller.guardian_id)
    return Listed(items=[StudentAnswer.model_validate(view) for view in views], next_cursor=None)


@router.get("/students/{student_id}", summary="One child")
async def student(student_id: PathId, caller: ParentCaller, session: Read) -> StudentDetail:
    """With who answers for it, open invitations, and what was agreed to."""
    return await _detail(session, caller, student_id)


@router.put("/students/{student_id}", summary="Correct a child's data")
async def correct(student_id: PathId, body: CorrectionInput, caller: ParentCaller, session: Write) -> StudentAnswer:
    """Name, month of birth and stage as they should be."""
    await families.correct_student(session, caller, student_id, Correction(body.name or "", body.birth_month or "", body.stage))
    return StudentAnswer.model_validate(await family_queries.student(session, caller.guardian_id, student_id))


@router.delete("/students/{student_id}", summary="Stop answering for a child")
async def leave(student_id: PathId, caller: ParentCaller, session: Write) -> Left:
    """Where nobody else does, the child's data is erased; refused while it has a live contract or money with us."""
    return Left(erased=await leaving.leave_child(session, caller, student_id))


@router.post("/students/{student_id}/consent", summary="Agree to the handling of a child's data")
async def consent(student_id: PathId, body: ConsentInput, caller: ParentCaller, session: Write) -> StudentDetail:
    """Every present guardian's last word must agree before contracts can be signed."""
    await families.agree(session, caller, student_id, body.consent)
    return await _detail(session, caller, student_id)


@router.delete("/students/{student_id}/consent", summary="Withdraw consent")
async def withdraw(student_id: PathId, caller: ParentCaller, session: Write) -> StudentDetail:
    """No new contract for the child, and its name is shown to its family only; contracts and their money stand."""
    await families.withdraw_consent(session, caller, student_id)
    return await _detail(session, caller, student_id)


@router.post("/students/{student_id}/invitations", status_code=201, summary="Invite another guardian")
async def invite(student_id: PathId, body: InviteInput, caller: ParentCaller, session: Write) -> Invited:
    """For two days and to be taken once. The answer tells nothing about the phone."""
    made = await inviting.invite(session, caller, student_id, body.phone)
    return Invited(id=made.invitation.id, code=made.code, expires_at=made.invitation.expires_at)


@router.get("/invitations", summary="Invitations to the caller's phone")
async def invitations(caller: ParentCaller, session: Read) -> Listed[InvitationItem]:
    """The newest first, at most 20."""
    views = await family_queries.invitations_to(session, caller.guardian_id)
    return Listed(items=[InvitationItem.model_validate(view) for view in views], next_cursor=None)


@router.post("/invitations/acceptance", summary="Accept an invitation")
async def accept(body: AcceptInput, caller: ParentCaller, session: Write) -> StudentAnswer:
    """Answer for the child too, with consent to the handling of its data."""
    child = await inviting.accept(session, caller, body.consent, code=body.code, invitation_id=body.invitation_id)
    return StudentAnswer.model_validate(await family_queries.student(session, caller.guardian_id, child.id))


@router.delete("/invitations/{invitation_id}", status_code=204, summary="Take back or turn down an invitation")
async def end_invitation(invitation_id: PathId, caller: ParentCaller, session: Write) -> None:
    """One for the caller's child, or one to the caller's phone."""
    await inviting.end(session, caller, invitation_id)


@router.get("/lookups", summary="Who looked at the family's data")
async def own_lookups(caller: ParentCaller, session: Read, paging: PageByTime) -> Listed[LookupItem]:
    """Newest first: which officer, for which case, why."""
    views = await lookups.lookups_of_guardian(session, caller.guardian_id, paging.after, paging.more)
    return listed([LookupItem.model_validate(view) for view in views], [(view.at, view.id) for view in views], paging)


@router.get("/export.json", response_class=Download, responses=takeaway.answers(takeaway.JSON), summary="Everything about the family")
async def export_json(caller: ParentCaller, home: Home) -> Download:
    """Names and phones of the caller's own in clear."""
    return await takeaway.download(home, caller, takeaway.JSON)


@router.get("/export.csv", response_class=Download, responses=takeaway.answers(takeaway.CSV), summary="Every lesson of the family")
async def export_csv(caller: ParentCaller, home: Home) -> Download:
    """With contract, price and what became of it, for a spreadsheet."""
    return await takeaway.download(home, caller, takeaway.CSV)


@router.delete("/account", status_code=204, summary="Erase the caller")
async def erase(caller: ParentCaller, session: Write) -> None:
    """And every child that nobody else answers for. Every session ends. Refused while a contract lives or money is on its way."""
    await leaving.erase_account(session, caller)


async def _detail(session: AsyncSession, caller: Parent, student_id: UUID) -> StudentDetail:
    view = await family_queries.student(session, caller.guardian_id, student_id)
    return StudentDetail.model_validate(
        asdict(view)
        | {
            "answering": [GuardianItem.model_validate(each) for each in await family_queries.guardians_of_child(session, student_id)],
            "invitations": [
                InvitationItem.model_validate(each) for each in await family_queries.open_invitations_of_child(session, student_id)
            ],
            "consents": [ConsentItem.model_validate(each) for each in await family_queries.consents_of_child(session, student_id)],
        }
    )
