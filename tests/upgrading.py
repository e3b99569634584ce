"""Schemas of earlier versions, brought up revision by revision as an installation would be."""

from alembic import command
from sqlalchemy import Connection

from app import districts


def upgrade(connection: Connection, schema: str, revision: str) -> None:
    """Bring a district's schema to a revision."""
    config = districts._config("district")
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, revision)
