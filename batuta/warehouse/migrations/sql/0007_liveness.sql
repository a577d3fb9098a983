-- What the checks of connectors look for is rare: pages that do not add up, pages with a count of the source, polls.

create index completeness_broken on batuta.completeness (product, connector, account, committed_at)
where counted <> landed + duplicate + quarantined + filtered;

create index completeness_totals on batuta.completeness (product, connector, account, committed_at)
where total is not null;

create index batches_polled on batuta.batches (committed_at) where way = 'poll';
