"""The example company as it would really have been: people, orders, payments, campaigns, code.

Only the standard library; knows nothing of BATUTA, because it plays the vendors.
"""
