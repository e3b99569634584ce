"""The folder of a sample: random secrets that only its user can read, and one running sample at a time."""

import json
import stat
from pathlib import Path

import pytest

from app.errors import Conflict
from app.sample.installation import Installation


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_random_private_and_kept(tmp_path: Path) -> None:
    first, other = Installation(tmp_path / "one"), Installation(tmp_path / "two")
    assert mode(tmp_path / "one" / "secrets.json") == 0o600
    assert Installation(tmp_path / "one").secrets == first.secrets
    assert not set(first.secrets.values()) & set(other.secrets.values()) - {first.secrets["sign_in_code"]}


def test_data_without_its_secrets_are_not_given_new_ones(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "PG_VERSION").write_text("18\n")
    with pytest.raises(Conflict) as refused:
        Installation(tmp_path)
    assert refused.value.code == "sample.secrets_lost"
    assert not (tmp_path / "secrets.json").exists()


def test_a_folder_serves_one_running_sample(tmp_path: Path) -> None:
    with Installation(tmp_path).locked():
        with pytest.raises(Conflict) as refused, Installation(tmp_path).locked():
            pass
        assert refused.value.code == "sample.running"
    with Installation(tmp_path).locked():
        pass


def test_private_files_stay_private_when_they_are_written_again(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    for number in (1, 2):
        path = installation.write_private("demo.json", {"number": number})
        assert (mode(path), json.loads(path.read_text())) == (0o600, {"number": number})
