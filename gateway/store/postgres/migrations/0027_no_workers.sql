-- Leases of processes that stored rows, before there was a journal.
DROP TABLE workers;
