-- Results read the rows of one experiment; rows without one cost nothing.
CREATE INDEX requests_experiment ON requests (experiment, started_at_us) WHERE experiment IS NOT NULL;
