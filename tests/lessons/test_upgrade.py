"""Class sessions that were held before attendance was kept with them are counted from their lessons."""

from sqlalchemy import text

from tests.upgrading import brought_up

SCHEMA = "d510197"
OF_BEFORE = """
    INSERT INTO book (id, opened_at) VALUES (gen_random_uuid(), now());
    INSERT INTO institution (id, credit_code, name, kind, address, status, created_at)
        SELECT id, '52510112MJQ0000010', '晨光', 'arts', '驿都大道 1 号', 'approved', now() FROM book;
    INSERT INTO teacher (id, institution_id, name, certificate_no, subject, created_at)
        SELECT gen_random_uuid(), id, '李老师', 'C-1', '美术', now() FROM institution;
    INSERT INTO training_class (id, institution_id, teacher_id, name, subject, price_fen, listed_price_fen, lesson_count, lesson_minutes,
        seats, starts_on, ends_on, status, created_at, decided_at, decision_reason)
        SELECT gen_random_uuid(), institution_id, id, '素描', '素描', 30000, 30000, 3, 45, 9, '2026-03-09', '2026-03-11', 'opened', now(),
            now(), '齐全' FROM teacher;
    INSERT INTO class_session (id, class_id, institution_id, number, starts_at, ends_at, status, delivered_at)
        SELECT gen_random_uuid(), id, institution_id, n, timestamptz '2026-03-08 10:00+08' + n * interval '1 day',
            timestamptz '2026-03-08 10:45+08' + n * interval '1 day', CASE WHEN n < 3 THEN 'delivered' ELSE 'scheduled' END,
            CASE WHEN n < 3 THEN now() END
        FROM training_class, generate_series(1, 3) AS n;
    INSERT INTO guardian (id, phone_index, phone_enc, created_at) VALUES (gen_random_uuid(), 'i', 'p', now());
    INSERT INTO student (id, name_enc, birth_month_enc, consent_version, created_at)
        SELECT gen_random_uuid(), 'n', 'm', '1', now() FROM generate_series(1, 5);
    INSERT INTO contract (id, contract_no, institution_id, class_id, student_id, guardian_id, amount_fen, way, status, judged_by, findings,
        created_at, lapses_at)
        SELECT gen_random_uuid(), s.id::text, c.institution_id, c.id, s.id, g.id, 30000, 'once', 'created', 'nation/1', '[]', now(), now()
        FROM student s, training_class c, guardian g;
    INSERT INTO lesson (id, contract_id, institution_id, class_session_id, student_id, guardian_id, number, price_fen, status, changed_at)
        SELECT gen_random_uuid(), k.id, k.institution_id, s.id, k.student_id, k.guardian_id, s.number, 10000,
            CASE WHEN s.number = 1
                THEN (ARRAY['owed', 'owed', 'contested', 'lapsed', 'lapsed'])[k.n] ELSE 'lapsed' END, now()
        FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM contract) AS k, class_session s;
    INSERT INTO dispute (id, lesson_id, institution_id, guardian_id, reason, status, opened_at)
        SELECT gen_random_uuid(), l.id, l.institution_id, l.guardian_id, '没有上课', 'opened', now()
        FROM (SELECT *, row_number() OVER (ORDER BY contract_id) AS n FROM lesson WHERE number = 1) AS l WHERE l.n IN (3, 4);
"""
SESSIONS = text("SELECT number, status, attended FROM class_session ORDER BY number")


async def test_attendance_of_before_is_counted(owner_url: str) -> None:
    [found] = await brought_up(owner_url, SCHEMA, "0013", OF_BEFORE, SESSIONS)
    # One lapsed after it had been objected to, the other was never taught.
    assert [tuple(row) for row in found] == [(1, "delivered", 4), (2, "delivered", 0), (3, "scheduled", None)]
