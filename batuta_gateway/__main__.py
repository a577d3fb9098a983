"""`python -m batuta_gateway`."""

import sys

from batuta_gateway.server import main

sys.exit(main())
