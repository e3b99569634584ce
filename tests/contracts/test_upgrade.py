"""Contracts that were signed before there were charges have one each."""

from sqlalchemy import text

from tests.upgrading import brought_up

SCHEMA = "d510198"
OF_BEFORE = """
    INSERT INTO book (id, opened_at) VALUES (gen_random_uuid(), now());
    INSERT INTO institution (id, credit_code, name, kind, address, status, created_at)
        SELECT id, '52510112MJQ0000010', '晨光', 'arts', '驿都大道 1 号', 'approved', now() FROM book;
    INSERT INTO teacher (id, institution_id, name, certificate_no, subject, created_at)
        SELECT gen_random_uuid(), id, '李老师', 'C-1', '美术', now() FROM institution;
    INSERT INTO training_class (id, institution_id, teacher_id, name, subject, price_fen, listed_price_fen, lesson_count, lesson_minutes,
        seats, starts_on, ends_on, status, created_at, decided_at, decision_reason)
        SELECT gen_random_uuid(), institution_id, id, '素描', '素描', 20000, 20000, 2, 45, 5, '2026-03-09', '2026-03-10', 'opened', now(),
            now(), '齐全' FROM teacher;
    INSERT INTO class_session (id, class_id, institution_id, number, starts_at, ends_at, status)
        SELECT gen_random_uuid(), id, institution_id, n, timestamptz '2026-03-08 10:00+08' + n * interval '1 day',
            timestamptz '2026-03-08 10:45+08' + n * interval '1 day', 'scheduled' FROM training_class, generate_series(1, 2) AS n;
    INSERT INTO guardian (id, phone_index, phone_enc, created_at) VALUES (gen_random_uuid(), 'i', 'p', now());
    INSERT INTO student (id, name_enc, birth_month_enc, consent_version, created_at)
        SELECT gen_random_uuid(), 'n', 'm', '1', now() FROM generate_series(1, 4);
    INSERT INTO contract (id, contract_no, institution_id, class_id, student_id, guardian_id, amount_fen, status, judged_by, findings,
        created_at, lapses_at, paid_at, ended_at)
        SELECT gen_random_uuid(), s.id::text, c.institution_id, c.id, s.id, g.id, 20000,
            (ARRAY['created', 'paid', 'closed', 'lapsed'])[s.n],
            'nation/1', '[]', '2026-03-01 23:30+00', '2026-03-02 00:00+00',
            CASE WHEN s.n IN (2, 3) THEN timestamptz '2026-03-01 23:40+00' END, CASE WHEN s.n IN (3, 4) THEN now() END
        FROM (SELECT id, row_number() OVER () AS n FROM student) AS s, training_class c, guardian g;
    INSERT INTO lesson (id, contract_id, institution_id, class_session_id, student_id, guardian_id, number, price_fen, status, changed_at)
        SELECT gen_random_uuid(), k.id, k.institution_id, s.id, k.student_id, k.guardian_id, s.number, 10000, 'lapsed', now()
        FROM contract k, class_session s;
    INSERT INTO payment (id, payment_no, contract_id, institution_id, guardian_id, amount_fen, status, nonce, created_at, expires_at)
        SELECT gen_random_uuid(), contract_no, id, institution_id, guardian_id, amount_fen, 'created', 'n', created_at, lapses_at
        FROM contract;
"""
CHARGES = text("""
    SELECT k.status AS contract, h.status, h.number, h.first_lesson, h.last_lesson, h.amount_fen, h.opens_on::text, h.due_on::text,
        h.ended_at IS NULL AS open, k.way, count(p.id) AS payments
    FROM contract k LEFT JOIN charge h ON h.contract_id = k.id LEFT JOIN payment p ON p.charge_id = h.id GROUP BY k.id, h.id
""")


async def test_each_contract_of_before_has_one_charge(owner_url: str) -> None:
    [found] = await brought_up(owner_url, SCHEMA, "0008", OF_BEFORE, CHARGES)
    sold = (1, 1, 2, 20_000, "2026-03-02", "2026-03-02")
    assert {tuple(row) for row in found} == {
        ("created", "planned", *sold, True, "once", 1),
        ("paid", "paid", *sold, False, "once", 1),
        ("closed", "paid", *sold, False, "once", 1),
        ("lapsed", "lapsed", *sold, False, "once", 1),
    }
