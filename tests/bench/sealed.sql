-- Every transfer sealed, its leaf computed here as the sealer computes it; then what only the load needed goes.
SET max_parallel_workers_per_gather = 2;

INSERT INTO ledger_log (seq, transfer_id, leaf_hash)
SELECT row_number() OVER (ORDER BY t.recorded_at, t.id), t.id, ledger_leaf(t, d.code, c.code, '{district}')
FROM transfer t JOIN ledger_account d ON d.id = t.debit JOIN ledger_account c ON c.id = t.credit;

DROP TABLE bench_family, bench_class, bench_institution;
DROP FUNCTION bench_id;
ANALYZE;
CHECKPOINT;
