"""What stands in the registers of institutions and teachers, as JSON: shared by the ends that write, decide and read it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.portals.fields import CalendarDate, Text
from app.registry.changes import ChangeKind
from app.registry.institution_queries import Entry
from app.registry.rules import MAX_AREA_M2, CampusDraft, Contact, Licence

Kind = Literal["subject", "arts", "sports", "science", "other"]
Stage = Literal["preschool", "primary", "middle", "high"]

_OF_ROW = ConfigDict(from_attributes=True)


class LicenceFields(BaseModel):
    """办学许可证; both days included."""

    model_config = _OF_ROW

    no: Annotated[Text, Field(max_length=40)]
    issuer: Annotated[Text, Field(max_length=80)]
    scope: Annotated[Text, Field(max_length=200)]
    from_on: CalendarDate
    to_on: CalendarDate

    def draft(self) -> Licence:
        """The registers' form of it."""
        return Licence(self.no, self.issuer, self.scope, self.from_on, self.to_on)


class ContactFields(BaseModel):
    """Whom officers call. Answers show it masked."""

    model_config = _OF_ROW

    name: Annotated[Text, Field(max_length=40)]
    phone: Annotated[Text, Field(max_length=32)]

    def draft(self) -> Contact:
        """The registers' form of it."""
        return Contact(self.name, self.phone)


class CampusFields(BaseModel):
    """Where an institution teaches; no end of the lease for rooms of its own."""

    model_config = _OF_ROW

    name: Annotated[Text, Field(max_length=40)]
    address: Annotated[Text, Field(max_length=200)]
    lease_ends_on: CalendarDate | None = None
    area_m2: Annotated[int | None, Field(strict=True, ge=1, le=MAX_AREA_M2)] = None

    def draft(self) -> CampusDraft:
        """The registers' form of it."""
        return CampusDraft(self.name, self.address, self.lease_ends_on, self.area_m2)


class CampusItem(CampusFields):
    """A campus in use."""

    id: UUID
    created_at: datetime


class AccountItem(BaseModel):
    """A bank account; the number is masked."""

    model_config = _OF_ROW

    role: str = Field(description="supervised or settlement")
    connection: str
    account_no: str = Field(validation_alias="account_no_masked")
    replaced_at: datetime | None = Field(description="A replaced settlement account gets nothing that is instructed later")


class CheckItem(BaseModel):
    """One year's 年检 result."""

    model_config = _OF_ROW

    year: int
    result: str = Field(description="passed, conditional or failed")
    note: str
    recorded_at: datetime


class ListingItem(BaseModel):
    """One decision about the white and black list."""

    model_config = _OF_ROW

    listing: str | None = Field(description="white, black, or null: taken off")
    reason: str
    decided_at: datetime


class ChangeInput(BaseModel):
    """What shall stand in the entry instead. New sales pause at once; `campus_id` for a campus's address only."""

    kind: ChangeKind
    new_value: Annotated[Text, Field(max_length=200)]
    reason: Text
    campus_id: UUID | None = None


class ChangeItem(BaseModel):
    """A change that was proposed; account numbers are masked."""

    model_config = _OF_ROW

    id: UUID
    institution_id: UUID
    institution_name: str
    kind: str
    campus_id: UUID | None
    campus_name: str | None
    old_value: str | None
    new_value: str = Field(description="Of a lease its last day, or 自有房屋 where none is asked for")
    reason: str
    status: str = Field(description="proposed, confirmed or refused")
    proposed_at: datetime
    decided_at: datetime | None
    decision_reason: str | None


class EntryView(BaseModel):
    """An institution's whole entry."""

    id: UUID
    credit_code: str
    name: str
    kind: str
    stage: str | None
    for_profit: bool | None
    address: str
    legal_representative: str | None
    licence: LicenceFields | None
    contact: ContactFields | None
    status: str = Field(description="approved, suspended or closed")
    listing: str | None
    sales_paused_at: datetime | None
    sales_pause_reason: str | None
    accounts: list[AccountItem]
    campuses: list[CampusItem]
    yearly_checks: list[CheckItem]
    listings: list[ListingItem]
    changes: list[ChangeItem]
    created_at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "EntryView":
        """The registers' entry in this form."""
        found = entry.institution
        return cls(
            id=found.id,
            credit_code=found.credit_code,
            name=found.name,
            kind=found.kind,
            stage=found.stage,
            for_profit=found.for_profit,
            address=found.address,
            legal_representative=found.legal_representative,
            licence=entry.licence and LicenceFields.model_validate(entry.licence),
            contact=entry.contact_masked and ContactFields.model_validate(entry.contact_masked),
            status=found.status,
            listing=found.listing,
            sales_paused_at=found.sales_paused_at,
            sales_pause_reason=found.sales_pause_reason,
            accounts=[AccountItem.model_validate(each) for each in entry.accounts],
            campuses=[CampusItem.model_validate(each) for each in entry.campuses],
            yearly_checks=[CheckItem.model_validate(each) for each in entry.checks],
            listings=[ListingItem.model_validate(each) for each in entry.listings],
            changes=[ChangeItem.model_validate(each) for each in entry.changes],
            created_at=found.created_at,
        )


class CertificateItem(BaseModel):
    """A teacher with the certificate, as the rules want it shown to parents."""

    model_config = _OF_ROW

    id: UUID
    name: str
    subject: str = Field(description="What is taught")
    certificate_no: str
    certificate_subject: str | None = Field(description="What the certificate covers; null where it was not asked for")
    certificate_to_on: CalendarDate | None = Field(description="Last day of the certificate; null where it does not end")
    has_photo: bool = Field(description="Then it is at /api/v1/public/teachers/{id}/photo.jpg")


class TeacherItem(CertificateItem):
    """A teacher as the institution and officers see it."""

    employed_from_on: CalendarDate | None
    employed_to_on: CalendarDate | None
    serving_school_teacher: bool = Field(description="在职中小学教师, marked by an officer: may not teach here")
    foreigner_abroad: bool = Field(description="在境外的外籍人员, marked by an officer: may not teach a school subject")
    created_at: datetime
