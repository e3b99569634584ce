"""What the parent end takes and answers about children, guardians and personal data. Names and phones come masked."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.portals.fields import Text

OfView = ConfigDict(from_attributes=True)

Stage = Literal["preschool", "primary", "middle", "high"]
ConsentVersion = Annotated[
    Text, Field(max_length=20, description="The version of GET /consent-text that the guardian agrees to", examples=["1"])
]


class ConsentTextAnswer(BaseModel):
    """The text about a child's data that a guardian is asked to agree to."""

    version: str
    text: str
    sha256: str


class StudentInput(BaseModel):
    """A child to enter, and the guardian's separate consent to the handling of its data."""

    name: Annotated[Text, Field(max_length=40, examples=["王小明"])]
    birth_month: Annotated[Text, Field(max_length=7, examples=["2016-09"])]
    stage: Stage | None = Field(None, description="By default it follows from the month of birth")
    consent: ConsentVersion | None = None


class CorrectionInput(BaseModel):
    """A child's data as it should be; what is left out stays, except the stage, which then follows from the month of birth."""

    name: Annotated[Text, Field(max_length=40)] | None = None
    birth_month: Annotated[Text, Field(max_length=7)] | None = None
    stage: Stage | None = None


class ConsentInput(BaseModel):
    """What the guardian agrees to."""

    consent: ConsentVersion | None = None


class StudentAnswer(BaseModel):
    """A child of the caller."""

    model_config = OfView

    id: UUID
    name: str = Field(validation_alias="name_masked", description="Masked: 王*明")
    birth_month: str
    stage: Stage
    consented: bool = Field(description="Whether contracts can be signed for the child")
    hidden_at: datetime | None = Field(description="Since when a guardian's withdrawal stands: the name is shown to its family only")
    guardians: int


class GuardianItem(BaseModel):
    """Somebody who answers for the child."""

    model_config = OfView

    phone: str = Field(validation_alias="phone_masked", description="Masked: 138****1234")
    since: datetime


class InvitationItem(BaseModel):
    """An invitation that may still be taken."""

    model_config = OfView

    id: UUID
    student_id: UUID
    student_name: str = Field(validation_alias="student_name_masked", description="Masked")
    inviter_phone: str = Field(validation_alias="inviter_phone_masked", description="Masked")
    by_phone: bool
    expires_at: datetime


class ConsentItem(BaseModel):
    """What a guardian said about the text."""

    model_config = OfView

    act: str = Field(description="given or withdrawn")
    version: str
    at: datetime
    phone: str = Field(validation_alias="phone_masked", description="Masked")


class StudentDetail(StudentAnswer):
    """The same with who answers for the child, who is invited to, and what was agreed to."""

    answering: list[GuardianItem]
    invitations: list[InvitationItem]
    consents: list[ConsentItem]


class InviteInput(BaseModel):
    """Whom to invite: the holder of a phone, or whoever is given the code that the answer shows once."""

    phone: Annotated[Text, Field(max_length=32)] | None = None


class Invited(BaseModel):
    """An invitation just made."""

    id: UUID
    code: str | None = Field(description="Shown this once; null where it was made out to a phone")
    expires_at: datetime


class AcceptInput(ConsentInput):
    """Which invitation to take: one by its code, or one that was made out to the caller's phone."""

    code: Annotated[Text, Field(max_length=40)] | None = None
    invitation_id: UUID | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "AcceptInput":
        if (self.code is None) == (self.invitation_id is None):
            raise ValueError("either a code or an invitation")
        return self


class Left(BaseModel):
    """What leaving a child did."""

    erased: bool = Field(description="Whether nobody else answered for the child, so that its data was erased")


class LookupItem(BaseModel):
    """An officer looked at who stands behind a contract; what they saw is in no log."""

    model_config = OfView

    id: UUID
    at: datetime
    officer: str = Field(validation_alias="staff_name_masked")
    contract_no: str
    student_name: str = Field(validation_alias="student_name_masked", description="Masked")
    shown: str = Field(description="student (name and month of birth), guardians (phones) or both")
    case_kind: str = Field(description="dispute, refund, alert, complaint, inspection or court")
    case_no: str
    reason: str
