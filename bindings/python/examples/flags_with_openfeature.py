"""Feature flags through OpenFeature, in this process. Needs ``platform-core[openfeature]``."""

from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from platform_core import Platform
from platform_core.openfeature import PlatformProvider

with Platform.open("data") as p:
    p.flags.put(
        "checkout",
        {
            "state": "ENABLED",
            "variants": {"classic": "one page each", "fast": "one page"},
            "defaultVariant": "classic",
            "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "fast", None]},
        },
    )
    api.set_provider_and_wait(PlatformProvider(p))
    client = api.get_client()

    print(client.get_string_value("checkout", "closed"))
    details = client.get_string_details("checkout", "closed", EvaluationContext("ada", {"tier": "gold"}))
    print(details.value, details.variant, details.reason)

    p.flags.kill("checkout", reason="orders get lost")
    print(client.get_string_value("checkout", "closed"))

# Prints:
# one page each
# one page fast TARGETING_MATCH
# closed
