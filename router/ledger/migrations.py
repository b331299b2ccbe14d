"""The ledger's schema, as an append-only list of migrations. A released entry is never edited.

``PRAGMA user_version`` holds the number of migrations applied. A file with a higher number belongs to a newer router
and is refused.
"""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE requests (
        id               TEXT PRIMARY KEY,
        kind             TEXT NOT NULL,
        state            TEXT NOT NULL,             -- open | settled
        time_ms          INTEGER NOT NULL,          -- UTC
        profile          TEXT NOT NULL,
        rule             TEXT NOT NULL,             -- label
        rule_hash        TEXT NOT NULL,
        file_hash        TEXT NOT NULL,
        client           TEXT NOT NULL,
        key              TEXT,
        tags             TEXT,
        conversation     TEXT,
        api              TEXT NOT NULL,
        requested_model  TEXT NOT NULL,
        provider         TEXT,
        model            TEXT,
        stream           INTEGER NOT NULL,
        reason           TEXT NOT NULL,
        status           INTEGER,
        outcome          TEXT,
        error_class      TEXT,
        input            INTEGER,                   -- uncached; NULL = not reported, here and below
        cache_read       INTEGER,
        cache_write      INTEGER,
        cache_write_1h   INTEGER,
        output           INTEGER,
        reasoning        INTEGER,
        estimated_input  INTEGER,
        usage_estimated  INTEGER NOT NULL DEFAULT 0,
        cost_nano_usd    INTEGER,                   -- NULL = unknown
        list_nano_usd    INTEGER,
        price_source     TEXT,
        first_byte_ms    REAL,
        duration_ms      REAL,
        attempts         INTEGER NOT NULL DEFAULT 0,
        facts            TEXT                       -- JSON: counts, flags, tool names, condition results; never text
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX requests_by_profile ON requests (profile, time_ms);
    CREATE INDEX requests_open ON requests (state) WHERE state = 'open';
    CREATE INDEX requests_failed ON requests (time_ms) WHERE outcome NOT IN ('ok', 'client-gone');

    CREATE TABLE attempts (
        request_id     TEXT NOT NULL,
        number         INTEGER NOT NULL,            -- from 1
        role           TEXT NOT NULL,               -- primary | retry | fallback | draft | verifier
        provider       TEXT NOT NULL,
        model          TEXT NOT NULL,
        key_name       TEXT,
        time_ms        INTEGER NOT NULL,
        state          TEXT NOT NULL,               -- open | settled
        status         INTEGER,
        error_class    TEXT,
        maybe_billed   INTEGER NOT NULL DEFAULT 0,
        first_byte_ms  REAL,
        duration_ms    REAL,
        input          INTEGER,
        cache_read     INTEGER,
        cache_write    INTEGER,
        cache_write_1h INTEGER,
        output         INTEGER,
        reasoning      INTEGER,
        cost_nano_usd  INTEGER,
        list_nano_usd  INTEGER,
        price_source   TEXT,
        usage_raw      TEXT,                        -- the provider's usage object as received
        response_id    TEXT,
        PRIMARY KEY (request_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX attempts_draft ON attempts (request_id) WHERE role = 'draft';

    -- Sums per hour of settled requests, so that reports don't read the whole table.
    CREATE TABLE rollup (
        hour           INTEGER NOT NULL,            -- time_ms / 3600000
        profile        TEXT NOT NULL,
        rule           TEXT NOT NULL,
        rule_hash      TEXT NOT NULL,
        kind           TEXT NOT NULL,
        provider       TEXT NOT NULL,               -- '' for refused requests
        model          TEXT NOT NULL,
        client         TEXT NOT NULL,
        key            TEXT NOT NULL,               -- '' for none
        requests       INTEGER NOT NULL,
        input          INTEGER NOT NULL,
        cache_read     INTEGER NOT NULL,
        cache_write    INTEGER NOT NULL,            -- both lifetimes
        output         INTEGER NOT NULL,
        reasoning      INTEGER NOT NULL,
        no_usage       INTEGER NOT NULL,            -- requests whose usage was not reported
        cost_nano_usd  INTEGER NOT NULL,
        list_nano_usd  INTEGER NOT NULL,
        unpriced       INTEGER NOT NULL,            -- requests of unknown cost
        errors         INTEGER NOT NULL,
        fallbacks      INTEGER NOT NULL,
        PRIMARY KEY (profile, hour, rule_hash, rule, kind, provider, model, client, key)
    ) STRICT, WITHOUT ROWID;

    -- The same sums per day of UTC: a year of every rule, model, client and key is a few thousand rows, not a million.
    CREATE TABLE rollup_day (
        day            INTEGER NOT NULL,            -- time_ms / 86400000
        profile        TEXT NOT NULL,
        rule           TEXT NOT NULL,
        rule_hash      TEXT NOT NULL,
        kind           TEXT NOT NULL,
        provider       TEXT NOT NULL,
        model          TEXT NOT NULL,
        client         TEXT NOT NULL,
        key            TEXT NOT NULL,
        requests       INTEGER NOT NULL,
        input          INTEGER NOT NULL,
        cache_read     INTEGER NOT NULL,
        cache_write    INTEGER NOT NULL,
        output         INTEGER NOT NULL,
        reasoning      INTEGER NOT NULL,
        no_usage       INTEGER NOT NULL,
        cost_nano_usd  INTEGER NOT NULL,
        list_nano_usd  INTEGER NOT NULL,
        unpriced       INTEGER NOT NULL,
        errors         INTEGER NOT NULL,
        fallbacks      INTEGER NOT NULL,
        PRIMARY KEY (profile, day, rule_hash, rule, kind, provider, model, client, key)
    ) STRICT, WITHOUT ROWID;

    -- When a rule's meaning was first and last seen under a label: "label (before 18 Nov)".
    CREATE TABLE rules (
        profile        TEXT NOT NULL,
        rule_hash      TEXT NOT NULL,
        rule           TEXT NOT NULL,
        first_ms       INTEGER NOT NULL,
        last_ms        INTEGER NOT NULL,
        PRIMARY KEY (profile, rule_hash)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE keys (
        id             TEXT PRIMARY KEY,            -- short public id
        profile        TEXT NOT NULL,
        name           TEXT NOT NULL,
        hash           TEXT NOT NULL UNIQUE,        -- SHA-256 of the key, hex
        tail           TEXT NOT NULL,               -- last four characters, for display
        created_ms     INTEGER NOT NULL,
        revoked_ms     INTEGER,
        daily_usd      REAL
    ) STRICT;

    CREATE TABLE ports (
        profile        TEXT PRIMARY KEY,
        port           INTEGER NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE requests ADD COLUMN dropped TEXT;   -- what translation left out, by the client's names
    ALTER TABLE attempts ADD COLUMN api TEXT;       -- the wire format spoken with the provider
    """,
    """
    -- What a profile leaves alone, so that a restart doesn't begin with calls that are known to fail.
    CREATE TABLE breakers (
        profile        TEXT NOT NULL,
        provider       TEXT NOT NULL,
        model          TEXT NOT NULL,
        key_name       TEXT NOT NULL,               -- '' for none
        retry_at_ms    INTEGER NOT NULL,            -- UTC
        left_ms        INTEGER NOT NULL,            -- of the wait, when it was written
        doublings      INTEGER NOT NULL,
        failed_at_ms   INTEGER NOT NULL,
        PRIMARY KEY (profile, provider, model, key_name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE cooldowns (
        profile        TEXT NOT NULL,
        provider       TEXT NOT NULL,
        model          TEXT,                        -- NULL = all
        key_name       TEXT,                        -- NULL = all
        until_ms       INTEGER NOT NULL,            -- UTC
        left_ms        INTEGER NOT NULL,
        reason         TEXT NOT NULL
    ) STRICT;
    CREATE INDEX cooldowns_by_profile ON cooldowns (profile);
    """,
    """
    ALTER TABLE requests ADD COLUMN trace TEXT;     -- the order's numbers, and who was passed over
    """,
    """
    ALTER TABLE attempts ADD COLUMN verdict TEXT;             -- of a draft: accepted | rejected; NULL = not judged
    ALTER TABLE attempts ADD COLUMN score REAL;               -- of a judged draft: 0 to 1
    ALTER TABLE attempts ADD COLUMN saving_nano_usd INTEGER;  -- of a draft; may be negative

    ALTER TABLE requests ADD COLUMN cache_lost INTEGER;       -- tokens in the prompt cache of the target that was left
    ALTER TABLE requests ADD COLUMN cache_lost_nano_usd INTEGER;
    CREATE INDEX requests_cache_lost ON requests (profile, time_ms) WHERE cache_lost IS NOT NULL;

    -- Calls of an hour. Where requests have been deleted meanwhile: one each, and another one for a fallback.
    ALTER TABLE rollup ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    UPDATE rollup SET attempts = requests + fallbacks WHERE provider <> '';
    UPDATE rollup SET attempts = kept.attempts
    FROM (
        SELECT time_ms / 3600000 AS hour, profile, rule, rule_hash, kind, ifnull(provider, '') AS provider,
            ifnull(model, '') AS model, client, ifnull(key, '') AS key, count(*) AS requests, sum(attempts) AS attempts
        FROM requests WHERE state = 'settled' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ) AS kept
    WHERE rollup.profile = kept.profile AND rollup.hour = kept.hour AND rollup.rule_hash = kept.rule_hash
        AND rollup.rule = kept.rule AND rollup.kind = kept.kind AND rollup.provider = kept.provider
        AND rollup.model = kept.model AND rollup.client = kept.client AND rollup.key = kept.key
        AND rollup.requests = kept.requests;

    ALTER TABLE rollup_day ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    UPDATE rollup_day SET attempts = hours.attempts
    FROM (
        SELECT hour / 24 AS day, profile, rule, rule_hash, kind, provider, model, client, key, sum(attempts) AS attempts
        FROM rollup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ) AS hours
    WHERE rollup_day.profile = hours.profile AND rollup_day.day = hours.day AND rollup_day.rule_hash = hours.rule_hash
        AND rollup_day.rule = hours.rule AND rollup_day.kind = hours.kind AND rollup_day.provider = hours.provider
        AND rollup_day.model = hours.model AND rollup_day.client = hours.client AND rollup_day.key = hours.key;
    """,
    """
    ALTER TABLE rollup ADD COLUMN drafted INTEGER NOT NULL DEFAULT 0;      -- requests that a draft was asked for
    ALTER TABLE rollup_day ADD COLUMN drafted INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE profile_states (                   -- the profiles that are disabled
        profile        TEXT PRIMARY KEY,
        disabled_ms    INTEGER NOT NULL             -- UTC
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- What budgets count beside the cost: of an open request what is kept back for it, of a settled one what was kept
    -- back for calls that may be charged and whose cost nobody knows. NULL = nothing.
    ALTER TABLE requests ADD COLUMN held_nano_usd INTEGER;
    -- The moment in whose day and month budgets count the request, where the clock had been ahead of time_ms before.
    ALTER TABLE requests ADD COLUMN charged_ms INTEGER;
    CREATE INDEX requests_held ON requests (profile, time_ms) WHERE held_nano_usd IS NOT NULL;
    CREATE INDEX requests_charged ON requests (profile, charged_ms) WHERE charged_ms IS NOT NULL;
    ALTER TABLE attempts ADD COLUMN reserved_nano_usd INTEGER;      -- kept back for this call in budgets
    ALTER TABLE keys ADD COLUMN monthly_usd REAL;

    -- What the request would have cost at the profile's default and at the model that was asked for.
    ALTER TABLE requests ADD COLUMN at_default_nano_usd INTEGER;    -- NULL = not known
    ALTER TABLE requests ADD COLUMN at_requested_nano_usd INTEGER;

    -- Of the requests of which both are known: how many, what they would have cost there, what they did cost.
    ALTER TABLE rollup ADD COLUMN at_default INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup ADD COLUMN at_default_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup ADD COLUMN at_default_paid_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup ADD COLUMN at_requested INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup ADD COLUMN at_requested_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup ADD COLUMN at_requested_paid_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup_day ADD COLUMN at_default INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup_day ADD COLUMN at_default_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup_day ADD COLUMN at_default_paid_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup_day ADD COLUMN at_requested INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup_day ADD COLUMN at_requested_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup_day ADD COLUMN at_requested_paid_nano_usd INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE requests ADD COLUMN baselines TEXT;      -- JSON: how at_default and at_requested were worked out

    -- What calls cost that another call of the request followed: drafts that weren't taken, failures before a further
    -- try; and how many such calls of unknown cost there were.
    ALTER TABLE rollup ADD COLUMN wasted_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup ADD COLUMN wasted_unknown INTEGER NOT NULL DEFAULT 0;
    UPDATE rollup SET wasted_nano_usd = kept.wasted, wasted_unknown = kept.unknown
    FROM (
        SELECT r.time_ms / 3600000 AS hour, r.profile, r.rule, r.rule_hash, r.kind, ifnull(r.provider, '') AS provider,
            ifnull(r.model, '') AS model, r.client, ifnull(r.key, '') AS key,
            ifnull(sum(a.cost_nano_usd), 0) AS wasted, sum(a.cost_nano_usd IS NULL) AS unknown
        FROM requests r CROSS JOIN attempts a ON a.request_id = r.id AND a.number < r.attempts
        WHERE r.state = 'settled' AND r.attempts > 1 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ) AS kept
    WHERE rollup.profile = kept.profile AND rollup.hour = kept.hour AND rollup.rule_hash = kept.rule_hash
        AND rollup.rule = kept.rule AND rollup.kind = kept.kind AND rollup.provider = kept.provider
        AND rollup.model = kept.model AND rollup.client = kept.client AND rollup.key = kept.key;

    ALTER TABLE rollup_day ADD COLUMN wasted_nano_usd INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rollup_day ADD COLUMN wasted_unknown INTEGER NOT NULL DEFAULT 0;
    UPDATE rollup_day SET wasted_nano_usd = hours.wasted, wasted_unknown = hours.unknown
    FROM (
        SELECT hour / 24 AS day, profile, rule, rule_hash, kind, provider, model, client, key,
            sum(wasted_nano_usd) AS wasted, sum(wasted_unknown) AS unknown
        FROM rollup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ) AS hours
    WHERE rollup_day.profile = hours.profile AND rollup_day.day = hours.day AND rollup_day.rule_hash = hours.rule_hash
        AND rollup_day.rule = hours.rule AND rollup_day.kind = hours.kind AND rollup_day.provider = hours.provider
        AND rollup_day.model = hours.model AND rollup_day.client = hours.client AND rollup_day.key = hours.key;
    """,
    """
    -- What budgets count beside the cost, so that they know it of requests that are deleted, too.
    ALTER TABLE rollup ADD COLUMN held_nano_usd INTEGER NOT NULL DEFAULT 0;
    UPDATE rollup SET held_nano_usd = kept.held
    FROM (
        SELECT time_ms / 3600000 AS hour, profile, rule, rule_hash, kind, ifnull(provider, '') AS provider,
            ifnull(model, '') AS model, client, ifnull(key, '') AS key, sum(held_nano_usd) AS held
        FROM requests WHERE held_nano_usd IS NOT NULL AND state = 'settled' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ) AS kept
    WHERE rollup.profile = kept.profile AND rollup.hour = kept.hour AND rollup.rule_hash = kept.rule_hash
        AND rollup.rule = kept.rule AND rollup.kind = kept.kind AND rollup.provider = kept.provider
        AND rollup.model = kept.model AND rollup.client = kept.client AND rollup.key = kept.key;

    ALTER TABLE rollup_day ADD COLUMN held_nano_usd INTEGER NOT NULL DEFAULT 0;
    UPDATE rollup_day SET held_nano_usd = hours.held
    FROM (
        SELECT hour / 24 AS day, profile, rule, rule_hash, kind, provider, model, client, key,
            sum(held_nano_usd) AS held
        FROM rollup WHERE held_nano_usd > 0 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ) AS hours
    WHERE rollup_day.profile = hours.profile AND rollup_day.day = hours.day AND rollup_day.rule_hash = hours.rule_hash
        AND rollup_day.rule = hours.rule AND rollup_day.kind = hours.kind AND rollup_day.provider = hours.provider
        AND rollup_day.model = hours.model AND rollup_day.client = hours.client AND rollup_day.key = hours.key;
    DROP INDEX requests_held;
    """,
)
