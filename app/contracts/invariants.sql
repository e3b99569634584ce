-- invariant: contracts.seats: A class never has more live contracts than seats
SELECT c.institution_id AS book_id, c.id::text AS "row", format('%s live contracts for %s seats', count(*), c.seats) AS detail
FROM training_class c JOIN contract k ON k.class_id = c.id AND k.status IN ('created', 'agreed', 'paid')
WHERE CAST(:book AS uuid) IS NULL OR c.institution_id = :book
GROUP BY c.id
HAVING count(*) > c.seats;

-- invariant: contracts.amount: A contract costs what its lessons cost together, and what its charges come to
WITH sold AS (
    SELECT l.contract_id, sum(l.price_fen) AS fen FROM lesson l
    WHERE CAST(:book AS uuid) IS NULL OR l.institution_id = :book GROUP BY l.contract_id
), charged AS (
    SELECT h.contract_id, sum(h.amount_fen) AS fen FROM charge h
    WHERE CAST(:book AS uuid) IS NULL OR h.institution_id = :book GROUP BY h.contract_id
)
SELECT k.institution_id AS book_id, k.id::text AS "row",
    format('contract of %s fen, lessons of %s, charges of %s', k.amount_fen, coalesce(sold.fen, 0), coalesce(charged.fen, 0)) AS detail
FROM contract k LEFT JOIN sold ON sold.contract_id = k.id LEFT JOIN charged ON charged.contract_id = k.id
WHERE (CAST(:book AS uuid) IS NULL OR k.institution_id = :book)
    AND (k.amount_fen IS DISTINCT FROM sold.fen OR k.amount_fen IS DISTINCT FROM charged.fen);

-- invariant: contracts.charges: A contract's charges deal out its lessons in their order, each for what its lessons cost together
WITH dealt AS (
    SELECT h.*, row_number() OVER w AS place, lag(h.last_lesson, 1, 0) OVER w + 1 AS next_lesson
    FROM charge h WHERE CAST(:book AS uuid) IS NULL OR h.institution_id = :book
    WINDOW w AS (PARTITION BY h.contract_id ORDER BY h.number)
)
SELECT h.institution_id AS book_id, h.contract_id::text AS "row",
    format('charge %s of %s fen for lessons %s to %s, which are %s for %s', h.number, h.amount_fen, h.first_lesson, h.last_lesson, count(l.id),
        coalesce(sum(l.price_fen), 0)) AS detail
FROM dealt h
LEFT JOIN lesson l ON l.contract_id = h.contract_id AND l.institution_id = h.institution_id
    AND l.number BETWEEN h.first_lesson AND h.last_lesson
GROUP BY h.institution_id, h.contract_id, h.number, h.place, h.first_lesson, h.last_lesson, h.next_lesson, h.amount_fen
HAVING h.number <> h.place OR h.first_lesson <> h.next_lesson OR count(l.id) <> h.last_lesson - h.first_lesson + 1
    OR sum(l.price_fen) IS DISTINCT FROM h.amount_fen;

-- invariant: contracts.first_charge: A contract is unpaid, paid or lapsed as its first charge, and closed with none planned
SELECT k.institution_id AS book_id, k.id::text AS "row",
    format('%s contract, charges %s', k.status, string_agg(h.status, ' ' ORDER BY h.number)) AS detail
FROM contract k JOIN charge h ON h.contract_id = k.id AND h.institution_id = k.institution_id
WHERE CAST(:book AS uuid) IS NULL OR k.institution_id = :book
GROUP BY k.id
HAVING string_agg(h.status, '' ORDER BY h.number) !~ CASE
    WHEN k.way = 'later' AND k.status = 'agreed' THEN '^(paid|planned|lapsed)+$'
    WHEN k.way = 'later' AND k.status = 'closed' THEN '^(paid|lapsed)+$'
    WHEN k.way <> 'later' AND k.status = 'created' THEN '^(planned)+$'
    WHEN k.way <> 'later' AND k.status = 'lapsed' THEN '^(lapsed)+$'
    WHEN k.way <> 'later' AND k.status = 'paid' THEN '^paid(paid|planned|lapsed)*$'
    WHEN k.way <> 'later' AND k.status = 'closed' THEN '^paid(paid|lapsed)*$'
    ELSE 'never'
END;

-- invariant: contracts.states: Lessons wait or are owed while their charge is planned, are lapsed when it lapsed, and neither once it is paid
SELECT l.institution_id AS book_id, l.id::text AS "row", format('%s lesson of a %s charge', l.status, h.status) AS detail
FROM lesson l
JOIN contract k ON k.id = l.contract_id
JOIN charge h ON h.contract_id = l.contract_id AND h.institution_id = l.institution_id AND l.number BETWEEN h.first_lesson AND h.last_lesson
WHERE (CAST(:book AS uuid) IS NULL OR l.institution_id = :book)
    AND CASE h.status
        WHEN 'planned' THEN CASE k.way WHEN 'later' THEN l.status NOT IN ('agreed', 'owed', 'contested') ELSE l.status <> 'reserved' END
        WHEN 'lapsed' THEN l.status <> 'lapsed'
        ELSE l.status IN ('reserved', 'agreed', 'owed', 'contested', 'lapsed')
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

-- invariant: contracts.accepted: A contract's text was accepted by who signed it, when it was signed
SELECT k.institution_id AS book_id, k.id::text AS "row", format('accepted by %s at %s', d.accepted_by, d.accepted_at) AS detail
FROM contract_document d JOIN contract k ON k.id = d.id
WHERE (CAST(:book AS uuid) IS NULL OR k.institution_id = :book)
    AND (d.accepted_by, d.accepted_at) IS DISTINCT FROM (k.guardian_id, k.created_at);

-- invariant: contracts.once: No contract sells a class session twice
SELECT l.institution_id AS book_id, l.contract_id::text AS "row", format('class session %s sold %s times', l.class_session_id, count(*)) AS detail
FROM lesson l
WHERE CAST(:book AS uuid) IS NULL OR l.institution_id = :book
GROUP BY l.institution_id, l.contract_id, l.class_session_id
HAVING count(*) > 1;
