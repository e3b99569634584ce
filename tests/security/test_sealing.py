"""Every sealed column is known, so that none is forgotten when the keys change."""

import pkgutil
from importlib import import_module
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid

import app
from app.db import Base
from app.sealing import INDEXED, SEALED, place


def test_every_sealed_column_of_the_models_is_registered() -> None:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        import_module(module.name)
    found: dict[str, set[str]] = {}
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if column.name.endswith("_enc"):
                assert isinstance(column.type, LargeBinary)
                found.setdefault(table.name, set()).add(column.name)
    assert found == {table: set(columns) for table, columns in SEALED.items()}
    for name in found:
        key = [*Base.metadata.tables[name].primary_key.columns]
        assert [(column.name, type(column.type)) for column in key] == [("id", Uuid)]
    assert INDEXED.keys() <= SEALED.keys()


def test_a_value_belongs_to_its_table_column_and_row() -> None:
    assert place("student", "birth_month_enc", UUID(int=1)) == "student.birth_month:00000000-0000-0000-0000-000000000001"
