"""The example company played through the real path: deliveries, landing, marts, pipelines."""
