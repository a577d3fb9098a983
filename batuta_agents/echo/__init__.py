"""Echo hears what people write to the company."""
