-- The releases' transfers, in the order in which the books would have taken them: all families' k-th lessons before anybody's next.
SELECT bench_id(at + k * interval '1 day', 17, (n - 1) * {lessons} + k) AS id, 1::smallint AS format, institution_id AS book_id,
    'lesson_released' AS kind, bench_id({began} + k * interval '1 day', 16, (n - 1) * {lessons} + k)::text AS reference,
    (3 * {institutions} + n)::bigint AS debit, (i * 3)::bigint AS credit, {price}::bigint AS amount_fen,
    {price}::bigint * ({lessons} - k) AS debit_balance_fen, {price}::bigint * ((k - 1) * {families} + f) AS credit_balance_fen,
    (k + 1)::bigint AS debit_version, ((k - 1) * {families} + f)::bigint AS credit_version, at + k * interval '1 day' AS occurred_at,
    (at + k * interval '1 day')::date AS value_on, (at + k * interval '1 day')::date AS business_on, at + k * interval '1 day' AS recorded_at,
    NULL::uuid AS reverses, NULL::uuid AS batch, 'guardian:' || guardian_id AS posted_by, NULL::bytea AS evidence_sha256
FROM generate_series(1, {confirmed}) AS k CROSS JOIN bench_family
