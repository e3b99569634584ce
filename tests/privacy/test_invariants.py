"""What the books' check says where a family's rows contradict each other."""

import pytest
from sqlalchemy import text

from app.db import District
from app.ledger.check import check_books
from tests.school import found_school
from tests.world import World

ERASED = "UPDATE student SET name_enc = NULL, birth_month_enc = NULL, consent_version = NULL, hidden_at = NULL, erased_at = now()"


@pytest.mark.broken_books
@pytest.mark.parametrize(
    ("damage", "broken"),
    [
        ("DELETE FROM guardianship", {"privacy.answered_for", "privacy.consent_weighed"}),
        (ERASED, {"privacy.answered_for", "privacy.erased_left", "privacy.parties_forgotten"}),
        ("UPDATE student SET consent_version = 'x'", {"privacy.consent_weighed"}),
        ("UPDATE student SET hidden_at = now(), consent_version = NULL", {"privacy.consent_weighed"}),
        (
            "UPDATE guardian SET phone_enc = NULL, phone_index = NULL, erased_at = now()",
            {"privacy.answered_for", "privacy.erased_left", "privacy.parties_forgotten"},
        ),
        ("UPDATE contract_document SET parties_enc = NULL", {"privacy.parties_forgotten"}),
    ],
)
async def test_a_contradiction_is_named(world: World, district: District, owner: District, damage: str, broken: set[str]) -> None:
    await (await found_school(world)).sign()
    async with district.reading() as session:
        assert [finding for finding in await check_books(session) if finding.name.startswith("privacy.")] == []
    async with owner.transaction() as session:
        await session.execute(text(damage))
    async with district.reading() as session:
        assert {finding.name for finding in await check_books(session) if finding.name.startswith("privacy.")} == broken
