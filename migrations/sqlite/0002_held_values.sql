-- The writer knows who holds what and is the only one who writes: a table of all unique values, with a write
-- of its own to a far page for each new object, only told it again. What an object holds stands in its own
-- row, as JSON: [["mac", "52:54:00:aa:00:01"]]. It is read for rows that are damaged otherwise, whose values
-- stay taken.
ALTER TABLE machine ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE bootenv ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE template ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE param ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE profile ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE stage ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE task ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE workflow ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE job ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE subnet ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE reservation ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE lease ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE artifact ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE setting ADD COLUMN held TEXT NOT NULL DEFAULT '[]';
ALTER TABLE token ADD COLUMN held TEXT NOT NULL DEFAULT '[]';

CREATE INDEX unique_owner ON unique_value (kind, owner);
UPDATE machine SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'machine' AND owner = machine.key);
UPDATE bootenv SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'bootenv' AND owner = bootenv.key);
UPDATE template SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'template' AND owner = template.key);
UPDATE param SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'param' AND owner = param.key);
UPDATE profile SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'profile' AND owner = profile.key);
UPDATE stage SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'stage' AND owner = stage.key);
UPDATE task SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'task' AND owner = task.key);
UPDATE workflow SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'workflow' AND owner = workflow.key);
UPDATE job SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'job' AND owner = job.key);
UPDATE subnet SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'subnet' AND owner = subnet.key);
UPDATE reservation SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'reservation' AND owner = reservation.key);
UPDATE lease SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'lease' AND owner = lease.key);
UPDATE artifact SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'artifact' AND owner = artifact.key);
UPDATE setting SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'setting' AND owner = setting.key);
UPDATE token SET held = (SELECT json_group_array(json_array(name, value)) FROM unique_value
    WHERE kind = 'token' AND owner = token.key);
DROP TABLE unique_value;

-- Subjects come in no order: an index over all of them has a far page for nearly every event. This one begins
-- anew every 512 events, so that what is written together stands together; who looks for a subject looks into
-- each part (store/sqlite/events.rs).
DROP INDEX event_subject;
CREATE INDEX event_subject ON event (seq >> 9, subject);
