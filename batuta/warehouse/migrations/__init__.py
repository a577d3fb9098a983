"""Versioned SQL migrations: the files of `sql/`, in the order of their numbers. Shipped ones never change."""
