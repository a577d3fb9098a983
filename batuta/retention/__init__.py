"""Retention of the log: events older than their product's policy go, how every entity stands stays.

Chunk by chunk, the oldest first, each in one transaction: events that are the newest word on an entity move to
`batuta.kept_events`, the others go. So a full rebuild of the models, which read log and kept events as one
(`batuta.history`), gives the same values before and after. What a reader has still to read stays, and so does what
belongs to another product. The inbox is left alone: an event lands once, ever. Attachments and media go with the last
event that names them (`contents.py`).

A chunk goes when all of it is older than the policy says, so an event stays up to a chunk's length (7 days) longer.
"""
