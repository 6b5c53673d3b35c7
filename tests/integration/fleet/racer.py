"""One of many processes that want a fleet's lease at the same moment: SITE_FILE FLEET; says `ready`, and begins at a line."""

from __future__ import annotations

import sys
import uuid

from fleet.errors import LeaseError
from fleet.lease.holder import this_owner
from fleet.service import lease

site_file, fleet = sys.argv[1:]
print("ready", flush=True)  # noqa: T201
sys.stdin.readline()
try:
    lease.acquire(site_file, fleet, str(uuid.uuid4()), this_owner("racer"))
    print("won", flush=True)  # noqa: T201
except LeaseError as error:
    print(error, flush=True)  # noqa: T201
sys.stdin.readline()  # the winner lives until all have asked
