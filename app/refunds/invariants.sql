-- invariant: refunds.amount_is_its_lines: A refund's amount is the sum of its lines and what its instruction pays, from its payment's escrow
SELECT f.institution_id AS book_id, f.refund_no AS "row", format('refund %s, lines %s, instruction %s from %s', f.amount_fen, s.lines_fen, i.amount_fen, i.source) AS detail
FROM refund f
LEFT JOIN instruction i ON i.reference = f.refund_no
CROSS JOIN LATERAL (SELECT coalesce(sum(n.amount_fen), 0) AS lines_fen FROM refund_line n WHERE n.refund_id = f.id) s
WHERE (CAST(:book AS uuid) IS NULL OR f.institution_id = :book)
    AND (f.amount_fen <> s.lines_fen OR f.amount_fen <> i.amount_fen OR i.purpose <> 'refund' OR i.book_id <> f.institution_id
        OR i.source <> 'escrow:' || f.payment_id::text);

-- invariant: refunds.waits_for_funds: A refund has its instruction from when it is funded on, and only old stock waits for that
SELECT f.institution_id AS book_id, f.refund_no AS "row", format('funded at %s, instruction %s', coalesce(f.funded_at::text, 'never'), i.status) AS detail
FROM refund f LEFT JOIN instruction i ON i.reference = f.refund_no LEFT JOIN payment p ON p.id = f.payment_id
WHERE (CAST(:book AS uuid) IS NULL OR f.institution_id = :book)
    AND ((f.funded_at IS NULL) <> (i.id IS NULL) OR (f.funded_at IS NULL AND p.old_stock IS NOT TRUE));

-- invariant: refunds.to_its_payer: A refund goes back against the very movement that paid, to a payee that its guardian named where it is old stock or an earlier one ended unpaid
SELECT f.institution_id AS book_id, f.refund_no AS "row", format('against movement %s, paid by %s', i.original_movement_id, p.movement_id) AS detail
FROM refund f JOIN instruction i ON i.reference = f.refund_no JOIN payment p ON p.id = f.payment_id
WHERE (CAST(:book AS uuid) IS NULL OR f.institution_id = :book)
    AND (i.payee_id IS DISTINCT FROM f.payee_id OR p.contract_id <> f.contract_id
        OR CASE WHEN f.payee_id IS NULL OR p.old_stock THEN i.original_movement_id IS DISTINCT FROM p.movement_id
            ELSE NOT EXISTS (
                SELECT FROM refund e JOIN instruction n ON n.reference = e.refund_no
                WHERE e.payment_id = f.payment_id AND e.approved_at < f.approved_at AND n.status IN ('rejected', 'returned'))
        END);

-- invariant: refunds.instruction_has_refund: Every instruction out of escrow is a refund's
SELECT i.book_id, i.reference AS "row", format('%s fen from %s', i.amount_fen, i.source) AS detail
FROM instruction i LEFT JOIN refund f ON f.refund_no = i.reference
WHERE (CAST(:book AS uuid) IS NULL OR i.book_id = :book) AND i.source LIKE 'escrow:%' AND f.id IS NULL;

-- invariant: refunds.line_of_its_lesson: A line gives its lesson back at its price, within the refund's contract
SELECT f.institution_id AS book_id, f.refund_no AS "row", format('line %s of lesson %s at %s', n.amount_fen, l.id, l.price_fen) AS detail
FROM refund_line n JOIN refund f ON f.id = n.refund_id JOIN lesson l ON l.id = n.lesson_id
WHERE (CAST(:book AS uuid) IS NULL OR f.institution_id = :book)
    AND (n.amount_fen <> l.price_fen OR l.contract_id <> f.contract_id OR l.payment_id IS DISTINCT FROM f.payment_id);

-- invariant: refunds.live_until_given_back: A refund's lines are live until its money has gone back to escrow
SELECT f.institution_id AS book_id, f.refund_no AS "row", format('live %s, money back at %s', n.live, coalesce(i.unreserved_at::text, 'never')) AS detail
FROM refund_line n JOIN refund f ON f.id = n.refund_id LEFT JOIN instruction i ON i.reference = f.refund_no
WHERE (CAST(:book AS uuid) IS NULL OR f.institution_id = :book) AND n.live <> (i.unreserved_at IS NULL);

-- invariant: refunds.refunded_is_on_a_line: A lesson is refunded exactly while a live line gives it back
SELECT l.institution_id AS book_id, l.id::text AS "row", format('%s with %s live lines', l.status, count(n.refund_id)) AS detail
FROM lesson l LEFT JOIN refund_line n ON n.lesson_id = l.id AND n.live
WHERE CAST(:book AS uuid) IS NULL OR l.institution_id = :book
GROUP BY l.id
HAVING count(n.refund_id) <> CASE WHEN l.status = 'refunded' THEN 1 ELSE 0 END;
