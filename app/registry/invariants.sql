-- invariant: registry.schedule: A class has one class session for each lesson, numbered without a gap
SELECT c.institution_id AS book_id, c.id::text AS "row",
       format('%s lessons, %s class sessions, last number %s', c.lesson_count, count(s.id), max(s.number)) AS detail
FROM training_class c LEFT JOIN class_session s ON s.class_id = c.id
WHERE CAST(:book AS uuid) IS NULL OR c.institution_id = :book
GROUP BY c.id
HAVING count(s.id) <> c.lesson_count OR max(s.number) IS DISTINCT FROM c.lesson_count;

-- invariant: registry.overlap: No two class sessions of a class overlap
SELECT s.institution_id AS book_id, s.id::text AS "row", format('starts %s, the one before ends %s', s.starts_at, s.ends_before) AS detail
FROM (
    SELECT id, institution_id, starts_at, lag(ends_at) OVER (PARTITION BY class_id ORDER BY starts_at) AS ends_before
    FROM class_session
    WHERE (CAST(:book AS uuid) IS NULL OR institution_id = :book) AND status <> 'cancelled'
) s
WHERE s.starts_at < s.ends_before;

-- invariant: registry.one_institution: A class, its teacher and its class sessions are of one institution
SELECT c.institution_id AS book_id, c.id::text AS "row", format('teacher of %s', t.institution_id) AS detail
FROM training_class c JOIN teacher t ON t.id = c.teacher_id
WHERE (CAST(:book AS uuid) IS NULL OR c.institution_id = :book) AND t.institution_id <> c.institution_id
UNION ALL
SELECT c.institution_id, s.id::text, format('class session of %s', s.institution_id)
FROM training_class c JOIN class_session s ON s.class_id = c.id
WHERE (CAST(:book AS uuid) IS NULL OR c.institution_id = :book) AND s.institution_id <> c.institution_id
UNION ALL
SELECT s.institution_id, s.id::text, format('taught by a teacher of %s', t.institution_id)
FROM class_session s JOIN teacher t ON t.id = s.teacher_id
WHERE (CAST(:book AS uuid) IS NULL OR s.institution_id = :book) AND t.institution_id <> s.institution_id;

-- invariant: registry.decided: Only a decided class has contracts, and a refused one has no class session
SELECT c.institution_id AS book_id, c.id::text AS "row", format('%s class with contract %s', c.status, k.contract_no) AS detail
FROM training_class c JOIN contract k ON k.class_id = c.id
WHERE (CAST(:book AS uuid) IS NULL OR c.institution_id = :book) AND c.status IN ('filed', 'refused')
UNION ALL
SELECT c.institution_id, s.id::text, format('%s class session of a refused class', s.status)
FROM training_class c JOIN class_session s ON s.class_id = c.id
WHERE (CAST(:book AS uuid) IS NULL OR c.institution_id = :book) AND c.status = 'refused' AND s.status <> 'cancelled';

-- invariant: registry.price: No lesson of a class costs less than one fen
SELECT c.institution_id AS book_id, c.id::text AS "row", format('%s fen for %s lessons', c.price_fen, c.lesson_count) AS detail
FROM training_class c
WHERE (CAST(:book AS uuid) IS NULL OR c.institution_id = :book) AND c.price_fen < c.lesson_count;

-- invariant: registry.bank_accounts: An institution has its supervised and its settlement account
SELECT i.id AS book_id, i.id::text AS "row", format('%s bank accounts in use', count(b.id)) AS detail
FROM institution i LEFT JOIN bank_account b ON b.book_id = i.id AND b.replaced_at IS NULL
WHERE CAST(:book AS uuid) IS NULL OR i.id = :book
GROUP BY i.id
HAVING count(b.id) <> 2;

-- invariant: registry.listing: An institution stands on the list that the last decision put it on
SELECT i.id AS book_id, i.id::text AS "row", format('%s, decided %s', coalesce(i.listing, 'none'), coalesce(d.listing, 'none')) AS detail
FROM institution i
LEFT JOIN LATERAL (
    SELECT listing FROM institution_listing l WHERE l.institution_id = i.id ORDER BY decided_at DESC, id DESC LIMIT 1
) d ON true
WHERE (CAST(:book AS uuid) IS NULL OR i.id = :book) AND i.listing IS DISTINCT FROM d.listing;

-- invariant: registry.paused: An institution sells nothing new while a change of its entry, other than a longer lease, waits for an officer
SELECT i.id AS book_id, c.id::text AS "row", format('%s is undecided', c.kind) AS detail
FROM institution i JOIN institution_change c ON c.institution_id = i.id
WHERE (CAST(:book AS uuid) IS NULL OR i.id = :book) AND c.status = 'proposed' AND c.kind <> 'lease' AND i.sales_paused_at IS NULL;
