"""The bank's data file and its clock: one SQLite connection, used on the event loop's thread only."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
VAULT = "VAULT"
TABLES = ("pending", "notice", "knob", "instruction", "cashier_order", "movement", "account", "client", "setting")

# Opening money comes out of the vault, so that all balances always add up to zero.
OPEN_VAULT = f"INSERT OR IGNORE INTO account VALUES ('{VAULT}', '金库', NULL, 0, 0, NULL)"  # noqa: S608


class Refusal(Exception):
    """The bank refuses a call and has done nothing; `code` is stable, `status` the HTTP status."""

    def __init__(self, code: str, status: int = 409) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Store:
    """The data file. What a call answered for is committed, so that a killed process loses nothing of it."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, timeout=1, isolation_level=None, cached_statements=256)
        self.db.row_factory = sqlite3.Row
        # The exclusive lock also keeps a second bank process from the same books.
        self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("PRAGMA foreign_keys = ON")
        self.db.executescript(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))
        self.db.execute(OPEN_VAULT)
        self._settings: dict[str, str] = dict(self.db.execute("SELECT name, value FROM setting").fetchall())

    def close(self) -> None:
        """Give the data file back."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Nested, it joins the outer one."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def reset(self) -> None:
        """Forget everything: clients, accounts, money, faults and the clock."""
        with self.transaction():
            for table in TABLES:
                self.db.execute(f"DELETE FROM {table}")  # noqa: S608
            self.db.execute(OPEN_VAULT)
        self._settings = {}

    def setting(self, name: str, default: str) -> str:
        """A stored setting of the bank, or the default."""
        return self._settings.get(name, default)

    def keep(self, name: str, value: str) -> None:
        """Store a setting."""
        self.db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))
        self._settings[name] = value

    def now(self) -> datetime:
        """The bank's present instant (UTC): real, shifted or standing still."""
        if fixed := self.setting("clock_fixed_at", ""):
            return datetime.fromisoformat(fixed)
        return datetime.now(UTC) + timedelta(seconds=float(self.setting("clock_offset_seconds", "0")))

    def set_clock(self, fixed_at: datetime | None, offset_seconds: float) -> None:
        """Let the clock stand at an instant, or run `offset_seconds` away from the real one."""
        with self.transaction():
            self.keep("clock_fixed_at", to_text(fixed_at) if fixed_at else "")
            self.keep("clock_offset_seconds", str(offset_seconds))


def to_text(instant: datetime) -> str:
    """An instant as text that sorts by time."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def value_day(instant: datetime) -> date:
    """The date (Asia/Shanghai) on which the bank books an instant."""
    return instant.astimezone(SHANGHAI).date()
