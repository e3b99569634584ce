-- invariant: payments.escrow: The escrow of a payment is the price of its untaught, unconfirmed and disputed lessons
WITH held AS (
    SELECT l.institution_id, l.payment_id, sum(l.price_fen) AS fen
    FROM lesson l
    WHERE l.status IN ('scheduled', 'missed', 'delivered', 'disputed') AND (CAST(:book AS uuid) IS NULL OR l.institution_id = :book)
    GROUP BY l.institution_id, l.payment_id
), escrow AS (
    SELECT a.book_id, a.code, a.balance_fen FROM ledger_account a
    WHERE a.type = 'escrow' AND (CAST(:book AS uuid) IS NULL OR a.book_id = :book)
)
SELECT coalesce(e.book_id, h.institution_id) AS book_id, coalesce(e.code, 'escrow:' || h.payment_id) AS "row",
    format('escrow %s, lessons %s', coalesce(e.balance_fen, 0), coalesce(h.fen, 0)) AS detail
FROM held h FULL JOIN escrow e ON e.book_id = h.institution_id AND e.code = 'escrow:' || h.payment_id
WHERE coalesce(e.balance_fen, 0) <> coalesce(h.fen, 0);

-- invariant: payments.matched: A payment is paid exactly when its whole amount was matched into its own escrow
SELECT coalesce(p.institution_id, t.book_id) AS book_id, coalesce(p.payment_no, t.id::text) AS "row",
    format('%s payment of %s, matched %s into %s', p.status, p.amount_fen, t.amount_fen, a.code) AS detail
FROM (SELECT * FROM payment WHERE status = 'paid' AND (CAST(:book AS uuid) IS NULL OR institution_id = :book)) p
FULL JOIN (SELECT * FROM transfer WHERE kind = 'payment_matched' AND (CAST(:book AS uuid) IS NULL OR book_id = :book)) t
    ON t.reference = p.id::text
LEFT JOIN ledger_account a ON a.id = t.credit
WHERE (t.book_id, t.amount_fen, a.code) IS DISTINCT FROM (p.institution_id, p.amount_fen, 'escrow:' || p.id);

-- invariant: payments.contract: A contract is paid by exactly one payment of its amount, and its lessons name that payment
SELECT k.institution_id AS book_id, k.contract_no AS "row",
    format('%s contract of %s, paid %s by %s', k.status, k.amount_fen, p.amount_fen, p.payment_no) AS detail
FROM contract k LEFT JOIN payment p ON p.contract_id = k.id AND p.status = 'paid'
WHERE (CAST(:book AS uuid) IS NULL OR k.institution_id = :book)
    AND CASE WHEN k.status IN ('paid', 'closed')
        THEN (p.institution_id, p.guardian_id, p.amount_fen) IS DISTINCT FROM (k.institution_id, k.guardian_id, k.amount_fen)
        ELSE p.id IS NOT NULL
    END
UNION ALL
SELECT l.institution_id, l.id::text, format('lesson paid by %s', l.payment_id)
FROM lesson l LEFT JOIN payment p ON p.id = l.payment_id AND p.institution_id = l.institution_id
WHERE (CAST(:book AS uuid) IS NULL OR l.institution_id = :book)
    AND l.payment_id IS NOT NULL AND (p.contract_id, p.status) IS DISTINCT FROM (l.contract_id, 'paid');

-- invariant: payments.seat: An open payment ends before its seat does, and none is open once the seat is given up
SELECT p.institution_id AS book_id, p.payment_no AS "row", format('expires %s, %s contract lapses %s', p.expires_at, k.status, k.lapses_at) AS detail
FROM payment p JOIN contract k ON k.id = p.contract_id
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book)
    AND p.status = 'created' AND (k.status = 'lapsed' OR p.expires_at > k.lapses_at);

-- invariant: payments.order: A payment's cashier order asks for its amount on its institution's supervised account
SELECT p.institution_id AS book_id, p.payment_no AS "row", format('order %s of %s', o.status, o.amount_fen) AS detail
FROM payment p LEFT JOIN collection o ON o.reference = p.payment_no LEFT JOIN bank_account b ON b.id = o.bank_account_id
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book)
    AND (o.amount_fen, b.book_id, b.role) IS DISTINCT FROM (p.amount_fen, p.institution_id, 'supervised');

