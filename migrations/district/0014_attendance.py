"""How many children came is kept with a class session, so that half a year's lessons are counted without reading them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("class_session", sa.Column("attended", sa.Integer(), nullable=True))
    op.execute("""
        UPDATE class_session SET attended = (
            SELECT count(*) FROM lesson
            WHERE lesson.class_session_id = class_session.id AND (
                lesson.status IN ('owed', 'contested', 'delivered', 'disputed', 'confirmed')
                OR EXISTS (SELECT FROM dispute WHERE dispute.lesson_id = lesson.id)
            )
        ) WHERE status = 'delivered'
    """)
    op.create_check_constraint(op.f("ck_class_session_attended"), "class_session", "(attended IS NOT NULL) = (status = 'delivered')")
