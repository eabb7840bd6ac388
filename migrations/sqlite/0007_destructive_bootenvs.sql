-- A bootenv of kind `install` is destructive unless it says otherwise. Earlier versions stored `false` for
-- a field that was left out, so a stored `false` does not show what its writer meant: those bootenvs take
-- the new default.
UPDATE bootenv SET document = json_remove(document, '$.spec.destructive')
    WHERE json_valid(document) AND document ->> '$.spec.kind' = 'install'
    AND json_type(document, '$.spec.destructive') = 'false';
