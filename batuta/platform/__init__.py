"""What BATUTA knows of itself: its runs, what they used, what was due, what is stored, what is promised. No Dagster."""
