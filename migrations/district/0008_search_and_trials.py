"""Search by parts of names, published facts, scan reports, trial lessons, calendar feeds."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SCRIPT = Path(__file__).parent / "search.sql"


def upgrade() -> None:
    _search()
    _published()
    _trials()
    op.create_index(op.f("ix_contract_student_id"), "contract", ["student_id"])
    op.create_index(op.f("ix_collection_cashier_url"), "collection", ["cashier_url"], postgresql_using="hash")
    driver = op.get_bind().connection.dbapi_connection
    driver.run_async(lambda connection: connection.execute(_SCRIPT.read_text("utf-8")))


def _search() -> None:
    searched = ("names", "places")
    op.create_table(
        "institution_search",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in searched],
        sa.Column("marks", sa.ARRAY(sa.Integer()), nullable=False),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_institution_search_institution_id_institution")),
        sa.PrimaryKeyConstraint("institution_id", name=op.f("pk_institution_search")),
    )
    op.create_table(
        "class_search",
        sa.Column("class_id", sa.Uuid(), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in searched],
        sa.Column("marks", sa.ARRAY(sa.Integer()), nullable=False),
        sa.ForeignKeyConstraint(["class_id"], ["training_class.id"], name=op.f("fk_class_search_class_id_training_class")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_class_search_institution_id_institution")),
        sa.PrimaryKeyConstraint("class_id", name=op.f("pk_class_search")),
    )
    op.create_index(op.f("ix_class_search_institution_id"), "class_search", ["institution_id"])
    op.create_index(op.f("ix_class_search_open_until"), "class_search", ["open_until"])
    for table in ("institution_search", "class_search"):
        name = op.f(f"ix_{table}_marks")
        op.create_index(name, table, ["marks"], postgresql_using="gin", postgresql_with={"fastupdate": False})
    op.create_table(
        "search_due",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("class_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_due")),
    )


def _published() -> None:
    counts = ("lessons", "disputes", "class_sessions", "cancelled", "moved")
    op.create_table(
        "published_facts",
        sa.Column("institution_id", sa.Uuid(), nullable=False),
        sa.Column("coverage_bps", sa.BigInteger(), nullable=True),
        sa.Column("coverage_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refunds", sa.Integer(), nullable=False),
        sa.Column("refund_median_hours", sa.Integer(), nullable=True),
        *[sa.Column(name, sa.Integer(), nullable=False) for name in counts],
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "least(refunds, lessons, disputes, class_sessions, cancelled, moved) >= 0", name=op.f("ck_published_facts_counts")
        ),
        sa.CheckConstraint("(refunds = 0) = (refund_median_hours IS NULL)", name=op.f("ck_published_facts_refunds")),
        sa.CheckConstraint("(coverage_bps IS NULL) = (coverage_at IS NULL)", name=op.f("ck_published_facts_coverage")),
        sa.ForeignKeyConstraint(["institution_id"], ["institution.id"], name=op.f("fk_published_facts_institution_id_institution")),
        sa.PrimaryKeyConstraint("institution_id", name=op.f("pk_published_facts")),
    )
    op.create_index(op.f("ix_published_facts_counted_at"), "published_facts", ["counted_at"])
    handled = "(status = 'handled') = (handled_at IS NOT NULL AND handled_by IS NOT NULL AND answer IS NOT NULL)"
    lengths = "length(content) BETWEEN 1 AND 2000 AND length(place) <= 100 AND length(note) <= 500"
    op.create_table(
        "scan_report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("handled_by", sa.Uuid(), nullable=True),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('opened', 'handled')", name=op.f("ck_scan_report_status")),
        sa.CheckConstraint(handled, name=op.f("ck_scan_report_handled")),
        sa.CheckConstraint(lengths, name=op.f("ck_scan_report_lengths")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_report")),
    )
    op.create_index(op.f("ix_scan_report_content_sha256"), "scan_report", ["content_sha256"])
    op.create_index(op.f("ix_scan_report_reported_at"), "scan_report", ["reported_at"])
    op.create_index("ix_scan_report_opened", "scan_report", ["id"], postgresql_where=sa.text("status = 'opened'"))


def _trials() -> None:
    owners = {"class_id": "training_class", "class_session_id": "class_session", "institution_id": "institution"}
    owners |= {"student_id": "student", "guardian_id": "guardian"}
    feedback = "num_nonnulls(rating, comment, rated_at) IN (0, 3) AND (rating IS NULL OR status = 'attended')"
    op.create_table(
        "trial",
        sa.Column("id", sa.Uuid(), nullable=False),
        *[sa.Column(column, sa.Uuid(), nullable=False) for column in owners],
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("marked_by", sa.Uuid(), nullable=True),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('booked', 'attended', 'absent', 'cancelled')", name=op.f("ck_trial_status")),
        sa.CheckConstraint("(status = 'booked') = (ended_at IS NULL)", name=op.f("ck_trial_ended")),
        sa.CheckConstraint("(status IN ('attended', 'absent')) = (marked_by IS NOT NULL)", name=op.f("ck_trial_marked")),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("ck_trial_rating")),
        sa.CheckConstraint(feedback, name=op.f("ck_trial_feedback")),
        sa.CheckConstraint("length(comment) <= 200", name=op.f("ck_trial_comment")),
        *[sa.ForeignKeyConstraint([column], [f"{table}.id"], name=op.f(f"fk_trial_{column}_{table}")) for column, table in owners.items()],
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial")),
    )
    a_class = sa.text("status <> 'cancelled'")
    op.create_index("uq_trial_one_a_class", "trial", ["class_id", "student_id"], unique=True, postgresql_where=a_class)
    op.create_index(op.f("ix_trial_class_session_id"), "trial", ["class_session_id"])
    op.create_index(op.f("ix_trial_student_id"), "trial", ["student_id"])
    op.create_index(op.f("ix_trial_guardian_id_booked_at_id"), "trial", ["guardian_id", "booked_at", "id"])
    rated = sa.text("rated_at IS NOT NULL")
    op.create_index("ix_trial_rated", "trial", ["institution_id", "rated_at", "id"], postgresql_where=rated)
    op.create_table(
        "calendar_feed",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("guardian_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(token_sha256) = 32", name=op.f("ck_calendar_feed_token_sha256")),
        sa.ForeignKeyConstraint(["guardian_id"], ["guardian.id"], name=op.f("fk_calendar_feed_guardian_id_guardian")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_calendar_feed_student_id_student")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_feed")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_calendar_feed_token_sha256")),
    )
    standing = sa.text("ended_at IS NULL")
    op.create_index("uq_calendar_feed_one", "calendar_feed", ["guardian_id", "student_id"], unique=True, postgresql_where=standing)
    op.create_index(op.f("ix_calendar_feed_student_id"), "calendar_feed", ["student_id"])
