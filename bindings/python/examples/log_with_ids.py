"""Lines of the log, entries of the audit trail and requests, tied together by one id. Needs ``platform-core[structlog]``."""

import logging
import sys

import structlog

from platform_core import Platform
from platform_core.correlation import CorrelationFilter, add_correlation_id, correlated

handler = logging.StreamHandler(sys.stdout)
handler.addFilter(CorrelationFilter())
logging.basicConfig(format="[%(correlation_id)s] %(message)s", handlers=[handler], level=logging.INFO)

structlog.configure(processors=[add_correlation_id, structlog.processors.JSONRenderer(sort_keys=True)])

with Platform.open("data") as p:
    with correlated("nightly-17") as id:
        logging.info("the import begins")
        p.acting_as("importer", correlation_id=id).users.create("ada@example.org")
        structlog.get_logger().info("imported", users=1)
    logging.info("the import has ended")

    p.settled()
    for entry in p.audit.events(action="users.profile_created"):
        print(entry.actor, entry.correlation_id)

# Prints:
# [nightly-17] the import begins
# {"correlation_id": "nightly-17", "event": "imported", "users": 1}
# [-] the import has ended
# service:importer nightly-17
