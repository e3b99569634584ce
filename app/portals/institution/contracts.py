"""合同: the institution's contracts, and its copy of what was agreed, as pages, as JSON and as a file."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app.contracts import accepting, queries
from app.contracts.accepting import DocumentView, kept
from app.contracts.queries import ContractView
from app.db import District
from app.portals.contract_pdf import PDF_FILE, contract_pdf
from app.portals.edge import Home, InstitutionCaller, Read, snapshot
from app.portals.fields import Listed, PageByTime, PathId, listed
from app.portals.pages import render
from app.security import InstitutionStaff

api = APIRouter(prefix="/api/v1/institution/contracts", tags=["institution"])
pages = APIRouter(prefix="/institution/contracts", include_in_schema=False)


class ContractItem(BaseModel):
    """A contract of the institution's; the child's name is masked. `escrow_fen` is what its lessons still hold in escrow."""

    id: UUID
    contract_no: str
    status: str = Field(description="created → paid → closed, or lapsed; paid afterwards: agreed → closed")
    class_id: UUID
    class_name: str
    student_id: UUID
    student_name: str
    amount_fen: int
    escrow_fen: int
    lesson_count: int
    way: str = Field(description="once, parts or later")
    old_stock: bool = Field(description="存量: made and paid before custody, entered by the institution")
    created_at: datetime
    paid_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, view: ContractView) -> "ContractItem":
        """The answer about a contract."""
        return cls(
            id=view.id,
            contract_no=view.contract_no,
            status=view.status,
            class_id=view.class_id,
            class_name=view.class_name,
            student_id=view.student_id,
            student_name=view.student_name_masked,
            amount_fen=view.amount_fen,
            escrow_fen=view.escrow_fen,
            lesson_count=len(view.lessons),
            way=view.way,
            old_stock=view.old_stock,
            created_at=view.created_at,
            paid_at=view.paid_at,
            ended_at=view.ended_at,
        )


class ContractCopy(BaseModel):
    """The institution's copy of a contract. The terms have the hash that stands below them; the child's name is masked."""

    contract_id: UUID
    contract_no: str
    template: str
    sha256: str = Field(description="Of the text as its guardian accepted it, with the child's name in clear")
    text: str
    accepted_at: datetime
    whole: bool = Field(description="False once the lines about the parties are erased")

    @classmethod
    def of(cls, view: DocumentView) -> "ContractCopy":
        """The answer about a contract's text."""
        return cls(
            contract_id=view.contract_id,
            contract_no=view.contract_no,
            template=view.template,
            sha256=view.sha256.hex(),
            text=view.text,
            accepted_at=view.accepted_at,
            whole=view.whole,
        )


@api.get("", summary="Contracts, newest first")
async def contracts(
    caller: InstitutionCaller, session: Read, paging: PageByTime, class_id: Annotated[UUID | None, Query()] = None
) -> Listed[ContractItem]:
    """All of them, or of one class."""
    found = await queries.contracts_of_institution(session, caller.institution_id, paging.after, paging.more, class_id)
    return listed([ContractItem.of(each) for each in found], [(each.created_at, each.id) for each in found], paging)


@api.get("/{contract_id}/document", summary="The institution's copy of a contract")
async def document(contract_id: PathId, caller: InstitutionCaller, session: Read) -> ContractCopy:
    """As the guardian accepted it, but for the child's name."""
    return ContractCopy.of(kept(await accepting.document_of_institution(session, caller.institution_id, contract_id)))


@api.get("/{contract_id}/document.pdf", summary="The institution's copy as PDF", response_class=Response, responses=PDF_FILE)
async def document_file(contract_id: PathId, caller: InstitutionCaller, home: Home) -> Response:
    """The same text on A4."""
    return await contract_pdf(await _document(home, caller, contract_id))


@pages.get("/{contract_id}")
async def document_page(request: Request, contract_id: PathId, caller: InstitutionCaller, session: Read) -> Response:
    """The whole text, to read."""
    contract = await queries.contract_of_institution(session, caller.institution_id, contract_id)
    view = await accepting.document_of_institution(session, caller.institution_id, contract_id)
    return render(request, "institution/contract.html", contract=contract, document=view)


@pages.get("/{contract_id}/document.pdf")
async def document_download(contract_id: PathId, caller: InstitutionCaller, home: Home) -> Response:
    """The same text on A4."""
    return await contract_pdf(await _document(home, caller, contract_id))


async def _document(home: District, caller: InstitutionStaff, contract_id: UUID) -> DocumentView:
    """Read in a transaction of its own: drawing takes a second, and holds no connection."""
    async with snapshot(home) as session:
        return kept(await accepting.document_of_institution(session, caller.institution_id, contract_id))
