"""The addresses of the portal, JSON for the test to read."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path


def me(request: Any) -> HttpResponse:
    """Say who is signed in."""
    user = request.user
    return JsonResponse(
        {"signed_in": user.is_authenticated}
        | ({"sub": user.username, "name": user.last_name, "email": user.email} if user.is_authenticated else {})
    )


def front(_request: HttpRequest) -> HttpResponse:
    """Offer the way out, which is a form because a link could be followed by accident."""
    return HttpResponse('<form id="signout" action="/oidc/logout/" method="post"></form>')


urlpatterns = [
    path("oidc/", include("mozilla_django_oidc.urls")),
    path("", front),
    path("me", me),
    path("healthz", lambda _request: JsonResponse({})),
    path("refused", lambda _request: JsonResponse({"refused": True}, status=502)),
    path("signed-out", lambda request: JsonResponse({"signed_out": not request.user.is_authenticated})),
]
