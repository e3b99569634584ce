"""Who and which room is taken when: an index that stays quick however many class sessions a file brings.

A range over (whose, when) overlaps exactly where one teacher or one room is taken twice. Hashed first, so that neighbours in the tree are
not neighbours in time of entry: sorted keys would make it a list.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_PLACE = "coalesce(campus_id, institution_id)"
_TEACHER = "int8send(uuid_hash_extended(teacher_id, 0)) || uuid_send(teacher_id)"
_ROOM = f"int8send(hashtextextended(CAST({_PLACE} AS text) || room, 0)) || uuid_send({_PLACE})"
_TAKEN = (("teacher", _TEACHER, "teacher_id"), ("room", _ROOM, "room"))
# What is noted of a whole statement is noted once a class, not once a class session.
_SEARCHED = (
    "DROP TRIGGER searched ON class_session",
    """CREATE FUNCTION note_timetables_due() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO search_due (institution_id, class_id) SELECT DISTINCT institution_id, class_id FROM entered;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER searched AFTER INSERT ON class_session REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION note_timetables_due()""",
    """CREATE TRIGGER searched_no_more AFTER DELETE ON class_session
    FOR EACH ROW EXECUTE FUNCTION note_search_due('institution_id', 'class_id')""",
)


def upgrade() -> None:
    op.execute("CREATE TYPE bytea_range AS RANGE (subtype = bytea, multirange_type_name = bytea_multirange)")
    for name, whose, column in _TAKEN:
        op.execute(f"ALTER TABLE class_session DROP CONSTRAINT ex_class_session_{name}")
        op.execute(f"""
            ALTER TABLE class_session ADD CONSTRAINT ex_class_session_{name} EXCLUDE USING spgist
                (bytea_range({whose} || timestamptz_send(starts_at), {whose} || timestamptz_send(ends_at)) WITH &&)
                WHERE ({column} IS NOT NULL AND status <> 'cancelled')
        """)
    op.execute("DROP TYPE uuid_range, text_range")
    for statement in _SEARCHED:
        op.execute(statement)
