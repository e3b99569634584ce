"""What can be said of the container files without an engine."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_only_a_sample_gets_the_mock_bank() -> None:
    assert {name for name, service in SERVICES.items() if "mock_bank" in str(service.get("command"))} == {"mock-bank"}
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {"mock-bank": ["sample"]}


def test_the_database_is_made_and_migrated_before_anything_serves() -> None:
    waits = {name: {on: how["condition"] for on, how in service.get("depends_on", {}).items()} for name, service in SERVICES.items()}
    assert waits["bootstrap"] == {"postgres": "service_healthy"}
    assert waits["migrate"] == {"bootstrap": "service_completed_successfully"}
    assert waits["web"] == waits["worker"] == {"migrate": "service_completed_successfully"}


def test_what_serves_does_not_know_the_owner() -> None:
    for name in ("web", "worker", "mock-bank"):
        assert not [key for key in SERVICES[name]["environment"] if "OWNER" in key or "ADMIN" in key]


def test_nothing_is_reachable_from_outside_the_machine_by_default() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for key, value in service["environment"].items():
            if re.search(r"KEY|PASSWORD|DATABASE_URL", key):
                assert value is None or re.search(r"\$\{[A-Z_]+:[?-]", value), key


def test_the_image_serves_without_privileges_and_installs_only_what_is_hashed() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)
    assert users == ["escrow"]
    assert DOCKERFILE.index("USER escrow") < DOCKERFILE.index("CMD ")
    assert all("--require-hashes" in line for line in re.findall(r"^.*pip install.*$", DOCKERFILE, re.M))


def test_the_image_holds_only_what_the_service_needs() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.M))
    assert copied == allowed == {"requirements.lock", "app", "bank_adapters", "migrations"}
