"""The `batuta` command: thin, and imports a command's code only when that command runs."""
