"""The migrated schema is the models' schema: columns, constraints and indexes, compared as PostgreSQL itself describes them."""

import pkgutil
from importlib import import_module

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import app
from app.db import Base, schema_of
from tests.conftest import DISTRICT

MADE_BY_MODELS = "made_by_models"
NOT_A_MODEL = "alembic_version"

COLUMNS = """
    SELECT c.relname AS in_table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
        a.attidentity AS identity, a.attgenerated AS generated, pg_get_expr(d.adbin, d.adrelid) AS preset
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""
CONSTRAINTS = """
    SELECT c.relname AS in_table, k.conname AS name, pg_get_constraintdef(k.oid) AS said
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = CAST(:schema AS regnamespace) AND k.contype <> 'n'
"""
INDEXES = """
    SELECT tablename AS in_table, indexname AS name, replace(indexdef, schemaname || '.', '') AS said FROM pg_indexes
    WHERE schemaname = :schema
"""


async def described(connection: AsyncConnection, schema: str, query: str) -> set[tuple[object, ...]]:
    """What a schema holds; read with only that schema in sight, so that names stand without it."""
    await connection.execute(text(f"SET LOCAL search_path TO {schema}"))
    rows = await connection.execute(text(query), {"schema": schema})
    return {tuple(row) for row in rows if row.in_table != NOT_A_MODEL}


@pytest.mark.parametrize("query", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "constraints", "indexes"])
async def test_the_migrated_schema_is_the_models_schema(owner_url: str, query: str) -> None:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        import_module(module.name)
    engine = create_async_engine(owner_url)
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"CREATE SCHEMA {MADE_BY_MODELS}"))
            await connection.execute(text(f"SET LOCAL search_path TO {MADE_BY_MODELS}"))
            await connection.run_sync(Base.metadata.create_all, checkfirst=False)
            migrated = await described(connection, schema_of(DISTRICT), query)
            modelled = await described(connection, MADE_BY_MODELS, query)
            await connection.rollback()
    finally:
        await engine.dispose()
    assert migrated, "nothing to compare proves nothing"
    assert migrated - modelled == set(), "migrated, and in no model"
    assert modelled - migrated == set(), "in a model, and not migrated"
