"""What `batuta doctor` looks at: each check returns findings and never raises for what it looks for."""
