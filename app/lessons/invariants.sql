-- invariant: lessons.release_has_cause: Every lesson_released transfer is caused by a release of the same amount, book and payment
SELECT t.book_id, t.id::text AS "row", format('%s fen from %s, release %s', t.amount_fen, d.code, coalesce(r.id::text, 'missing')) AS detail
FROM transfer t
JOIN ledger_account d ON d.book_id = t.book_id AND d.id = t.debit
LEFT JOIN release r ON r.id::text = t.reference AND (CAST(:book AS uuid) IS NULL OR r.institution_id = :book)
WHERE t.kind = 'lesson_released' AND (CAST(:book AS uuid) IS NULL OR t.book_id = :book)
    AND (r.id IS NULL OR r.institution_id <> t.book_id OR r.amount_fen <> t.amount_fen OR d.code <> 'escrow:' || r.payment_id::text);

-- invariant: lessons.release_posted: Every release has its lesson_released transfer, and a release_reversed one exactly when it is reversed
SELECT r.institution_id AS book_id, r.id::text AS "row",
    format('transfer %s, reversed at %s by %s', coalesce(t.id::text, 'missing'), coalesce(r.reversed_at::text, 'never'), coalesce(u.id::text, 'none')) AS detail
FROM release r
LEFT JOIN transfer t ON t.kind = 'lesson_released' AND t.reference = r.id::text AND t.book_id = r.institution_id
LEFT JOIN transfer u ON u.kind = 'release_reversed' AND u.reverses = t.id
WHERE (CAST(:book AS uuid) IS NULL OR r.institution_id = :book) AND (t.id IS NULL OR (r.reversed_at IS NULL) <> (u.id IS NULL));

-- invariant: lessons.release_of_its_lesson: A release is of its lesson's payment, price and institution
SELECT r.institution_id AS book_id, r.id::text AS "row", format('%s fen of lesson %s at %s fen', r.amount_fen, l.id, l.price_fen) AS detail
FROM release r LEFT JOIN lesson l ON l.id = r.lesson_id AND l.institution_id = r.institution_id
WHERE (CAST(:book AS uuid) IS NULL OR r.institution_id = :book)
    AND (r.amount_fen, r.payment_id) IS DISTINCT FROM (l.price_fen, l.payment_id);

-- invariant: lessons.confirmed_is_released: A lesson is confirmed exactly while one of its releases stands
SELECT l.institution_id AS book_id, l.id::text AS "row", format('%s with %s standing releases', l.status, count(r.id)) AS detail
FROM lesson l LEFT JOIN release r ON r.lesson_id = l.id AND r.institution_id = l.institution_id AND r.reversed_at IS NULL
WHERE CAST(:book AS uuid) IS NULL OR l.institution_id = :book
GROUP BY l.id
HAVING count(r.id) <> CASE WHEN l.status = 'confirmed' THEN 1 ELSE 0 END;

-- invariant: lessons.caused_by_its_own: A confirmation is given by a guardian of the lesson's child, a ruling by an officer who ruled to release it
SELECT r.institution_id AS book_id, r.id::text AS "row", format('cause %s', coalesce(r.confirmed_by, r.dispute_id)) AS detail
FROM release r
JOIN lesson l ON l.id = r.lesson_id AND l.institution_id = r.institution_id
LEFT JOIN guardianship g ON g.guardian_id = r.confirmed_by AND g.student_id = l.student_id
LEFT JOIN dispute d ON d.id = r.dispute_id AND d.lesson_id = l.id AND d.ruling = 'release'
WHERE (CAST(:book AS uuid) IS NULL OR r.institution_id = :book) AND g.guardian_id IS NULL AND d.id IS NULL
    AND NOT EXISTS (SELECT FROM former_guardianship f WHERE f.guardian_id = r.confirmed_by AND f.student_id = l.student_id OFFSET 0);

-- invariant: lessons.disputed_is_open: A lesson is disputed exactly while one of its disputes waits for a ruling
SELECT l.institution_id AS book_id, l.id::text AS "row", format('%s with %s open disputes', l.status, count(d.id)) AS detail
FROM lesson l LEFT JOIN dispute d ON d.lesson_id = l.id AND d.status = 'opened'
WHERE CAST(:book AS uuid) IS NULL OR l.institution_id = :book
GROUP BY l.id
HAVING count(d.id) <> CASE WHEN l.status IN ('contested', 'disputed') THEN 1 ELSE 0 END;

-- invariant: lessons.taught_when_delivered: Lessons wait until their class session is delivered, and are taught or missed from then on
SELECT l.institution_id AS book_id, l.id::text AS "row", format('%s in a %s class session', l.status, c.status) AS detail
FROM lesson l JOIN class_session c ON c.id = l.class_session_id AND c.institution_id = l.institution_id
WHERE (CAST(:book AS uuid) IS NULL OR l.institution_id = :book)
    AND CASE c.status
        WHEN 'delivered' THEN l.status IN ('agreed', 'scheduled')
        ELSE l.status IN ('owed', 'contested', 'delivered', 'disputed', 'confirmed')
    END;
