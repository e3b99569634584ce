-- invariant: payments.escrow: The escrow of a payment is the price of its untaught, unconfirmed and disputed lessons, and its refunds that wait for funds
WITH held AS (
    SELECT w.institution_id, w.payment_id, sum(w.fen) AS fen
    FROM (
        SELECT l.institution_id, l.payment_id, l.price_fen AS fen FROM lesson l WHERE l.status IN ('scheduled', 'missed', 'delivered', 'disputed')
        UNION ALL
        SELECT f.institution_id, f.payment_id, f.amount_fen FROM refund f WHERE f.funded_at IS NULL
    ) AS w
    WHERE CAST(:book AS uuid) IS NULL OR w.institution_id = :book
    GROUP BY w.institution_id, w.payment_id
), escrow AS (
    SELECT a.book_id, a.code, a.balance_fen FROM ledger_account a
    WHERE a.type = 'escrow' AND (CAST(:book AS uuid) IS NULL OR a.book_id = :book)
)
SELECT coalesce(e.book_id, h.institution_id) AS book_id, coalesce(e.code, 'escrow:' || h.payment_id) AS "row",
    format('escrow %s, lessons %s', coalesce(e.balance_fen, 0), coalesce(h.fen, 0)) AS detail
FROM held h FULL JOIN escrow e ON e.book_id = h.institution_id AND e.code = 'escrow:' || h.payment_id
WHERE coalesce(e.balance_fen, 0) <> coalesce(h.fen, 0);

-- invariant: payments.matched: A payment is paid, unless by old stock, exactly when its whole amount was matched into its own escrow
SELECT coalesce(p.institution_id, t.book_id) AS book_id, coalesce(p.payment_no, t.id::text) AS "row",
    format('%s payment of %s, matched %s into %s', p.status, p.amount_fen, t.amount_fen, a.code) AS detail
FROM (SELECT * FROM payment WHERE status = 'paid' AND NOT old_stock AND (CAST(:book AS uuid) IS NULL OR institution_id = :book)) p
FULL JOIN (SELECT * FROM transfer WHERE kind = 'payment_matched' AND (CAST(:book AS uuid) IS NULL OR book_id = :book)) t
    ON t.reference = p.id::text
LEFT JOIN ledger_account a ON a.id = t.credit
WHERE (t.book_id, t.amount_fen, a.code) IS DISTINCT FROM (p.institution_id, p.amount_fen, 'escrow:' || p.id);

-- invariant: payments.charge: A charge is paid by exactly one payment of its amount, and its lessons name that payment
SELECT h.institution_id AS book_id, k.contract_no AS "row",
    format('%s charge %s of %s, paid %s by %s', h.status, h.number, h.amount_fen, p.amount_fen, p.payment_no) AS detail
FROM charge h JOIN contract k ON k.id = h.contract_id LEFT JOIN payment p ON p.charge_id = h.id AND p.status = 'paid'
WHERE (CAST(:book AS uuid) IS NULL OR h.institution_id = :book)
    AND CASE WHEN h.status = 'paid'
        THEN (p.institution_id, p.contract_id, p.guardian_id, p.amount_fen)
            IS DISTINCT FROM (h.institution_id, h.contract_id, k.guardian_id, h.amount_fen)
        ELSE p.id IS NOT NULL
    END
UNION ALL
SELECT l.institution_id, l.id::text, format('lesson %s paid by %s for %s to %s', l.number, l.payment_id, h.first_lesson, h.last_lesson)
FROM lesson l
LEFT JOIN payment p ON p.id = l.payment_id AND p.institution_id = l.institution_id AND p.status = 'paid'
LEFT JOIN charge h ON h.id = p.charge_id AND h.contract_id = l.contract_id AND l.number BETWEEN h.first_lesson AND h.last_lesson
WHERE (CAST(:book AS uuid) IS NULL OR l.institution_id = :book) AND l.payment_id IS NOT NULL AND h.id IS NULL;

