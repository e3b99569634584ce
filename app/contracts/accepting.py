"""A contract's text: shown before signing, accepted word for word, kept with its hash, and read again by its family."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock, sealing
from app.banking.models import BankAccount
from app.contracts import document, rules
from app.contracts.document import Agreement, Parties, Wording
from app.contracts.families import check_own
from app.contracts.judging import Judged
from app.contracts.models import Contract, ContractDocument, ContractText
from app.contracts.rules import SoldCharge
from app.contracts.terms import Terms, Way
from app.crypto import Unreadable, mask_name, mask_phone
from app.db import district_of
from app.errors import Conflict, NotFound, Refused
from app.policy.packs import pack_for
from app.registry.courses import Course, course_of
from app.registry.families import ERASED
from app.registry.models import Campus, Student, Teacher, TrainingClass
from app.registry.queries import HIDDEN

_PARTIES = text("""
    SELECT contract.id, student.id AS student_id, student.name_enc, guardian.id AS guardian_id, guardian.phone_enc
    FROM contract JOIN student ON student.id = contract.student_id JOIN guardian ON guardian.id = contract.guardian_id
    WHERE contract.id = ANY (CAST(:contracts AS uuid[]))
""")
# Two who sign for the same class at once enter the same text; in the order of the hashes nobody waits for each other.
_KEEP_TEXTS = text("""
    INSERT INTO contract_text (sha256, template, text)
    SELECT * FROM unnest(CAST(:hashes AS bytea[]), CAST(:templates AS text[]), CAST(:texts AS text[]))
    ON CONFLICT (sha256) DO NOTHING
""")
_KEEP = text("""
    INSERT INTO contract_document (id, text_sha256, sha256, parties_enc, accepted_by, accepted_at)
    SELECT kept.id, kept.text_sha256, kept.sha256, kept.parties_enc, contract.guardian_id, contract.created_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:texts AS bytea[]), CAST(:hashes AS bytea[]), CAST(:parties AS bytea[]))
        AS kept (id, text_sha256, sha256, parties_enc)
    JOIN contract ON contract.id = kept.id
""")
_FORGET = text("SELECT forget_contract_parties(CAST(:students AS uuid[]), CAST(:guardians AS uuid[]))")


@dataclass(frozen=True, slots=True)
class Signing:
    """A contract that is being signed. `accepted` is the SHA-256 of the text that the guardian read; None: whatever it says now."""

    contract: Contract
    course: Course
    sale: Judged
    accepted: bytes | None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A contract's text as a party reads it; `whole` is False once the lines about the parties are erased.

    `sha256` is of the text as it was accepted, with the child's name in clear.
    """

    contract_id: UUID
    contract_no: str
    template: str
    text: str
    sha256: bytes
    accepted_at: datetime
    whole: bool


async def offered(session: AsyncSession, class_id: UUID, terms: Terms | None = None) -> Wording:
    """What joining a class now would say; without terms of all its lessons, paid at once.

    Raises NotFound("registry.class_not_found") also for a class that was not approved, Refused("contracts.over") when no class session
    is left, and what `rules.sold` raises.
    """
    course = await course_of(session, class_id)
    if course.training_class.status in ("filed", "refused"):
        raise NotFound("registry.class_not_found", "没有这个班级")
    lessons = rules.offer(course, clock.now())
    if not lessons:
        raise Refused("contracts.over", "该班级的课次都已开始，不能再报名")
    chosen = terms or rules.once(lessons, clock.today())
    known = await _known(session, {class_id: course})
    return document.wording_of(known[class_id].agreement(chosen.way, rules.sold(lessons, chosen, clock.today())))


async def accept_all(session: AsyncSession, signings: Sequence[Signing]) -> None:
    """Keep the text of each new contract as its guardian accepts it.

    Raises Conflict("contracts.document_changed") with the present `text` and its `sha256` where the guardian read another one.
    """
    known = await _known(session, {each.contract.class_id: each.course for each in signings})
    wordings: dict[tuple[UUID, Terms], Wording] = {}
    for each in signings:
        key = (each.contract.class_id, each.sale.terms)
        if key not in wordings:
            wordings[key] = document.wording_of(known[key[0]].agreement(each.sale.terms.way, each.sale.charges))
        if each.accepted not in (None, wordings[key].sha256):
            raise _changed(wordings[key])
    by_hash = {wording.sha256: wording for wording in wordings.values()}
    kept = [by_hash[sha256] for sha256 in sorted(by_hash)]
    texts = {"hashes": [each.sha256 for each in kept], "templates": [each.template for each in kept], "texts": [each.text for each in kept]}
    await session.execute(_KEEP_TEXTS, texts)
    parties = await session.execute(_PARTIES, {"contracts": [each.contract.id for each in signings]})
    people = {row.id: row for row in parties}
    rows = [_row(each.contract, people[each.contract.id], wordings[each.contract.class_id, each.sale.terms]) for each in signings]
    ids, text_hashes, hashes, sealed = zip(*rows, strict=True)
    await session.execute(_KEEP, {"ids": ids, "texts": text_hashes, "hashes": hashes, "parties": sealed})


