"""What customers will be worth: BG/NBD for how often they buy again, gamma-gamma for what they spend, and the mean of
both together over a horizon. The statistics are pure; `store` reads the marts and keeps the result.
"""
