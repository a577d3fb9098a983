"""Reports: the daily review as a page, as a mail, and where they went.

`publish` is the way in. Reading (`gather`), building (`page`, `mail`) and delivering (`delivery`) are apart; building
does no I/O and gives the same bytes for the same inputs.
"""
