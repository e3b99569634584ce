"""Personal data: unreadable at rest, found by phone, masked on screen."""

import pytest

from app.crypto import Unreadable, keyed_hash, mask_name, mask_phone, normal_phone, phone_index, seal, unseal
from app.errors import BadInput


def test_a_sealed_name_is_read_back_only_where_it_belongs() -> None:
    sealed = seal("王小明", "student.name:1")
    assert "王小明".encode() not in sealed
    assert unseal(sealed, "student.name:1") == "王小明"
    with pytest.raises(Unreadable):
        unseal(sealed, "student.name:2")


def test_equal_names_are_sealed_differently() -> None:
    assert seal("王小明", "a") != seal("王小明", "a")


@pytest.mark.parametrize("position", [0, 1, 5, 20, -1])
def test_an_altered_byte_is_noticed(position: int) -> None:
    sealed = bytearray(seal("王小明", "a"))
    sealed[position] ^= 1
    with pytest.raises(Unreadable):
        unseal(bytes(sealed), "a")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" * 12])
def test_what_was_never_sealed_is_unreadable(sealed: bytes) -> None:
    with pytest.raises(Unreadable):
        unseal(sealed, "a")


@pytest.mark.parametrize("written", ["13800138000", " 138 0013 8000", "+86 13800138000", "１３８００１３８０００", "138-0013-8000"])
def test_one_phone_written_in_many_ways_is_one_phone(written: str) -> None:
    assert normal_phone(written) == "+8613800138000"


@pytest.mark.parametrize(
    "written", ["", "1380013800", "028-84851234", "+1 415 555 2671", "12345678901", "13800138000 ext 5", "\0", "x" * 400, "+85251234567"]
)
def test_what_is_no_mobile_phone_is_refused(written: str) -> None:
    with pytest.raises(BadInput) as refused:
        normal_phone(written)
    assert refused.value.code == "phone.invalid"


def test_the_index_finds_a_phone_and_says_nothing_else() -> None:
    assert phone_index("+8613800138000") == phone_index("+8613800138000")
    assert phone_index("+8613800138000") != phone_index("+8613800138001")
    assert phone_index("+8613800138000") != keyed_hash("code", "+8613800138000")


@pytest.mark.parametrize(("name", "shown"), [("王小明", "王*明"), ("王明", "王*"), ("王", "王*"), ("欧阳小明", "欧**明")])
def test_names_are_masked(name: str, shown: str) -> None:
    assert mask_name(name) == shown


def test_phones_are_masked() -> None:
    assert mask_phone("+8613812341234") == "138****1234"
