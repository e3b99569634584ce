"""The connections this process may use. Only live districts, and samples with the mock bank, get any."""

from app import districts
from app.db import Database
from app.errors import Unavailable
from app.settings import Settings
from bank_adapters.mock_bank.client import MockBank
from bank_adapters.port import Bank


class Banks:
    """Banks by connection slug, each with the district that it serves."""

    def __init__(self, known: dict[str, tuple[str, Bank]]) -> None:
        self._known = known

    @classmethod
    async def of(cls, database: Database, settings: Settings) -> "Banks":
        """All connections whose district may move money: a drill or a restored copy must never send any."""
        modes = {entry.code: entry.mode for entry in await districts.entries(database)}
        known: dict[str, tuple[str, Bank]] = {}
        for row in await districts.connections(database):
            keys = settings.bank_keys.get(row.slug)
            if keys is None or modes[row.district] not in ("live", "sample"):
                continue
            bank = MockBank(row.base_url, keys.api_key.get_secret_value(), keys.notice_secret.get_secret_value())
            known[row.slug] = (row.district, bank)
        return cls(known)

    def get(self, slug: str) -> Bank:
        """The bank behind a slug. Raises Unavailable `banking.no_connection` where this process has no such connection."""
        if slug not in self._known:
            raise Unavailable("banking.no_connection", "未连接该银行")
        return self._known[slug][1]

    def district_of(self, slug: str) -> str | None:
        """The district that a slug serves; None where this process has no such connection."""
        return self._known[slug][0] if slug in self._known else None

    def slugs(self, district: str) -> list[str]:
        """The connections of one district."""
        return [slug for slug, (served, _) in self._known.items() if served == district]

    async def aclose(self) -> None:
        """Give all sockets back."""
        for _, bank in self._known.values():
            await bank.aclose()
