-- Task mapping: how long what a task returned is, for those that are mapped over it, and the name of a mapped instance.
ALTER TABLE task_instance ADD COLUMN mapped_length INTEGER;
ALTER TABLE task_instance ADD COLUMN rendered_map_index TEXT;
