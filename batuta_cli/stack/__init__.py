"""What `batuta up` runs on one machine: the services, and the supervisor that looks after them."""