async def document_of(session: AsyncSession, guardian_id: UUID, contract_id: UUID) -> DocumentView | None:
    """The text of a contract that the guardian signed or that is their child's; None where it is older than the keeping of texts.

    Raises NotFound("contracts.not_found"), also for others; crypto.Unreadable for a text that is not the accepted one any more.
    """
    contract = await session.get(Contract, contract_id)
    await check_own(session, [(guardian_id, contract)])
    assert contract is not None
    return await _view(session, contract)


async def document_of_institution(session: AsyncSession, institution_id: UUID, contract_id: UUID) -> DocumentView | None:
    """The institution's copy of its own contract: the child's name is masked, as everywhere that it may look, and all else the same.

    None and raised is what `document_of` says.
    """
    contract = await session.get(Contract, contract_id)
    if contract is None or contract.institution_id != institution_id:
        raise NotFound("contracts.not_found", "没有这份合同")
    hidden = (await session.get_one(Student, contract.student_id)).hidden_at is not None
    return await _view(session, contract, lambda name: HIDDEN if hidden else mask_name(name))


def kept(view: DocumentView | None) -> DocumentView:
    """The text where there is one. Raises NotFound("contracts.no_document") for a contract older than accepted texts."""
    if view is None:
        raise NotFound("contracts.no_document", "这份合同签订于电子合同启用之前，没有保存电子文本")
    return view


async def forget(session: AsyncSession, *, students: Collection[UUID] = (), guardians: Collection[UUID] = ()) -> None:
    """Empty what contracts say about these children and guardians, who are erased already; the terms and every hash stay."""
    await session.execute(_FORGET, {"students": list(students), "guardians": list(guardians)})


@dataclass(frozen=True, slots=True)
class _Common:
    """What a class's contracts have in common."""

    course: Course
    teacher: Teacher
    campus: Campus | None
    account: BankAccount
    district: str

    def agreement(self, way: Way, charges: Sequence[SoldCharge]) -> Agreement:
        return Agreement(
            institution=self.course.institution,
            training_class=self.course.training_class,
            teacher=self.teacher,
            campus=self.campus,
            holder=self.account.holder_name,
            account_no=self.account.account_no,
            way=way,
            charges=charges,
            pack=pack_for(self.district, clock.today()),
            pays_by=rules.pays_by(charges[0], clock.today()),
        )


async def _view(session: AsyncSession, contract: Contract, name_masked: Callable[[str], str] | None = None) -> DocumentView | None:
    joined = select(ContractDocument, ContractText).join(ContractText, ContractText.sha256 == ContractDocument.text_sha256)
    found = (await session.execute(joined.where(ContractDocument.id == contract.id))).one_or_none()
    if found is None:
        return None
    kept, said = found
    parties = None if kept.parties_enc is None else sealing.unseal(kept.parties_enc, "contract_document", "parties_enc", kept.id)
    if parties is not None and document.hash_of(said.text, parties) != kept.sha256:
        raise Unreadable("the text of a contract is not the accepted one")
    if parties is not None and name_masked is not None:
        parties = document.masked_parties(parties, name_masked)
    return DocumentView(
        contract_id=contract.id,
        contract_no=contract.contract_no,
        template=said.template,
        text=said.text + (parties if parties is not None else f"\n签署记录\n合同编号：{contract.contract_no}\n学员与乙方：{ERASED}\n"),
        sha256=kept.sha256,
        accepted_at=kept.accepted_at,
        whole=parties is not None,
    )


async def _known(session: AsyncSession, courses: Mapping[UUID, Course]) -> dict[UUID, _Common]:
    supervised = (BankAccount.book_id == TrainingClass.institution_id) & (BankAccount.role == "supervised")
    rows = await session.execute(
        select(TrainingClass.id, Teacher, Campus, BankAccount)
        .join(Teacher, Teacher.id == TrainingClass.teacher_id)
        .join(BankAccount, supervised)
        .outerjoin(Campus, Campus.id == TrainingClass.campus_id)
        .where(TrainingClass.id.in_(courses))
    )
    district = district_of(session)
    return {class_id: _Common(courses[class_id], teacher, campus, account, district) for class_id, teacher, campus, account in rows}


def _row(contract: Contract, people: Row[Any], wording: Wording) -> tuple[UUID, bytes, bytes, bytes]:
    parties = document.parties_of(
        Parties(
            contract_no=contract.contract_no,
            student_name=sealing.unseal(people.name_enc, "student", "name_enc", people.student_id),
            phone_masked=mask_phone(sealing.unseal(people.phone_enc, "guardian", "phone_enc", people.guardian_id)),
            accepted_at=contract.created_at,
            judged_by=contract.judged_by,
            findings=[finding for finding in contract.findings if finding.get("binding", True)],
        ),
        wording,
    )
    sealed = sealing.seal(parties, "contract_document", "parties_enc", contract.id)
    return contract.id, wording.sha256, document.hash_of(wording.text, parties), sealed


def _changed(wording: Wording) -> Conflict:
    return Conflict(
        "contracts.document_changed",
        "合同内容刚刚有变动，请重新阅读后再签订",
        field="document",
        text=wording.text,
        sha256=wording.sha256.hex(),
    )
