"""The players: one folder per agent, one module per skill, and the runtime that executes them."""
