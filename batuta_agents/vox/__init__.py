"""Vox speaks with customers: who they are by what they buy, and what to say to them."""
