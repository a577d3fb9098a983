-- Every landing adds a batch, and nothing that reads them asks their statistics: looked through at the server's defaults
-- they have every reader of the live views plan anew, in mid-stream and for longer than the reading takes.

alter table batuta.batches set (
    autovacuum_analyze_scale_factor = 0.5,
    autovacuum_analyze_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0.5,
    autovacuum_vacuum_insert_threshold = 10000
);
