ALTER TABLE events ADD COLUMN id_convert_to_bigint bigint;
CREATE FUNCTION events_copy_id() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.id_convert_to_bigint := NEW.id; RETURN NEW; END';
CREATE TRIGGER copy_id BEFORE INSERT OR UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_copy_id();
