"""Whether the ears hear: accounts are polled, push channels stand, counts add up, nothing is silent. No Dagster."""