-- invariant: payments.seat: An open payment of a first charge ends before its seat does, and none is open once the seat is given up
SELECT p.institution_id AS book_id, p.payment_no AS "row", format('expires %s, %s contract lapses %s', p.expires_at, k.status, k.lapses_at) AS detail
FROM payment p JOIN contract k ON k.id = p.contract_id
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book)
    AND p.status = 'created' AND (k.status = 'lapsed' OR (k.status = 'created' AND p.expires_at > k.lapses_at));

-- invariant: payments.order: A payment's cashier order, but for old stock, asks for its amount on its institution's supervised account
SELECT p.institution_id AS book_id, p.payment_no AS "row", format('order %s of %s', o.status, o.amount_fen) AS detail
FROM payment p LEFT JOIN collection o ON o.reference = p.payment_no LEFT JOIN bank_account b ON b.id = o.bank_account_id
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book)
    AND NOT p.old_stock AND (o.amount_fen, b.book_id, b.role) IS DISTINCT FROM (p.amount_fen, p.institution_id, 'supervised');

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
FULL JOIN (SELECT * FROM payment WHERE status = 'paid' AND NOT old_stock AND (CAST(:book AS uuid) IS NULL OR institution_id = :book)) p
    ON p.id = r.payment_id
WHERE (r.movement_id, r.amount_fen) IS DISTINCT FROM (p.movement_id, p.amount_fen);

-- invariant: payments.suspense: Suspense is what arrived and is neither assigned, matched, nor on its way back, and has made nothing good
WITH waiting AS (
    SELECT b.book_id, m.amount_fen AS fen
    FROM bank_movement m JOIN bank_account b ON b.id = m.bank_account_id
    WHERE m.booked_as = 'received' AND m.assigned_at IS NULL
    UNION ALL
    SELECT r.institution_id, r.amount_fen - r.made_good_fen FROM receipt r WHERE r.outcome <> 'matched' AND r.return_no IS NULL
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
            IS DISTINCT FROM (r.institution_id, r.amount_fen - r.made_good_fen, r.movement_id, 'suspense', NULL::timestamptz)
        OR r.returned_at IS NOT NULL AND (i.status IS NULL OR i.status NOT IN ('settled', 'returned')));

-- invariant: payments.recognised: Old stock stands in the escrow of its contract's one payment for exactly what was recognised against the shortfall
SELECT coalesce(p.institution_id, t.book_id) AS book_id, coalesce(p.payment_no, t.id::text) AS "row",
    format('old stock of %s, recognised %s into %s', p.amount_fen, t.amount_fen, a.code) AS detail
FROM (SELECT * FROM payment WHERE old_stock AND (CAST(:book AS uuid) IS NULL OR institution_id = :book)) p
FULL JOIN (SELECT * FROM transfer WHERE kind = 'old_stock_recognised' AND (CAST(:book AS uuid) IS NULL OR book_id = :book)) t
    ON t.reference = p.id::text
LEFT JOIN ledger_account a ON a.id = t.credit
LEFT JOIN contract k ON k.id = p.contract_id AND k.old_stock
WHERE (t.book_id, t.amount_fen, a.code, k.amount_fen) IS DISTINCT FROM (p.institution_id, p.amount_fen, 'escrow:' || p.id, p.amount_fen);

-- invariant: payments.made_good: What a receipt made good of a shortfall has left suspense for it
SELECT coalesce(r.institution_id, t.book_id) AS book_id, coalesce(r.movement_id::text, t.reference) AS "row",
    format('receipt gave %s, made good %s', coalesce(r.made_good_fen, 0), coalesce(t.amount_fen, 0)) AS detail
FROM (SELECT * FROM receipt WHERE made_good_fen > 0 AND (CAST(:book AS uuid) IS NULL OR institution_id = :book)) r
FULL JOIN (
    SELECT t.book_id, t.reference, t.amount_fen FROM transfer t JOIN ledger_account a ON a.id = t.debit
    WHERE t.kind = 'made_good' AND a.type = 'suspense' AND (CAST(:book AS uuid) IS NULL OR t.book_id = :book)
) t ON t.reference = r.movement_id::text
WHERE (t.book_id, t.amount_fen) IS DISTINCT FROM (r.institution_id, r.made_good_fen);
