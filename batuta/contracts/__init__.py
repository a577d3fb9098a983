"""Event contracts: versioned JSON Schemas that say what may enter, and what becomes of personal data in it."""
