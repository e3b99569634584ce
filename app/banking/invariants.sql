-- invariant: banking.outgoing_is_reserved: Each outgoing balance is the sum of instructions that are live, or ended and not yet given back
WITH reserved AS (
    SELECT i.book_id, 'outgoing:' || i.bank_account_id AS code, sum(i.amount_fen) AS amount_fen
    FROM instruction i
    WHERE i.status <> 'settled' AND i.unreserved_at IS NULL AND (CAST(:book AS uuid) IS NULL OR i.book_id = :book)
    GROUP BY i.book_id, i.bank_account_id
)
SELECT coalesce(a.book_id, r.book_id) AS book_id, coalesce(a.code, r.code) AS "row",
    format('ledger %s, instructions %s', coalesce(a.balance_fen, 0), coalesce(r.amount_fen, 0)) AS detail
FROM (SELECT * FROM ledger_account WHERE type = 'outgoing' AND (CAST(:book AS uuid) IS NULL OR book_id = :book)) AS a
FULL JOIN reserved r ON r.book_id = a.book_id AND r.code = a.code
WHERE coalesce(a.balance_fen, 0) <> coalesce(r.amount_fen, 0);

-- invariant: banking.movements_are_booked: Every line on a supervised account has its transfer, and no line on a settlement account has one
SELECT b.book_id, m.id::text AS "row", format('%s without its transfer', m.booked_as) AS detail
FROM bank_movement m JOIN bank_account b ON b.id = m.bank_account_id LEFT JOIN transfer t ON t.id = m.transfer_id
WHERE (CAST(:book AS uuid) IS NULL OR b.book_id = :book)
    AND ((b.role = 'supervised') <> (m.booked_as <> 'watched') OR (b.role <> 'supervised' AND m.transfer_id IS NOT NULL)
        OR (b.role = 'supervised' AND (t.id IS NULL OR t.kind <> m.booked_as OR t.amount_fen <> m.amount_fen OR t.book_id <> b.book_id)));

-- invariant: banking.cash_mirrors_bank: The cash of every supervised account is what its booked lines add up to
SELECT b.book_id, b.id::text AS "row", format('cash %s, lines %s', coalesce(a.balance_fen, 0), coalesce(m.total, 0)) AS detail
FROM bank_account b
LEFT JOIN ledger_account a ON a.book_id = b.book_id AND a.code = 'cash:' || b.id
LEFT JOIN (
    SELECT bank_account_id, sum(CASE direction WHEN 'in' THEN amount_fen ELSE -amount_fen END) AS total
    FROM bank_movement GROUP BY bank_account_id
) AS m ON m.bank_account_id = b.id
WHERE b.role = 'supervised' AND (CAST(:book AS uuid) IS NULL OR b.book_id = :book) AND coalesce(a.balance_fen, 0) <> coalesce(m.total, 0);

-- invariant: banking.instructions_reserve: Every instruction has the transfer that reserved its amount
SELECT i.book_id, i.reference AS "row", 'no reserving transfer of its amount' AS detail
FROM instruction i LEFT JOIN transfer t ON t.id = i.reserving_transfer_id
WHERE (CAST(:book AS uuid) IS NULL OR i.book_id = :book)
    AND (t.id IS NULL OR t.kind <> i.purpose || '_reserved' OR t.amount_fen <> i.amount_fen OR t.reference <> i.id::text);

-- invariant: banking.settled_once: Every settled or returned instruction left the supervised account exactly once
SELECT i.book_id, i.reference AS "row", format('%s with %s debits', i.status, count(t.id)) AS detail
FROM instruction i LEFT JOIN transfer t ON t.kind = 'settled' AND t.reference = i.id::text
WHERE CAST(:book AS uuid) IS NULL OR i.book_id = :book
GROUP BY i.id
HAVING (i.status IN ('settled', 'returned')) <> (count(t.id) = 1);
