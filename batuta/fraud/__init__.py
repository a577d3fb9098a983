"""Signals of fraud in messages: facts that a person can check, read before anything is masked."""
