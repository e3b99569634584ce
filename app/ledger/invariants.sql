-- invariant: ledger.book_balances: In every book cash + incoming + shortfall = escrow + payable + outgoing + guarantee + interest + suspense
SELECT a.book_id, a.book_id::text AS "row",
    format('assets %s, liabilities %s', sum(a.balance_fen) FILTER (WHERE a.side = 'asset'), sum(a.balance_fen) FILTER (WHERE a.side <> 'asset')) AS detail
FROM ledger_account a
WHERE CAST(:book AS uuid) IS NULL OR a.book_id = :book
GROUP BY a.book_id
HAVING sum(CASE WHEN a.side = 'asset' THEN a.balance_fen ELSE -a.balance_fen END) <> 0;

-- invariant: ledger.balance_is_its_transfers: A ledger account's balance and version are what its transfers add up to
WITH entry AS (
    SELECT t.debit AS account, t.amount_fen AS debit_fen, 0::bigint AS credit_fen FROM transfer t WHERE CAST(:book AS uuid) IS NULL OR t.book_id = :book
    UNION ALL
    SELECT t.credit, 0, t.amount_fen FROM transfer t WHERE CAST(:book AS uuid) IS NULL OR t.book_id = :book
), summed AS (
    SELECT account, sum(debit_fen - credit_fen) AS debit_surplus, count(*) AS entries FROM entry GROUP BY account
)
SELECT a.book_id, a.code AS "row",
    format('balance %s version %s, transfers give %s and %s', a.balance_fen, a.version,
        CASE WHEN a.side = 'asset' THEN coalesce(s.debit_surplus, 0) ELSE -coalesce(s.debit_surplus, 0) END, coalesce(s.entries, 0)) AS detail
FROM ledger_account a LEFT JOIN summed s ON s.account = a.id
WHERE (CAST(:book AS uuid) IS NULL OR a.book_id = :book)
    AND (a.balance_fen <> CASE WHEN a.side = 'asset' THEN coalesce(s.debit_surplus, 0) ELSE -coalesce(s.debit_surplus, 0) END
        OR a.version <> coalesce(s.entries, 0));

-- invariant: ledger.running_unbroken: Every transfer continues its ledger accounts' version and running balance, and time never runs back
WITH entry AS (
    SELECT t.id, t.book_id, t.debit AS account, t.debit_version AS version, t.debit_balance_fen AS balance, t.amount_fen AS debit_fen, t.recorded_at
    FROM transfer t WHERE CAST(:book AS uuid) IS NULL OR t.book_id = :book
    UNION ALL
    SELECT t.id, t.book_id, t.credit, t.credit_version, t.credit_balance_fen, -t.amount_fen, t.recorded_at
    FROM transfer t WHERE CAST(:book AS uuid) IS NULL OR t.book_id = :book
), chained AS (
    SELECT e.*, CASE WHEN a.side = 'asset' THEN e.debit_fen ELSE -e.debit_fen END AS change,
        lag(e.version, 1, 0::bigint) OVER w AS version_before, lag(e.balance, 1, 0::bigint) OVER w AS balance_before,
        lag(e.recorded_at) OVER w AS recorded_before
    FROM entry e JOIN ledger_account a ON a.book_id = e.book_id AND a.id = e.account
    WHERE CAST(:book AS uuid) IS NULL OR a.book_id = :book
    WINDOW w AS (PARTITION BY e.account ORDER BY e.version)
)
SELECT c.book_id, c.id::text AS "row",
    format('version %s after %s, balance %s after %s and %s', c.version, c.version_before, c.balance, c.balance_before, c.change) AS detail
FROM chained c
WHERE c.version <> c.version_before + 1 OR c.balance <> c.balance_before + c.change OR c.recorded_at < c.recorded_before;

-- invariant: ledger.kinds_hold: Every transfer's kind stands between the types of ledger account of its own book that it may
SELECT t.book_id, t.id::text AS "row", format('%s from %s to %s', t.kind, d.code, c.code) AS detail
FROM transfer t
LEFT JOIN ledger_account d ON d.book_id = t.book_id AND d.id = t.debit
LEFT JOIN ledger_account c ON c.book_id = t.book_id AND c.id = t.credit
WHERE (CAST(:book AS uuid) IS NULL OR t.book_id = :book)
    AND NOT EXISTS (SELECT FROM transfer_kind k WHERE k.kind = t.kind AND k.debit_type = d.type AND k.credit_type = c.type);

-- invariant: ledger.reversals_mirror: A transfer that names another mirrors it, and one that takes something back names what
SELECT t.book_id, t.id::text AS "row", format('%s reverses %s', t.kind, t.reverses) AS detail
FROM transfer t LEFT JOIN transfer o ON o.id = t.reverses
WHERE (CAST(:book AS uuid) IS NULL OR t.book_id = :book)
    AND ((t.kind IN ('unreserved', 'release_reversed')) <> (o.id IS NOT NULL)
        OR t.debit <> o.credit OR t.credit <> o.debit OR t.amount_fen <> o.amount_fen);

-- invariant: ledger.log_gapless: The log's numbers have no gap
SELECT t.book_id, l.seq::text AS "row", 'a number before it is missing' AS detail
FROM ledger_log l JOIN transfer t ON t.id = l.transfer_id
WHERE CAST(:book AS uuid) IS NULL AND l.seq > 1 AND NOT EXISTS (SELECT FROM ledger_log p WHERE p.seq = l.seq - 1);

-- invariant: ledger.log_holds: Every transfer is in the log with the bytes that it has, or waits for the sealer
SELECT odd.book_id, odd.id::text AS "row", CASE WHEN odd.seq IS NULL THEN 'neither sealed nor waiting' ELSE format('voucher %s', odd.seq) END AS detail
FROM (
    SELECT t.book_id, t.id, l.seq
    FROM transfer t
    JOIN ledger_account d ON d.book_id = t.book_id AND d.id = t.debit
    JOIN ledger_account c ON c.book_id = t.book_id AND c.id = t.credit
    LEFT JOIN ledger_log l ON l.transfer_id = t.id
    WHERE (CAST(:book AS uuid) IS NULL OR t.book_id = :book) AND l.leaf_hash IS DISTINCT FROM ledger_leaf(t, d.code, c.code, :district)
    OFFSET 0
) AS odd
WHERE odd.seq IS NOT NULL OR NOT EXISTS (SELECT FROM ledger_unsealed u WHERE u.transfer_id = odd.id OFFSET 0);
