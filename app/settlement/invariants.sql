-- invariant: settlement.amount_is_its_lines: A payout's amount is the sum of its lines and what its instruction pays, out of payable
SELECT p.institution_id AS book_id, p.payout_no AS "row", format('payout %s, lines %s, instruction %s from %s', p.amount_fen, s.lines_fen, i.amount_fen, i.source) AS detail
FROM payout p
JOIN instruction i ON i.reference = p.payout_no
CROSS JOIN LATERAL (SELECT coalesce(sum(n.amount_fen), 0) AS lines_fen FROM payout_line n WHERE n.payout_id = p.id) s
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book)
    AND (p.amount_fen <> s.lines_fen OR p.amount_fen <> i.amount_fen OR i.purpose <> 'payout' OR i.source <> 'payable' OR i.book_id <> p.institution_id);

-- invariant: settlement.instruction_has_payout: Every instruction out of payable is a payout's
SELECT i.book_id, i.reference AS "row", format('%s fen', i.amount_fen) AS detail
FROM instruction i LEFT JOIN payout p ON p.payout_no = i.reference
WHERE (CAST(:book AS uuid) IS NULL OR i.book_id = :book) AND i.source = 'payable' AND p.id IS NULL;

-- invariant: settlement.line_of_its_release: A line pays the whole of a release of its own institution that was final when the payout was drafted
SELECT p.institution_id AS book_id, p.payout_no AS "row", format('line %s of release %s at %s, final at %s', n.amount_fen, r.id, r.amount_fen, r.final_at) AS detail
FROM payout_line n JOIN payout p ON p.id = n.payout_id JOIN release r ON r.id = n.release_id
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book)
    AND (n.amount_fen <> r.amount_fen OR r.institution_id <> p.institution_id OR r.final_at > p.drafted_at OR (n.live AND r.reversed_at IS NOT NULL));

-- invariant: settlement.live_until_given_back: A payout's lines are live until its money has gone back to payable
SELECT p.institution_id AS book_id, p.payout_no AS "row", format('live %s, money back at %s', n.live, coalesce(i.unreserved_at::text, 'never')) AS detail
FROM payout_line n JOIN payout p ON p.id = n.payout_id JOIN instruction i ON i.reference = p.payout_no
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book) AND n.live <> (i.unreserved_at IS NULL);

-- invariant: settlement.release_knows_its_payout: A release names a payout exactly while a live line of that payout pays it
SELECT r.institution_id AS book_id, r.id::text AS "row", format('names %s, paid by %s', coalesce(r.payout_id::text, 'none'), coalesce(n.payout_id::text, 'none')) AS detail
FROM release r LEFT JOIN payout_line n ON n.release_id = r.id AND n.live
WHERE (CAST(:book AS uuid) IS NULL OR r.institution_id = :book) AND r.payout_id IS DISTINCT FROM n.payout_id;

-- invariant: settlement.payable_is_unpaid_releases: What is payable to an institution is the sum of its standing releases that no payout pays
SELECT b.id AS book_id, b.id::text AS "row", format('payable %s, unpaid releases %s', coalesce(a.balance_fen, 0), u.unpaid_fen) AS detail
FROM book b
LEFT JOIN ledger_account a ON a.book_id = b.id AND a.code = 'payable'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.amount_fen), 0) AS unpaid_fen FROM release r
    WHERE r.institution_id = b.id AND r.reversed_at IS NULL AND r.payout_id IS NULL
) u
WHERE (CAST(:book AS uuid) IS NULL OR b.id = :book) AND coalesce(a.balance_fen, 0) <> u.unpaid_fen;
