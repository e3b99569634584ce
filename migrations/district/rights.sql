-- What the serving role may do. Default: nothing; the books: read, and post through the one door.

DO $$
DECLARE
    v_table text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO escrow_app', current_schema());
    FOR v_table IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE format('GRANT SELECT ON %I TO escrow_app', v_table);
        IF v_table NOT IN ('book', 'ledger_account', 'transfer', 'transfer_kind', 'ledger_log', 'ledger_unsealed', 'alembic_version') THEN
            EXECUTE format('GRANT INSERT ON %I TO escrow_app', v_table);
        END IF;
        IF v_table NOT IN ('book', 'ledger_account', 'transfer', 'transfer_kind', 'ledger_log', 'ledger_unsealed', 'alembic_version',
            'audit_entry', 'alert_event', 'clearance', 'idempotency_key', 'settlement_run', 'reconciliation_break', 'refund', 'guardianship',
            'student', 'teacher', 'staff', 'bank_account', 'bank_movement') THEN
            EXECUTE format('GRANT UPDATE ON %I TO escrow_app', v_table);
        END IF;
    END LOOP;
    -- Who may sign in, where money goes and what a bank said stays as it was entered.
    GRANT UPDATE (disabled_at) ON staff TO escrow_app;
    GRANT UPDATE (balance_due_at) ON bank_account TO escrow_app;
    GRANT UPDATE (stated_fen, assigned_at) ON bank_movement TO escrow_app;
    FOREACH v_table IN ARRAY ARRAY['audit_entry', 'alert_event', 'clearance'] LOOP
        CONTINUE WHEN to_regclass(v_table) IS NULL;
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', v_table);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', v_table);
    END LOOP;
    FOREACH v_table IN ARRAY ARRAY['reconciliation_break', 'idempotency_key', 'principal_session', 'sign_in_code', 'sign_in_failure'] LOOP
        CONTINUE WHEN to_regclass(v_table) IS NULL;
        EXECUTE format('GRANT DELETE ON %I TO escrow_app', v_table);
    END LOOP;
END $$;

REVOKE EXECUTE ON FUNCTION ledger_post, ledger_open_book, ledger_seal FROM PUBLIC;

GRANT EXECUTE ON FUNCTION ledger_post, ledger_open_book, ledger_seal, ledger_leaf TO escrow_app;

INSERT INTO supervision_cursor (name, seq) VALUES ('alerts', 0), ('ledger', 0);
