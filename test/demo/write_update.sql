\set event random(:first_id, :last_id)
UPDATE events SET payload = payload || '.' WHERE id = :event;
