CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE IF NOT EXISTS client (
    slug TEXT PRIMARY KEY,
    api_key TEXT NOT NULL UNIQUE,
    notice_url TEXT,
    notice_secret TEXT NOT NULL
) STRICT;

-- An account without a client belongs to the outside world and may go below zero.
CREATE TABLE IF NOT EXISTS account (
    account_no TEXT PRIMARY KEY,
    holder_name TEXT NOT NULL,
    client TEXT REFERENCES client,
    opening_fen INTEGER NOT NULL,
    balance_fen INTEGER NOT NULL,
    last_moved_at TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS account_by_client ON account (client, account_no);

-- Two rows for every payment: out of one account and into another, under one pair number.
CREATE TABLE IF NOT EXISTS movement (
    seq INTEGER PRIMARY KEY,
    pair INTEGER NOT NULL,
    account_no TEXT NOT NULL REFERENCES account,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    value_on TEXT NOT NULL,
    day_no INTEGER NOT NULL,
    movement_id TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    balance_after_fen INTEGER NOT NULL,
    occurred_at TEXT NOT NULL,
    client TEXT,
    reference TEXT,
    returns INTEGER NOT NULL CHECK (returns IN (0, 1)),
    other_account_no TEXT NOT NULL REFERENCES account,
    counterparty_no TEXT NOT NULL,
    counterparty_name TEXT NOT NULL,
    UNIQUE (account_no, direction, value_on, day_no)
) STRICT;
CREATE INDEX IF NOT EXISTS movement_by_day ON movement (account_no, value_on, seq);
CREATE INDEX IF NOT EXISTS movement_by_reference ON movement (reference, seq) WHERE reference IS NOT NULL;
CREATE INDEX IF NOT EXISTS movement_by_id ON movement (account_no, movement_id);

CREATE TABLE IF NOT EXISTS cashier_order (
    client TEXT NOT NULL REFERENCES client,
    reference TEXT NOT NULL,
    account_no TEXT NOT NULL REFERENCES account,
    amount_fen INTEGER NOT NULL,
    subject TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    return_url TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('open', 'paid', 'closed')),
    PRIMARY KEY (client, reference)
) STRICT;
CREATE INDEX IF NOT EXISTS order_by_reference ON cashier_order (reference);

CREATE TABLE IF NOT EXISTS instruction (
    client TEXT NOT NULL REFERENCES client,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('refund', 'transfer')),
    account_no TEXT NOT NULL REFERENCES account,
    amount_fen INTEGER NOT NULL,
    payee_account_no TEXT NOT NULL,
    payee_name TEXT NOT NULL,
    original_movement_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('accepted', 'executed', 'rejected', 'returned')),
    reject_code TEXT,
    PRIMARY KEY (client, reference)
) STRICT;
CREATE INDEX IF NOT EXISTS instruction_by_original ON instruction (account_no, original_movement_id)
    WHERE original_movement_id IS NOT NULL;

-- What the bank will do later by itself; `due_at` in real Unix seconds, without it only when released.
CREATE TABLE IF NOT EXISTS pending (
    seq INTEGER PRIMARY KEY,
    due_at REAL,
    action TEXT NOT NULL,
    client TEXT NOT NULL,
    reference TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS knob (
    knob_id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    operation TEXT NOT NULL,
    reference TEXT,
    account_no TEXT,
    times_left INTEGER,
    fired INTEGER NOT NULL DEFAULT 0,
    seconds REAL,
    code TEXT NOT NULL,
    after_accept INTEGER NOT NULL,
    drop_connection INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS knob_ready ON knob (kind, knob_id) WHERE times_left IS NULL OR times_left > 0;

CREATE TABLE IF NOT EXISTS notice (
    seq INTEGER PRIMARY KEY,
    notice_id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL REFERENCES client,
    event TEXT NOT NULL,
    reference TEXT,
    account_no TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'held', 'lost', 'delivered', 'failed')),
    copies_left INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_try_at REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS notice_queue ON notice (client, next_try_at) WHERE state IN ('queued', 'held');
