"""Personal data: how it is recognised, normalised, hashed, tokenised and masked."""
