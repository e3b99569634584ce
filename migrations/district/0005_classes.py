"""Classes are filed and decided on; their sessions can be moved, and nobody teaches, and no room is used, twice at once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Classes of before count as decided on when they were entered, at their price as posted, each lesson as long as its shortest session."""
    _extend_classes()
    _extend_sessions()
    _keep_apart()
    op.create_table(
        "class_session_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("class_session_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("old_starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("old_ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("old_teacher_id", sa.Uuid(), nullable=False),
        sa.Column("old_campus_id", sa.Uuid(), nullable=True),
        sa.Column("old_room", sa.Text(), nullable=True),
        sa.Column("new_starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_teacher_id", sa.Uuid(), nullable=True),
        sa.Column("new_campus_id", sa.Uuid(), nullable=True),
        sa.Column("new_room", sa.Text(), nullable=True),
        sa.Column("judged_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('changed', 'cancelled', 'replaced')", name=op.f("ck_class_session_change_kind")),
        sa.CheckConstraint(
            "(kind = 'cancelled') = (new_starts_at IS NULL) AND num_nulls(new_starts_at, new_ends_at, new_teacher_id) IN (0, 3)",
            name=op.f("ck_class_session_change_result"),
        ),
        sa.ForeignKeyConstraint(
            ["class_session_id"], ["class_session.id"], name=op.f("fk_class_session_change_class_session_id_class_session")
        ),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_class_session_change_institution_id_institution")),
        sa.ForeignKeyConstraint(["old_teacher_id"], ["teacher.id"], name=op.f("fk_class_session_change_old_teacher_id_teacher")),
        sa.ForeignKeyConstraint(["new_teacher_id"], ["teacher.id"], name=op.f("fk_class_session_change_new_teacher_id_teacher")),
        sa.ForeignKeyConstraint(["old_campus_id"], ["campus.id"], name=op.f("fk_class_session_change_old_campus_id_campus")),
        sa.ForeignKeyConstraint(["new_campus_id"], ["campus.id"], name=op.f("fk_class_session_change_new_campus_id_campus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_class_session_change")),
    )
    op.create_index(op.f("ix_class_session_change_class_session_id_changed_at"), "class_session_change", ["class_session_id", "changed_at"])
    op.create_index(op.f("ix_class_session_change_institution_id_changed_at"), "class_session_change", ["institution_id", "changed_at"])
    op.execute("GRANT SELECT, INSERT ON class_session_change TO escrow_app")
    op.execute("CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON class_session_change FOR EACH ROW EXECUTE FUNCTION refuse_change()")
    op.execute("CREATE TRIGGER never_emptied BEFORE TRUNCATE ON class_session_change EXECUTE FUNCTION refuse_change()")


def _extend_classes() -> None:
    op.add_column("training_class", sa.Column("mode", sa.Text(), server_default="onsite", nullable=False))
    op.add_column("training_class", sa.Column("lesson_minutes", sa.Integer(), nullable=True))
    op.add_column("training_class", sa.Column("listed_price_fen", sa.BigInteger(), nullable=True))
    op.add_column("training_class", sa.Column("materials", sa.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("training_class", sa.Column("campus_id", sa.Uuid(), nullable=True))
    op.add_column("training_class", sa.Column("room", sa.Text(), nullable=True))
    op.add_column("training_class", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("training_class", sa.Column("decided_by", sa.Uuid(), nullable=True))
    op.add_column("training_class", sa.Column("decision_reason", sa.Text(), nullable=True))
    op.add_column("training_class", sa.Column("judged_by", sa.Text(), nullable=True))
    op.add_column("training_class", sa.Column("findings", postgresql.JSONB(), server_default="[]", nullable=False))
    op.execute("""
        UPDATE training_class SET listed_price_fen = price_fen, decided_at = created_at, decision_reason = '备案制度实施前已开班',
            lesson_minutes = coalesce((
                SELECT least(greatest(min(ceil(extract(epoch FROM ends_at - starts_at) / 60)), 1), 720)
                FROM class_session WHERE class_session.class_id = training_class.id
            ), 60)
    """)
    op.alter_column("training_class", "listed_price_fen", nullable=False)
    op.alter_column("training_class", "lesson_minutes", nullable=False)
    op.drop_constraint(op.f("ck_training_class_status"), "training_class")
    op.create_check_constraint(op.f("ck_training_class_status"), "training_class", "status IN ('filed', 'opened', 'refused', 'closed')")
    op.create_check_constraint(op.f("ck_training_class_mode"), "training_class", "mode IN ('onsite', 'online')")
    op.create_check_constraint(op.f("ck_training_class_place"), "training_class", "mode = 'onsite' OR num_nonnulls(campus_id, room) = 0")
    op.create_check_constraint(op.f("ck_training_class_lesson_minutes"), "training_class", "lesson_minutes BETWEEN 1 AND 720")
    op.create_check_constraint(
        op.f("ck_training_class_listed_price"), "training_class", "listed_price_fen BETWEEN price_fen AND 10000000000000"
    )
    op.create_check_constraint(
        op.f("ck_training_class_decided"),
        "training_class",
        "num_nulls(decided_at, decision_reason) = CASE status WHEN 'filed' THEN 2 ELSE 0 END",
    )
    op.create_foreign_key(op.f("fk_training_class_campus_id_campus"), "training_class", "campus", ["campus_id"], ["id"])
    op.create_index("ix_training_class_filed", "training_class", ["created_at", "id"], postgresql_where=sa.text("status = 'filed'"))


def _extend_sessions() -> None:
    op.add_column("class_session", sa.Column("teacher_id", sa.Uuid(), nullable=True))
    op.add_column("class_session", sa.Column("campus_id", sa.Uuid(), nullable=True))
    op.add_column("class_session", sa.Column("room", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_class_session_teacher_id_teacher"), "class_session", "teacher", ["teacher_id"], ["id"])
    op.create_foreign_key(op.f("fk_class_session_campus_id_campus"), "class_session", "campus", ["campus_id"], ["id"])
    op.drop_constraint(op.f("ck_class_session_status"), "class_session")
    op.create_check_constraint(op.f("ck_class_session_status"), "class_session", "status IN ('scheduled', 'delivered', 'cancelled')")


def _keep_apart() -> None:
    """Ranges of one id or name can be compared for overlap by an index, which plain equality cannot without an extension."""
    op.execute("CREATE TYPE uuid_range AS RANGE (subtype = uuid, multirange_type_name = uuid_multirange)")
    op.execute("CREATE TYPE text_range AS RANGE (subtype = text, multirange_type_name = text_multirange)")
    op.execute("""
        ALTER TABLE class_session ADD CONSTRAINT ex_class_session_teacher EXCLUDE USING gist
            (uuid_range(teacher_id, teacher_id, '[]') WITH &&, tstzrange(starts_at, ends_at) WITH &&)
            WHERE (teacher_id IS NOT NULL AND status <> 'cancelled')
    """)
    op.execute("""
        ALTER TABLE class_session ADD CONSTRAINT ex_class_session_room EXCLUDE USING gist
            (uuid_range(coalesce(campus_id, institution_id), coalesce(campus_id, institution_id), '[]') WITH &&,
            text_range(room, room, '[]') WITH &&, tstzrange(starts_at, ends_at) WITH &&)
            WHERE (room IS NOT NULL AND status <> 'cancelled')
    """)
