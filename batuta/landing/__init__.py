"""Landing: the one way in, from a vendor's delivery to a committed, masked event."""
