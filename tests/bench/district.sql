-- A district that has been at work for a while, in closed form: family f of an institution pays once, and the k-th lesson of
-- every family is taught, and confirmed while k <= {confirmed}, on day k. Loaded without triggers, so the books are checked after it.

SET session_replication_role = replica;
SET search_path = d{district};
SET synchronous_commit = off;

CREATE FUNCTION bench_id(at timestamptz, kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
        || '8' || lpad(to_hex(n), 15, '0'))::uuid
$$;

CREATE TABLE bench_institution AS
SELECT i, {began} + i * interval '1 second' AS at, bench_id({began}, 1, i) AS id, bench_id({began}, 2, i) AS supervised
FROM generate_series(1, {institutions}) AS i;

INSERT INTO book (id, opened_at) SELECT id, at FROM bench_institution;

INSERT INTO institution (id, credit_code, name, kind, address, status, created_at)
SELECT id, '52510112MJQ' || lpad(i::text, 7, '0'), '示例艺术培训学校' || i, 'arts', '龙泉驿区驿都大道 1 号', 'approved', at FROM bench_institution;

INSERT INTO bank_account (id, book_id, connection, role, account_no, holder_name, opened_at)
SELECT supervised, id, 'mock', 'supervised', '62280000' || lpad(i::text, 10, '0'), '示例', at FROM bench_institution
UNION ALL
SELECT bench_id({began}, 3, i), id, 'mock', 'settlement', '62290000' || lpad(i::text, 10, '0'), '示例', at FROM bench_institution;

INSERT INTO teacher (id, institution_id, name, certificate_no, subject, created_at)
SELECT bench_id({began}, 4, i), id, '李老师', 'CERT' || i, '美术', at FROM bench_institution;

CREATE TABLE bench_class AS
SELECT (i - 1) * {classes} + c AS n, i, id AS institution_id, bench_id({began}, 5, (i - 1) * {classes} + c) AS id
FROM bench_institution CROSS JOIN generate_series(1, {classes}) AS c;

INSERT INTO training_class (id, institution_id, teacher_id, name, subject, price_fen, listed_price_fen, lesson_count, lesson_minutes, seats,
    starts_on, ends_on, status, created_at, decided_at, decision_reason)
SELECT id, institution_id, bench_id({began}, 4, i), '创意美术', '美术', {price} * {lessons}, {price} * {lessons}, {lessons}, 60, {seats},
    ({began})::date + 1, ({began})::date + {lessons}, 'opened', {began}, {began}, '登记'
FROM bench_class;

INSERT INTO class_session (id, class_id, institution_id, number, starts_at, ends_at, status, delivered_at, attended)
SELECT bench_id({began}, 6, (n - 1) * {lessons} + k), id, institution_id, k, {began} + k * interval '1 day' - interval '2 hours',
    {began} + k * interval '1 day' - interval '1 hour', 'delivered', {began} + k * interval '1 day' - interval '30 minutes',
    least({seats}, {families} - (n - 1) % {classes} * {seats})
FROM bench_class CROSS JOIN generate_series(1, {lessons}) AS k;

-- f counts within the institution, n in the district; one class takes {seats} families.
CREATE TABLE bench_family AS
SELECT f, (i - 1) * {families} + f AS n, i, b.id AS institution_id, b.supervised, {began} + f * interval '1 second' AS at,
    (i - 1) * {classes} + (f - 1) / {seats} + 1 AS class_n, bench_id({began}, 7, (i - 1) * {families} + f) AS guardian_id,
    bench_id({began}, 8, (i - 1) * {families} + f) AS student_id, bench_id({began}, 9, (i - 1) * {families} + f) AS contract_id,
    bench_id({began}, 10, (i - 1) * {families} + f) AS payment_id, bench_id({began}, 11, (i - 1) * {families} + f) AS movement_id,
    'P{district}260101' || lpad(((i - 1) * {families} + f)::text, 12, '0') AS payment_no
FROM bench_institution b CROSS JOIN generate_series(1, {families}) AS f;

INSERT INTO guardian (id, phone_index, phone_enc, created_at)
SELECT guardian_id, sha256(int8send(n)), int8send(n), at FROM bench_family;

INSERT INTO principal_session (id, token_sha256, role, guardian_id, created_at, expires_at)
SELECT bench_id({began}, 12, n), sha256(convert_to('{district}.' || lpad(n::text, 43, '0'), 'UTF8')), 'parent', guardian_id, at,
    now() + interval '30 days'
FROM bench_family;

INSERT INTO student (id, name_enc, birth_month_enc, consent_version, created_at)
SELECT student_id, int8send(n), int8send(n), '1', at FROM bench_family;

INSERT INTO guardianship (guardian_id, student_id, since) SELECT guardian_id, student_id, at FROM bench_family;

INSERT INTO consent (id, guardian_id, student_id, act, version, text_sha256, at)
SELECT bench_id({began}, 13, n), guardian_id, student_id, 'given', '1', sha256('1'), at FROM bench_family;

INSERT INTO contract (id, contract_no, institution_id, class_id, student_id, guardian_id, amount_fen, status, judged_by, findings,
    created_at, lapses_at, paid_at)
