-- Runs are objects of their own, and keep the content that they were started with by its digest.
CREATE TABLE run (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]',
    commit_number INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE content (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]',
    commit_number INTEGER NOT NULL DEFAULT 1
) STRICT;

-- What a machine's status said of its run becomes that run. Who started it and why was not kept. Of its power-ons
-- there is the last one, and of its jobs those that are there still. The server gives runs under way the content
-- that is there when it starts for the first time (runs/kept_runs.rs).
INSERT OR IGNORE INTO run (key, revision, document)
SELECT status ->> '$.run.id', 1, json_object(
    'spec', json_patch(json_object(
        'machine', key,
        'machine_name', document ->> '$.spec.name',
        'macs', json(coalesce(document -> '$.spec.macs', '[]')),
        'workflow', status ->> '$.run.workflow',
        'rehearse', json(coalesce(status -> '$.run.rehearse', 'false')),
        'started_at', status ->> '$.run.started_at',
        'steps', json(coalesce(status -> '$.steps', '[]')),
        'attempts', json(CASE
            WHEN status ->> '$.boot_attempt.step' IS NULL THEN '[]'
            ELSE json_array(json_patch('{}', json_object(
                'id', status ->> '$.boot_attempt.id',
                'number', status -> '$.boot_attempt.number',
                'bootenv', status ->> '$.boot_attempt.bootenv',
                'step', status -> '$.boot_attempt.step',
                'started_at', status ->> '$.boot_attempt.started_at',
                'kernel_fetched_at', status ->> '$.boot_attempt.kernel_fetched_at',
                'ended_at', CASE WHEN status ->> '$.boot_attempt.result' IS NULL THEN NULL
                    ELSE status ->> '$.boot_attempt.seen_at' END,
                'result', status ->> '$.boot_attempt.result'))) END),
        'jobs', json((SELECT json_group_array(json_patch('{}', json_object(
                'id', job.key,
                'step', job.document -> '$.spec.step',
                'task', job.document ->> '$.spec.task',
                'attempt', job.document -> '$.spec.attempt',
                'state', job.document ->> '$.spec.state',
                'exit', job.document -> '$.spec.exit',
                'started_at', job.document ->> '$.spec.started_at',
                'ended_at', job.document ->> '$.spec.ended_at',
                'digest', job.document ->> '$.spec.digest')))
            FROM job WHERE json_valid(job.document) AND job.document ->> '$.spec.run' = status ->> '$.run.id'))
    ), json_object(
        'ended_at', status ->> '$.run.ended_at',
        'result', CASE
            WHEN status ->> '$.run.ended_at' IS NULL THEN NULL
            WHEN status ->> '$.state' = 'complete' THEN 'complete'
            ELSE 'cancelled' END)),
    'status', json('{}'),
    'source', 'site',
    'created_at', status ->> '$.run.started_at',
    'updated_at', document ->> '$.updated_at')
FROM (SELECT key, document, document -> '$.status' AS status FROM machine WHERE json_valid(document))
WHERE status ->> '$.run.id' IS NOT NULL;

UPDATE machine SET document = json_remove(
    json_set(document, '$.status.steps_total', coalesce(json_array_length(document, '$.status.steps'), 0)),
    '$.status.steps')
WHERE json_valid(document) AND document ->> '$.status.run.id' IS NOT NULL;
UPDATE machine SET document = json_remove(document, '$.status.steps')
WHERE json_valid(document) AND document ->> '$.status.run.id' IS NULL;
