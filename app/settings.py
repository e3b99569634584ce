"""Everything the processes are told from outside. Secrets have no defaults."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class BankKeys(BaseModel):
    """The secrets of one connection to a bank."""

    api_key: SecretStr
    notice_secret: SecretStr


class Settings(BaseSettings):
    """Read from the environment: `ESCROW_…`, and the usual `DATABASE_URL`, `HOST`, `PORT`."""

    model_config = SettingsConfigDict(env_prefix="ESCROW_", extra="ignore", frozen=True, populate_by_name=True)

    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    """Where the application's role serves from; SQLAlchemy form, `postgresql+asyncpg://escrow_app:…@host/escrow`."""
    owner_database_url: str = ""
    """The same database as its owner; needed only by `migrate` and `district create`."""
    host: str = Field(default="127.0.0.1", validation_alias="HOST")
    port: int = Field(default=8000, validation_alias="PORT", ge=0, le=65535)
    public_url: str = ""
    """The absolute address that QR codes lead to; by default where this process listens."""
    district: str = ""
    """The district that anonymous requests mean when they name none and there are several."""
    data_dir: Path = Path(".data")

    secret_key: SecretStr = SecretStr("")
    """Signs payment codes and page forms."""
    data_key: SecretStr = SecretStr("")
    """32 bytes in base64: encrypts personal data (AES-256-GCM)."""
    index_key: SecretStr = SecretStr("")
    """32 bytes in base64: finds a phone without storing it (blind index)."""
    former_data_keys: tuple[SecretStr, ...] = ()
    """Keys that still open what was sealed with them, as a JSON list; nothing is sealed with them any more."""
    former_index_keys: tuple[SecretStr, ...] = ()
    """Keys that phones may still be found by, as a JSON list."""
    bank_keys: dict[str, BankKeys] = {}
    """By connection slug, as JSON."""

    sms: Literal["none", "console"] = "none"
    sample_sign_in: dict[str, str] = {}
    """Phone to fixed code, as JSON; heeded in sample districts only."""

    pdf_font: Path = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
    """A font with Chinese characters, for contracts as PDF; by default where Debian's fonts-noto-cjk has it."""
    pdf_font_number: int = Field(default=2, ge=0)
    """Which font of a collection: 2 is Noto's simplified Chinese; a file with one font has 0."""

    pool_size: int = Field(default=16, ge=1, le=100)
    log_format: Literal["json", "console"] = "json"

    @property
    def base_url(self) -> str:
        """The absolute address of this service, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


@lru_cache
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