SELECT contract_id, 'C' || substr(payment_no, 2), institution_id, bench_id({began}, 5, class_n), student_id, guardian_id,
    {price} * {lessons}, 'paid', 'nation/1', '[]', at, at + interval '30 minutes', at
FROM bench_family;

INSERT INTO charge (id, contract_id, institution_id, number, first_lesson, last_lesson, amount_fen, opens_on, due_on, status, ended_at)
SELECT contract_id, contract_id, institution_id, 1, 1, {lessons}, {price} * {lessons}, at::date, at::date, 'paid', at FROM bench_family;

INSERT INTO payment (id, payment_no, contract_id, charge_id, institution_id, guardian_id, amount_fen, status, nonce, movement_id, created_at,
    expires_at, paid_at, ended_at)
SELECT payment_id, payment_no, contract_id, contract_id, institution_id, guardian_id, {price} * {lessons}, 'paid', payment_no, movement_id, at,
    at + interval '15 minutes', at, at
FROM bench_family;

INSERT INTO collection (reference, bank_account_id, amount_fen, subject, return_url, expires_at, status, attempts, due_at, created_at, ended_at)
SELECT payment_no, supervised, {price} * {lessons}, '创意美术', '', at + interval '15 minutes', 'paid', 1, at, at, at FROM bench_family;

INSERT INTO lesson (id, contract_id, payment_id, institution_id, class_session_id, student_id, guardian_id, number, price_fen, status, changed_at)
SELECT bench_id({began} + k * interval '1 day', 13, (n - 1) * {lessons} + k), contract_id, payment_id, institution_id,
    bench_id({began}, 6, (class_n - 1) * {lessons} + k), student_id, guardian_id, k, {price},
    CASE WHEN k <= {confirmed} THEN 'confirmed' ELSE 'delivered' END, at + k * interval '1 day'
FROM generate_series(1, {lessons}) AS k CROSS JOIN bench_family;

INSERT INTO ledger_account (id, book_id, code, type, balance_fen, version, changed_at) OVERRIDING SYSTEM VALUE
SELECT i * 3 - 2, id, 'cash:' || supervised, 'cash', {price}::bigint * {lessons} * {families}, {families}, at + interval '1 day' FROM bench_institution
UNION ALL
SELECT i * 3 - 1, id, 'suspense', 'suspense', 0, 2 * {families}, at + interval '1 day' FROM bench_institution
UNION ALL
SELECT i * 3, id, 'payable', 'payable', {price}::bigint * {confirmed} * {families}, {confirmed} * {families},
    {began} + {confirmed} * interval '1 day' + {families} * interval '1 second'
FROM bench_institution;

INSERT INTO ledger_account (id, book_id, code, type, balance_fen, version, changed_at) OVERRIDING SYSTEM VALUE
SELECT 3 * {institutions} + n, institution_id, 'escrow:' || payment_id, 'escrow', {price} * ({lessons} - {confirmed}), 1 + {confirmed},
    at + {confirmed} * interval '1 day'
FROM bench_family;

SELECT setval(pg_get_serial_sequence('ledger_account', 'id'), max(id)) FROM ledger_account;

INSERT INTO transfer (id, format, book_id, kind, reference, debit, credit, amount_fen, debit_balance_fen, credit_balance_fen,
    debit_version, credit_version, occurred_at, value_on, business_on, recorded_at, posted_by)
SELECT bench_id(at, 14, n), 1, institution_id, 'received', movement_id, i * 3 - 2, i * 3 - 1, {price} * {lessons},
    {price}::bigint * {lessons} * f, {price} * {lessons}, f, 2 * f - 1, at, at::date, at::date, at, 'system'
FROM bench_family
UNION ALL
SELECT bench_id(at + interval '1 millisecond', 15, n), 1, institution_id, 'payment_matched', payment_id, i * 3 - 1, 3 * {institutions} + n,
    {price} * {lessons}, 0, {price} * {lessons}, 2 * f, 1, at, at::date, at::date, at, 'system'
FROM bench_family;

INSERT INTO bank_movement (id, bank_account_id, direction, movement_no, value_on, occurred_at, amount_fen, balance_after_fen, stated_fen,
    reference, counterparty_enc, booked_as, transfer_id, booked_at, assigned_at)
SELECT movement_id, supervised, 'in', n, at::date, at, {price} * {lessons}, {price}::bigint * {lessons} * f, {price} * {lessons},
    payment_no, int8send(n), 'received', bench_id(at, 14, n), at, at
FROM bench_family;

INSERT INTO receipt (movement_id, institution_id, payment_id, outcome, amount_fen, decided_at, judged_at)
SELECT movement_id, institution_id, payment_id, 'matched', {price} * {lessons}, at, at FROM bench_family;

INSERT INTO release (id, lesson_id, institution_id, payment_id, amount_fen, confirmed_by, released_at, final_at)
SELECT bench_id({began} + k * interval '1 day', 16, (n - 1) * {lessons} + k), bench_id({began} + k * interval '1 day', 13, (n - 1) * {lessons} + k),
    institution_id, payment_id, {price}, guardian_id, at + k * interval '1 day', at + k * interval '1 day' + interval '1 day'
FROM generate_series(1, {confirmed}) AS k CROSS JOIN bench_family;
