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

-- invariant: settlement.line_of_its_release: A line pays what no shortfall took of a release of its own institution that was final when the payout was drafted
SELECT p.institution_id AS book_id, p.payout_no AS "row",
    format('line %s of release %s at %s less %s, final at %s', n.amount_fen, r.id, r.amount_fen, r.made_good_fen, r.final_at) AS detail
FROM payout_line n JOIN payout p ON p.id = n.payout_id JOIN release r ON r.id = n.release_id
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book)
    AND (n.amount_fen > r.amount_fen OR (n.live AND n.amount_fen <> r.amount_fen - r.made_good_fen) OR r.institution_id <> p.institution_id OR r.final_at > p.drafted_at OR (n.live AND r.reversed_at IS NOT NULL));

-- invariant: settlement.live_until_given_back: A payout's lines are live until its money has gone back to payable
SELECT p.institution_id AS book_id, p.payout_no AS "row", format('live %s, money back at %s', n.live, coalesce(i.unreserved_at::text, 'never')) AS detail
FROM payout_line n JOIN payout p ON p.id = n.payout_id JOIN instruction i ON i.reference = p.payout_no
WHERE (CAST(:book AS uuid) IS NULL OR p.institution_id = :book) AND n.live <> (i.unreserved_at IS NULL);

-- invariant: settlement.release_knows_its_payout: A release names a payout exactly while a live line of that payout pays it
SELECT r.institution_id AS book_id, r.id::text AS "row", format('names %s, paid by %s', coalesce(r.payout_id::text, 'none'), coalesce(n.payout_id::text, 'none')) AS detail
FROM release r LEFT JOIN payout_line n ON n.release_id = r.id AND n.live
WHERE (CAST(:book AS uuid) IS NULL OR r.institution_id = :book) AND r.payout_id IS DISTINCT FROM n.payout_id;

-- invariant: settlement.payable_is_unpaid_releases: What is payable to an institution is the sum of its standing releases that no payout pays and no shortfall took
SELECT b.id AS book_id, b.id::text AS "row", format('payable %s, unpaid releases %s', coalesce(a.balance_fen, 0), u.unpaid_fen) AS detail
FROM book b
LEFT JOIN ledger_account a ON a.book_id = b.id AND a.code = 'payable'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.amount_fen - r.made_good_fen), 0) AS unpaid_fen FROM release r
    WHERE r.institution_id = b.id AND r.reversed_at IS NULL AND r.payout_id IS NULL
) u
WHERE (CAST(:book AS uuid) IS NULL OR b.id = :book) AND coalesce(a.balance_fen, 0) <> u.unpaid_fen;

-- invariant: settlement.made_good_is_its_lines: What a run took of its institution's releases is what it made good of the shortfall
SELECT coalesce(t.book_id, s.institution_id) AS book_id, coalesce(t.reference, s.run_id::text) AS "row",
    format('made good %s, lines %s', coalesce(t.amount_fen, 0), coalesce(s.fen, 0)) AS detail
FROM (
    SELECT t.book_id, t.reference, t.amount_fen FROM transfer t JOIN ledger_account a ON a.id = t.debit
    WHERE t.kind = 'made_good' AND a.type = 'payable' AND (CAST(:book AS uuid) IS NULL OR t.book_id = :book)
) AS t
FULL JOIN (
    SELECT m.run_id, n.institution_id, sum(m.amount_fen) AS fen FROM made_good_line m JOIN settlement_run n ON n.id = m.run_id
    WHERE CAST(:book AS uuid) IS NULL OR n.institution_id = :book GROUP BY m.run_id, n.institution_id
) AS s ON s.run_id::text = t.reference
WHERE (t.book_id, t.amount_fen) IS DISTINCT FROM (s.institution_id, s.fen);

-- invariant: settlement.release_knows_what_was_taken: What a release made good is the sum of its lines, of runs of its own institution
SELECT r.institution_id AS book_id, r.id::text AS "row", format('made good %s, lines %s', r.made_good_fen, coalesce(sum(m.amount_fen), 0)) AS detail
FROM release r LEFT JOIN (
    SELECT m.release_id, m.amount_fen, n.institution_id FROM made_good_line m JOIN settlement_run n ON n.id = m.run_id
) AS m ON m.release_id = r.id AND m.institution_id = r.institution_id
WHERE CAST(:book AS uuid) IS NULL OR r.institution_id = :book
GROUP BY r.id
HAVING r.made_good_fen <> coalesce(sum(m.amount_fen), 0);

-- invariant: settlement.nothing_out_of_others: What old stock is short of stands in its own escrow and unpaid fees, never in other families' money
SELECT b.id AS book_id, b.id::text AS "row", format('shortfall %s, old stock %s, taken %s', s.balance_fen, o.fen, x.fen) AS detail
FROM book b
JOIN ledger_account s ON s.book_id = b.id AND s.code = 'shortfall'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.balance_fen), 0) + coalesce(sum(u.fen), 0) AS fen
    FROM payment p
    LEFT JOIN ledger_account a ON a.book_id = b.id AND a.code = 'escrow:' || p.id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(r.amount_fen - r.made_good_fen), 0) AS fen FROM lesson l JOIN release r ON r.lesson_id = l.id
        WHERE l.payment_id = p.id AND r.payout_id IS NULL AND r.reversed_at IS NULL
    ) AS u
    WHERE p.institution_id = b.id AND p.old_stock
) AS o
CROSS JOIN LATERAL (
    SELECT coalesce(sum(t.amount_fen), 0) AS fen FROM transfer t WHERE t.debit = s.id AND t.kind = 'taken'
) AS x
WHERE (CAST(:book AS uuid) IS NULL OR b.id = :book) AND s.balance_fen > o.fen + x.fen;
