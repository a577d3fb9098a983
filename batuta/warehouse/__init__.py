"""The warehouse: PostgreSQL with TimescaleDB and pgvector, its connections and its migrations."""
