"""合同文本: what was agreed, word for word, as a page, as JSON and as a file."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.contracts import accepting
from app.contracts.accepting import DocumentView, kept
from app.contracts.document import Wording
from app.db import District
from app.portals.contract_pdf import PDF_FILE, contract_pdf
from app.portals.edge import Home, ParentCaller, Read, snapshot
from app.portals.fields import PathId
from app.portals.pages import render
from app.portals.parent.terms import TermsInput
from app.security import Parent

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1/parent", tags=["parent"])


class WordingInput(BaseModel):
    """How it would be paid; without terms, all that is left of the class, paid at once."""

    terms: TermsInput | None = None


class WordingAnswer(BaseModel):
    """What a contract says without its parties. Its `sha256` goes into `document` of what is signed."""

    template: str
    sha256: str
    text: str

    @classmethod
    def of(cls, wording: Wording) -> "WordingAnswer":
        """The answer about a text."""
        return cls(template=wording.template, sha256=wording.sha256.hex(), text=wording.text)


class DocumentAnswer(BaseModel):
    """A contract's whole text as it was accepted, with the names of its parties in clear."""

    contract_id: UUID
    contract_no: str
    template: str
    sha256: str = Field(description="Of the whole text as UTF-8")
    text: str
    accepted_at: datetime
    whole: bool = Field(description="False once the lines about the parties are erased: the hash is then of more than is left")

    @classmethod
    def of(cls, view: DocumentView) -> "DocumentAnswer":
        """The answer about a contract."""
        return cls(
            contract_id=view.contract_id,
            contract_no=view.contract_no,
            template=view.template,
            sha256=view.sha256.hex(),
            text=view.text,
            accepted_at=view.accepted_at,
            whole=view.whole,
        )


@api.post("/classes/{class_id}/document", summary="What a contract would say")
async def offered(class_id: PathId, body: WordingInput, caller: ParentCaller, session: Read) -> WordingAnswer:
    """To be read before signing; nothing is kept."""
    return WordingAnswer.of(await accepting.offered(session, class_id, body.terms.terms() if body.terms else None))


@api.get("/contracts/{contract_id}/document", summary="A contract's text")
async def document(contract_id: PathId, caller: ParentCaller, session: Read) -> DocumentAnswer:
    """As the guardian accepted it."""
    return DocumentAnswer.of(kept(await accepting.document_of(session, caller.guardian_id, contract_id)))


@api.get("/contracts/{contract_id}/document.pdf", summary="A contract as PDF", response_class=Response, responses=PDF_FILE)
async def document_file(contract_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """The same text on A4, its hash on every page."""
    return await contract_pdf(await _document(home, caller, contract_id))


@router.get("/contracts/{contract_id}/document")
async def document_page(request: Request, contract_id: PathId, caller: ParentCaller, session: Read) -> Response:
    """The whole text, to read."""
    view = await accepting.document_of(session, caller.guardian_id, contract_id)
    return render(request, "parent/document.html", contract_id=contract_id, document=view)


@router.get("/contracts/{contract_id}/document.pdf")
async def document_download(contract_id: PathId, caller: ParentCaller, home: Home) -> Response:
    """The same text on A4, its hash on every page."""
    return await contract_pdf(await _document(home, caller, contract_id))


async def _document(home: District, caller: Parent, contract_id: UUID) -> DocumentView:
    """Read in a transaction of its own: drawing takes a second, and holds no connection."""
    async with snapshot(home) as session:
        return kept(await accepting.document_of(session, caller.guardian_id, contract_id))
