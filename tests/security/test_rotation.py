"""Other keys: everything that is sealed comes under them while people keep working, and a killed rotation goes on."""

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from app import crypto, districts, rotation, sealing
from app import settings as settings_module
from app.banking.models import BankMovement
from app.db import Database, District
from app.districts import UnsafeStart
from app.ids import uuid7
from app.privacy import leaving
from app.registry import families
from app.registry.models import Guardian, Institution, Student
from app.rotation import KeyRotation, Progress, StillWritten, Unopened, rotate
from app.sealing import SEALED
from app.security import Parent
from app.settings import settings
from tests.school import found_school
from tests.world import World

PHONE = "+8613900001111"


class Keys:
    """An operator who changes keys: the present ones become former ones."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.first = {name: getattr(settings(), name).get_secret_value() for name in ("data_key", "index_key")}

    def change(self, *, keep: bool = True, index: bool = True) -> None:
        for name in ("data_key", "index_key") if index else ("data_key",):
            present = getattr(settings(), name).get_secret_value()
            self.use(name, new_key())
            self.use(f"former_{name}s", json.dumps([present] if keep else []))
        settings.cache_clear()

    def use(self, name: str, value: str) -> None:
        self._patch.setenv(f"ESCROW_{name.upper()}", value)
        settings.cache_clear()

    def back(self) -> None:
        """As a process that was started before."""
        for name, key in self.first.items():
            self.use(name, key)


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def keys() -> Iterator[Keys]:
    with pytest.MonkeyPatch.context() as patch:
        yield Keys(patch)
    settings_module.settings.cache_clear()


@pytest.fixture
async def lived_in(world: World, district: District) -> District:
    """A district with something in every sealed column."""
    await (await found_school(world)).enrol()
    async with district.transaction() as session:
        guardian = await families.guardian_for_phone(session, PHONE)
        await families.add_student(session, guardian.id, "欧阳小明", "2016-09", consent="1")
        await session.execute(text("UPDATE institution SET contact_name_enc = NULL"))
    return district


async def everything_rotated(owner: District) -> dict[str, int]:
    """Every table, by the rows that were sealed anew."""
    resealed = {}
    for table in SEALED:
        async for step in rotate(owner, table):
            resealed[table] = step.resealed
    return resealed


async def names(district: District) -> list[str]:
    async with district.reading() as session:
        return sorted(families.name_of(child) for child in await session.scalars(select(Student)))


async def startable(database: Database) -> bool:
    try:
        await districts.refuse_unsafe_start(database, settings())
    except UnsafeStart:
        return False
    return True


async def test_what_is_sealed_comes_under_the_new_key_and_the_old_one_can_go(
    lived_in: District, owner: District, database: Database, keys: Keys
) -> None:
    async with lived_in.reading() as session:
        before = {row.id: row.counterparty_enc for row in await session.scalars(select(BankMovement))}
    keys.change()
    assert await names(lived_in) == ["欧阳小明", "王小明"], "former keys open"
    done = await everything_rotated(owner)
    assert (done["student"], done["guardian"], done["bank_movement"]) == (2, 2, len(before))
    for name in ("former_data_keys", "former_index_keys"):
        keys.use(name, "[]")
    assert await startable(database)
    assert await names(lived_in) == ["欧阳小明", "王小明"]
    async with lived_in.transaction() as session:
        known = await families.guardian_for_phone(session, PHONE)
        assert families.phone_of(known) == PHONE
        for row in await session.scalars(select(BankMovement)):
            assert row.counterparty_enc != before[row.id]
            assert sealing.unseal(row.counterparty_enc, "bank_movement", "counterparty_enc", row.id)
        assert len(list(await session.scalars(select(Guardian.id)))) == 2, "no phone entered twice"


async def test_a_phone_is_found_by_a_former_index_too(lived_in: District, keys: Keys) -> None:
    async with lived_in.transaction() as session:
        before = await families.guardian_for_phone(session, PHONE)
    keys.change()
    found = []
    for _ in range(2):
        async with lived_in.transaction() as session:
            found.append((await families.guardian_for_phone(session, PHONE)).id)
    assert found == [before.id, before.id]


async def test_running_it_again_or_beside_itself_changes_nothing(lived_in: District, owner: District, keys: Keys) -> None:
    keys.change()
    done = await asyncio.gather(everything_rotated(owner), everything_rotated(owner))
    assert max(each["student"] for each in done) == 2
    async with lived_in.reading() as session:
        sealed = {row.id: row.name_enc for row in await session.scalars(select(Student))}
    await everything_rotated(owner)
    async with lived_in.reading() as session:
        assert {row.id: row.name_enc for row in await session.scalars(select(Student))} == sealed


async def test_a_killed_rotation_goes_on_and_holds_the_former_key_until_it_is_done(
    lived_in: District, owner: District, database: Database, world: World, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = await world.parent()
    for number in range(4):
        await world.child(parent, f"王小{chr(0x4E00 + number)}")
    monkeypatch.setattr(rotation, "BATCH", 2)
    keys.change(index=False)
    await world.child(parent, "王小末")
    steps = rotate(owner, "student")
    assert await anext(steps) == Progress("student", 2, 7, 2)
    await steps.aclose()
    former = settings().former_data_keys[0].get_secret_value()
    keys.use("former_data_keys", "[]")
    assert not await startable(database), "first and last row open, what lies between them does not"
    keys.use("former_data_keys", json.dumps([former]))
    walked = [step.walked async for step in rotate(owner, "student")]
    assert walked[0] == 4, "from where it stopped"
    async with lived_in.reading() as session:
        assert await rotation.sealed_otherwise(session, "student") == 0
        state = (await session.scalars(select(KeyRotation))).one()
    assert (state.resealed, state.finished_at is not None) == (6, True)


async def test_people_enter_children_meanwhile(lived_in: District, owner: District, world: World, keys: Keys) -> None:
    parents = [await world.parent() for _ in range(10)]
    keys.change()
    done, *children = await asyncio.gather(
        everything_rotated(owner), *(world.child(parent, f"李{chr(0x4E00 + n)}") for n, parent in enumerate(parents))
    )
    assert done["student"] >= 2
    assert len(await names(lived_in)) == 2 + len(children)
    async with lived_in.reading() as session:
        assert [await rotation.sealed_otherwise(session, table) for table in SEALED] == [0] * len(SEALED)


async def test_a_process_that_was_not_restarted_is_noticed(
    lived_in: District, owner: District, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.change(index=False)
    changed = settings()

    async def stale(*args: object) -> int:
        return 1

    monkeypatch.setattr(rotation, "sealed_otherwise", stale)
    with pytest.raises(StillWritten):
        [step async for step in rotate(owner, "student")]
    assert changed.former_data_keys


async def test_a_row_that_nothing_opens_is_named_and_stops_only_its_batch(lived_in: District, owner: District, keys: Keys) -> None:
    row_id = uuid7()
    async with owner.transaction() as session:
        values = {"id": row_id, "sealed": b"\x01" + b"x" * 40}
        await session.execute(
            text("INSERT INTO student (id, name_enc, birth_month_enc, created_at) VALUES (:id, :sealed, :sealed, now())"), values
        )
    keys.change()
    with pytest.raises(Unopened) as named:
        [step async for step in rotate(owner, "student")]
    assert str(named.value) == f"student {row_id}"
    assert "欧阳小明" not in str(named.value)


async def test_erased_and_empty_columns_stay_empty(lived_in: District, owner: District, keys: Keys) -> None:
    async with lived_in.transaction() as session:
        guardian = await families.guardian_for_phone(session, PHONE)
        await leaving.erase_account(session, Parent(lived_in.code, uuid7(), guardian.id))
        institution = (await session.scalars(select(Institution))).one()
        institution.contact_phone_enc = sealing.seal("+8613800000000", "institution", "contact_phone_enc", institution.id)
    keys.change()
    done = await everything_rotated(owner)
    assert (done["student"], done["guardian"], done["institution"]) == (1, 1, 1)
    async with lived_in.reading() as session:
        institution = (await session.scalars(select(Institution))).one()
        assert institution.contact_name_enc is None
        assert institution.contact_phone_enc is not None
        assert crypto.key_id_of(institution.contact_phone_enc) == crypto.sealing_key_id()
        assert (await session.get_one(Guardian, guardian.id)).phone_index is None
