"""``python -m affinitynet``: the same as the command ``affinitynet``."""

import sys

from affinitynet.cli import main

sys.exit(main())
