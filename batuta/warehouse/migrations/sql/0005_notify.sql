-- Whoever listens on the channel `batuta_landed` hears of each batch when it is committed.
create function batuta.tell_landed() returns trigger language plpgsql as $$
begin
    perform pg_notify('batuta_landed', '');
    return null;
end
$$;

create trigger tell_landed after insert on batuta.batches
for each statement execute function batuta.tell_landed();
