-- invariant: contracts.seats: A class never has more live contracts than seats
SELECT c.institution_id AS book_id, c.id::text AS "row", format('%s live contracts for %s seats', count(*), c.seats) AS detail
FROM training_class c JOIN contract k ON k.class_id = c.id AND k.status IN ('created', 'paid')
WHERE CAST(:book AS uuid) IS NULL OR c.institution_id = :book
GROUP BY c.id
HAVING count(*) > c.seats;

-- invariant: contracts.amount: A contract costs what its lessons cost together
SELECT k.institution_id AS book_id, k.id::text AS "row",
    format('contract of %s fen, lessons of %s', k.amount_fen, coalesce(sum(l.price_fen), 0)) AS detail
FROM contract k LEFT JOIN lesson l ON l.contract_id = k.id
WHERE CAST(:book AS uuid) IS NULL OR k.institution_id = :book
GROUP BY k.id
HAVING k.amount_fen IS DISTINCT FROM sum(l.price_fen);

-- invariant: contracts.states: Lessons are reserved while their contract is unpaid, lapsed when it lapsed, and neither once it is paid
SELECT l.institution_id AS book_id, l.id::text AS "row", format('%s lesson of a %s contract', l.status, k.status) AS detail
FROM lesson l JOIN contract k ON k.id = l.contract_id AND k.institution_id = l.institution_id
WHERE (CAST(:book AS uuid) IS NULL OR l.institution_id = :book)
    AND CASE k.status
        WHEN 'created' THEN l.status <> 'reserved'
        WHEN 'lapsed' THEN l.status <> 'lapsed'
        ELSE l.status IN ('reserved', 'lapsed')
    END;

-- invariant: contracts.one_party: A lesson is of its contract's child, guardian and institution, in a session of its contract's class
SELECT l.institution_id AS book_id, l.id::text AS "row", format('contract %s', l.contract_id) AS detail
FROM lesson l
LEFT JOIN contract k ON k.id = l.contract_id AND k.institution_id = l.institution_id
LEFT JOIN class_session s ON s.id = l.class_session_id AND s.institution_id = l.institution_id
LEFT JOIN training_class c ON c.id = k.class_id
WHERE (CAST(:book AS uuid) IS NULL OR l.institution_id = :book)
    AND (l.guardian_id, l.student_id, s.class_id, c.institution_id)
        IS DISTINCT FROM (k.guardian_id, k.student_id, k.class_id, l.institution_id);

-- invariant: contracts.once: No contract sells a class session twice
SELECT l.institution_id AS book_id, l.contract_id::text AS "row", format('class session %s sold %s times', l.class_session_id, count(*)) AS detail
FROM lesson l
WHERE CAST(:book AS uuid) IS NULL OR l.institution_id = :book
GROUP BY l.institution_id, l.contract_id, l.class_session_id
HAVING count(*) > 1;
