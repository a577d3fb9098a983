-- What share of a product's net sales is gross profit, as its manifest declares; NULL where it does not.
alter table batuta.products add column gross_margin numeric(5, 4) check (gross_margin between 0 and 1);
