-- The inbox alone decides that an event lands once, and knows the batch of every key. An index of the log by key would
-- cost a random insert for every event; events are found by the batch that the inbox names.
drop index batuta.events_key;
