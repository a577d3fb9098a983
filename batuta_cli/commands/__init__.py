"""One module per command; each exposes a click command or group named in `batuta_cli.main.COMMANDS`."""
