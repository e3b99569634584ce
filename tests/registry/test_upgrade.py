"""Classes that were entered before filing began survive the upgrade, also where their teacher was in two places at once."""

from sqlalchemy import text

from tests.upgrading import brought_up

SCHEMA = "d510199"
OF_BEFORE = """
    INSERT INTO book (id, opened_at) VALUES (gen_random_uuid(), now());
    INSERT INTO institution (id, credit_code, name, kind, address, status, created_at)
        SELECT id, '52510112MJQ0000010', '晨光', 'arts', '驿都大道 1 号', 'approved', now() FROM book;
    INSERT INTO teacher (id, institution_id, name, certificate_no, subject, created_at)
        SELECT gen_random_uuid(), id, '李老师', 'C-1', '美术', now() FROM institution;
    INSERT INTO training_class
        (id, institution_id, teacher_id, name, subject, price_fen, lesson_count, seats, starts_on, ends_on, status, created_at)
        SELECT gen_random_uuid(), institution_id, id, '素描' || n, '素描', 10000, 1, 5, '2026-03-09', '2026-03-09', 'opened', now()
        FROM teacher, generate_series(1, 2) AS n;
    INSERT INTO class_session (id, class_id, institution_id, number, starts_at, ends_at, status)
        SELECT gen_random_uuid(), id, institution_id, 1, '2026-03-09 10:00+08', '2026-03-09 10:44:30+08', 'scheduled' FROM training_class;
"""
CLASSES = text("SELECT mode, price_fen, listed_price_fen, lesson_minutes, materials, status, decision_reason FROM training_class")
SESSIONS = text("SELECT status, teacher_id, room FROM class_session")


async def test_classes_of_before_survive(owner_url: str) -> None:
    found, sessions = await brought_up(owner_url, SCHEMA, "0004", OF_BEFORE, CLASSES, SESSIONS)
    assert {(*row[:4], tuple(row[4]), *row[5:]) for row in found} == {("onsite", 10_000, 10_000, 45, (), "opened", "备案制度实施前已开班")}
    assert [tuple(row) for row in sessions] == [("scheduled", None, None)] * 2
