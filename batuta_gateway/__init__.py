"""The door: webhooks, posted events, skills on request and report pages over HTTP. No Dagster in here."""
