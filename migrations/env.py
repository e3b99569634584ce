"""Runs one schema's migrations on the connection it is given; the caller owns the transaction."""

from alembic import context
from sqlalchemy import inspect

from app.policy.days import enter_published

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]
# pg_temp last: functions that run as their owner must not find a caller's temporary table first.
connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}, pg_temp")
context.configure(connection=connection, version_table_schema=schema, transactional_ddl=False)
context.run_migrations()
if inspect(connection).has_table("business_day", schema):
    # Not a revision's work: a year is published every autumn, and known to whichever version comes next.
    enter_published(connection)