-- invariant: payments.receipts: Every received movement that was assigned has one receipt of its amount, and no other movement has any
SELECT b.book_id, m.id::text AS "row", format('%s of %s, receipt %s of %s', m.booked_as, m.amount_fen, r.outcome, r.amount_fen) AS detail
FROM bank_movement m JOIN bank_account b ON b.id = m.bank_account_id LEFT JOIN receipt r ON r.movement_id = m.id
WHERE (CAST(:book AS uuid) IS NULL OR b.book_id = :book)
    AND CASE WHEN m.booked_as = 'received' AND m.assigned_at IS NOT NULL
        THEN (r.institution_id, r.amount_fen) IS DISTINCT FROM (b.book_id, m.amount_fen)
        ELSE r.movement_id IS NOT NULL OR m.assigned_at IS NOT NULL
    END;

-- invariant: payments.paid_by: A matched receipt and its payment name each other
SELECT coalesce(r.institution_id, p.institution_id) AS book_id, coalesce(p.payment_no, r.movement_id::text) AS "row",
    format('receipt of %s for a payment by %s', r.movement_id, p.movement_id) AS detail
FROM (SELECT * FROM receipt WHERE outcome = 'matched' AND (CAST(:book AS uuid) IS NULL OR institution_id = :book)) r
FULL JOIN (SELECT * FROM payment WHERE status = 'paid' AND (CAST(:book AS uuid) IS NULL OR institution_id = :book)) p ON p.id = r.payment_id
WHERE (r.movement_id, r.amount_fen) IS DISTINCT FROM (p.movement_id, p.amount_fen);

-- invariant: payments.suspense: Suspense is what arrived and is neither assigned, matched, nor on its way back
WITH waiting AS (
    SELECT b.book_id, m.amount_fen AS fen
    FROM bank_movement m JOIN bank_account b ON b.id = m.bank_account_id
    WHERE m.booked_as = 'received' AND m.assigned_at IS NULL
    UNION ALL
    SELECT r.institution_id, r.amount_fen FROM receipt r WHERE r.outcome <> 'matched' AND r.return_no IS NULL
), summed AS (
    SELECT w.book_id, sum(w.fen) AS fen FROM waiting w WHERE CAST(:book AS uuid) IS NULL OR w.book_id = :book GROUP BY w.book_id
), suspense AS (
    SELECT a.book_id, a.balance_fen FROM ledger_account a WHERE a.code = 'suspense' AND (CAST(:book AS uuid) IS NULL OR a.book_id = :book)
)
SELECT coalesce(a.book_id, s.book_id) AS book_id, 'suspense' AS "row", format('balance %s, waiting %s', coalesce(a.balance_fen, 0), coalesce(s.fen, 0)) AS detail
FROM suspense a FULL JOIN summed s ON s.book_id = a.book_id
WHERE coalesce(a.balance_fen, 0) <> coalesce(s.fen, 0);

-- invariant: payments.returns: Money on its way back is under an instruction of its amount out of suspense, by the route it came
SELECT r.institution_id AS book_id, r.movement_id::text AS "row",
    format('%s returned %s by %s: %s of %s from %s', r.amount_fen, r.returned_at, r.return_no, i.status, i.amount_fen, i.source) AS detail
FROM receipt r LEFT JOIN instruction i ON i.reference = r.return_no
WHERE (CAST(:book AS uuid) IS NULL OR r.institution_id = :book)
    AND (r.return_no IS NOT NULL AND (i.book_id, i.amount_fen, i.original_movement_id, i.source, i.unreserved_at)
            IS DISTINCT FROM (r.institution_id, r.amount_fen, r.movement_id, 'suspense', NULL::timestamptz)
        OR r.returned_at IS NOT NULL AND (i.status IS NULL OR i.status NOT IN ('settled', 'returned')));
