"""One folder that holds everything of a sample: its secrets, its database server, its bank's data, its logs."""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import settings as settings_module
from app.embedded import EmbeddedPostgres
from app.errors import Conflict

STAFF = {"institution": "sample-institution", "settlement": "sample-settlement", "supervision": "sample-supervision"}
"""User names of the sample's staff; start-up refuses such names in a live district."""

SAMPLE_CODE, SAMPLE_NAME = "510112", "龙泉驿区"
KEYS = ("secret_key", "data_key", "index_key")


class Installation:
    """The folder named by ESCROW_DATA_DIR. Opening it makes what is missing; its secrets are random and never change."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder.resolve()
        self.secrets = _secrets(self.folder)

    def environment(self) -> dict[str, str]:
        """The settings by which a process can read this installation's personal data and signatures."""
        named = {f"ESCROW_{name.upper()}": self.secrets[name] for name in KEYS}
        return named | {"ESCROW_DATA_DIR": str(self.folder), "ESCROW_DISTRICT": SAMPLE_CODE}

    def adopt(self) -> None:
        """Let this very process use the installation's secrets."""
        os.environ.update(self.environment())
        settings_module.settings.cache_clear()

    @contextmanager
    def postgres(self) -> Iterator[EmbeddedPostgres]:
        """The embedded server, running for the length of the block at least."""
        server = EmbeddedPostgres(self.folder / "pg")
        server.start()
        try:
            yield server
        finally:
            server.stop()

    @contextmanager
    def locked(self, name: str = "lock", what: str = "示例") -> Iterator[None]:
        """Hold the folder for one running sample, or one of another sort by its own name. Raises Conflict `sample.running`."""
        with (self.folder / name).open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as cause:
                file.seek(0)
                raise Conflict("sample.running", f"{self.folder} 中的{what}正在运行（进程 {file.read() or '未知'}）") from cause
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def log(self, name: str) -> Path:
        """Where a process of this name writes its log."""
        return self.folder / "logs" / f"{name}.log"

    def write_private(self, name: str, content: dict[str, object]) -> Path:
        """Write a JSON file that only this user can read, all of it or nothing."""
        path = self.folder / name
        _write_private(path, content)
        return path


def _secrets(folder: Path) -> dict[str, str]:
    path = folder / "secrets.json"
    if path.exists():
        kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    if (folder / "pg" / "PG_VERSION").exists():
        raise Conflict("sample.secrets_lost", f"{path} 不见了，已有数据无法再读取：请恢复它，或删除整个 {folder} 重新开始")
    made = {name: _key() for name in KEYS}
    made |= {"control_key": secrets.token_hex(16), "api_key": secrets.token_hex(16), "notice_secret": "whsec_" + _key()}
    made |= {"owner_password": secrets.token_hex(16), "app_password": secrets.token_hex(16)}
    made |= {"sign_in_code": f"{secrets.randbelow(10**6):06d}"}
    made |= {f"{role}_password": secrets.token_urlsafe(12) for role in STAFF}
    _write_private(path, made)
    return made


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _write_private(path: Path, content: object) -> None:
    written = path.with_name(path.name + ".new")
    written.unlink(missing_ok=True)
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.write("\n")
    written.replace(path)
