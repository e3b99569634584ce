"""Sessions on the server: who a token stands for, and when it stands for nobody."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, select

from app import clock, security
from app.db import District
from app.errors import BadInput, Conflict
from app.registry import families
from app.security import InstitutionStaff, Parent, PrincipalSession, SettlementStaff, SupervisionStaff
from tests.world import World

PASSWORD = "correct horse battery"


async def who(district: District, token: str) -> security.Principal | None:
    [found] = await security.principals_of(district, [token])
    return found


async def parent_token(district: District) -> tuple[str, object]:
    async with district.transaction() as session:
        guardian = await families.guardian_for_phone(session, "13800138000")
        return await security.open_session(session, "parent", guardian_id=guardian.id), guardian.id


async def test_a_parents_token_stands_for_the_guardian(district: District) -> None:
    token, guardian_id = await parent_token(district)
    caller = await who(district, token)
    assert isinstance(caller, Parent)
    assert (caller.guardian_id, caller.district, caller.actor) == (guardian_id, "510112", f"guardian:{guardian_id}")
    assert security.token_district(token) == "510112"


async def test_each_role_of_staff_gets_its_own_type(district: District, world: World) -> None:
    institution = await world.institution()
    kinds = {"institution": InstitutionStaff, "settlement": SettlementStaff, "supervision": SupervisionStaff}
    for role, kind in kinds.items():
        async with district.transaction() as session:
            of = institution.id if role == "institution" else None
            staff = await security.create_staff(session, role, role, PASSWORD, "某某", of)  # type: ignore[arg-type]
            token = await security.open_session(session, role, staff_id=staff.id)  # type: ignore[arg-type]
        caller = await who(district, token)
        assert type(caller) is kind
        assert not isinstance(caller, InstitutionStaff) or caller.institution_id == institution.id


async def test_only_the_hash_of_a_token_is_stored(district: District) -> None:
    token, _ = await parent_token(district)
    async with district.reading() as session:
        stored = (await session.scalars(select(PrincipalSession))).one()
    assert token not in repr(vars(stored))
    assert len(stored.token_sha256) == 32


async def test_looking_a_session_up_is_one_query_by_index(district: District) -> None:
    token, _ = await parent_token(district)
    statements: list[str] = []
    listener = lambda *args: statements.append(args[2])  # noqa: E731
    event.listen(district.engine.sync_engine, "before_cursor_execute", listener)
    await who(district, token)
    event.remove(district.engine.sync_engine, "before_cursor_execute", listener)
    assert len(statements) == 1
    assert "token_sha256 = " in statements[0]


async def test_sessions_end_by_time_by_sign_out_and_with_their_holder(district: District) -> None:
    token, _ = await parent_token(district)
    with clock.at(clock.now() + timedelta(days=30)):
        assert await who(district, token) is None
    caller = await who(district, token)
    assert caller is not None
    async with district.transaction() as session:
        await security.end_session(session, caller.session_id)
    assert await who(district, token) is None

    async with district.transaction() as session:
        staff = await security.create_staff(session, "settlement", "li.si", PASSWORD, "李四")
        token = await security.open_session(session, "settlement", staff_id=staff.id)
    assert await who(district, token) is not None
    with clock.at(clock.now() + timedelta(hours=12)):
        assert await who(district, token) is None
    async with district.transaction() as session:
        await security.disable_staff(session, staff.id)
    assert await who(district, token) is None


@pytest.mark.parametrize("token", ["", "510112.", "510112." + "a" * 42, "d510112." + "a" * 43, "510112." + "a" * 43 + "\n"])
def test_what_is_no_token_names_no_district(token: str) -> None:
    assert security.token_district(token) is None


async def test_user_names_are_one_case_and_unique_and_passwords_long(district: District) -> None:
    async with district.transaction() as session:
        await security.create_staff(session, "settlement", " Li.Si ", PASSWORD, "李四")
    for name, password, code in (
        ("LI.SI", PASSWORD, "staff.known"),
        ("王五", PASSWORD, "staff.username"),
        ("wang", "short", "staff.weak_password"),
    ):
        with pytest.raises((Conflict, BadInput)) as refused:
            async with district.transaction() as session:
                await security.create_staff(session, "settlement", name, password, "某某")
        assert refused.value.code == code


async def test_old_sessions_codes_and_counts_are_forgotten(district: District) -> None:
    await parent_token(district)
    async with district.transaction() as session:
        await security.new_code(session, "+8613800138000")
        assert not await security.spend_code(session, "+8613800138000", "x")
    async with district.transaction() as session:
        with clock.at(clock.now() + timedelta(days=31)):
            await security.forget_expired(session)
    async with district.reading() as session:
        for table in (security.PrincipalSession, security.SignInCode, security.SignInFailure):
            assert (await session.scalars(select(table))).all() == []


async def test_a_session_belongs_to_a_guardian_or_to_staff(district: District) -> None:
    with pytest.raises(Exception, match="whose"):
        async with district.transaction() as session:
            await security.open_session(session, "parent", staff_id=uuid4())
