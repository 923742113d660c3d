"""A site of Django whose users sign in at the platform. Needs ``platform-core[django]``.

The settings and the views of a site stand in modules of their own; and a client of the tests asks here.
"""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path

from platform_core import Platform
from platform_core.django import platform_of, principal_of, requires

platform = Platform.open("data")

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    MIDDLEWARE=["platform_core.django.PlatformMiddleware"],
    PLATFORM_CORE=platform,
    ROOT_URLCONF=__name__,
    SECRET_KEY="keep it secret",
)


def me(request: HttpRequest) -> JsonResponse:
    """Everybody reads themselves: the users domain checks it."""
    user = principal_of(request).user_id
    return JsonResponse({"name": platform_of(request).users.get(user).name if user else None})


@requires("orders:read")
async def orders(request: HttpRequest) -> JsonResponse:
    """Only for clerks."""
    return JsonResponse({"orders": []})


urlpatterns = [path("me", me), path("orders", orders)]

if __name__ == "__main__":
    with platform:
        platform.auth.register("ada@example.org", "a long enough password", name="Ada")
        pair = platform.auth.login("ada@example.org", "a long enough password")
        client = Client(headers={"Authorization": f"Bearer {pair.access_token}"})
        print(client.get("/me").json())
        refused = client.get("/orders", headers={"X-Request-Id": "first"})
        print(refused.status_code, refused.json()["code"], refused.headers["X-Request-Id"])

# Prints:
# {'name': 'Ada'}
# 403 auth.forbidden first
