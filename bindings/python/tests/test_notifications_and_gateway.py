"""Templates, preferences and routes from Python. What the domains themselves do is tested beside them."""

from __future__ import annotations

import pytest

from platform_core import (
    Error,
    FailedPreconditionError,
    InvalidInputError,
    NotFoundError,
    Platform,
    Profile,
    TemplateParts,
)


def test_a_template_speaks_several_languages(p: Platform) -> None:
    german = TemplateParts("Bestellung {{ order }}", "Unterwegs.", html="<p>Unterwegs.</p>")
    first = p.notifications.put_template(
        "shipped", "Order {{ order }}", "On its way.", category="orders", if_unknown="hold", locales={"de": german}
    )
    assert (first.revision, first.category, first.if_unknown) == (1, "orders", "hold")
    assert first.locales == {"de": german} and first.created_by == "service:python"
    assert p.notifications.preview("shipped", data={"order": 7}).subject == "Order 7"
    assert p.notifications.preview("shipped", data={"order": 7}, locale="de").html == "<p>Unterwegs.</p>"
    with pytest.raises(InvalidInputError) as raised:
        p.notifications.preview("shipped")
    assert raised.value.code == "notifications.render_failed"
    with pytest.raises(FailedPreconditionError):
        p.notifications.put_template("shipped", "Order", "On its way.", expected=7)
    p.notifications.put_template("shipped", "Order", "Gone.", expected=1, reason="shorter")
    assert [template.reason for template in p.notifications.template_revisions("shipped")] == ["shorter", None]
    assert [template.name for template in p.notifications.templates()] == ["shipped"]


def test_what_no_channel_takes_is_refused(p: Platform, ada: Profile) -> None:
    p.notifications.put_template("shipped", "Order", "On its way.")
    with pytest.raises(Error) as raised:
        p.notifications.send("shipped", user_id=ada.id)
    assert raised.value.code == "notifications.channel_not_configured"
    assert list(p.notifications.list()) == []
    assert set(p.notifications.attempts().values()) == {0}


def test_security_mail_cannot_be_switched_off(p: Platform, ada: Profile) -> None:
    changed = p.notifications.put_preferences(ada.id, {"news": False, "orders": True})
    assert p.notifications.preferences(ada.id) == changed
    with pytest.raises(Error) as raised:
        p.notifications.put_preferences(ada.id, {"security": False})
    assert raised.value.code == "notifications.category_required"
    with pytest.raises(FailedPreconditionError):
        p.notifications.put_preferences(ada.id, {}, expected=changed.version + 1)


def test_a_route_is_what_the_rest_interface_takes(p: Platform) -> None:
    definition = {
        "match": {"path": "/orders/{*rest}", "methods": ["GET"]},
        "access": "orders:read",
        "target": {"upstreams": ["http://127.0.0.1:8080"]},
        "limit": {"per": "second", "rate": 10, "by": "user"},
    }
    route = p.gateway.put("orders", definition)
    assert p.gateway.get("orders") == route and route.definition == definition
    with pytest.raises(InvalidInputError) as raised:
        p.gateway.put("orders", {**definition, "acces": "open"})
    assert raised.value.code == "gateway.invalid_route" and "acces" in raised.value.message
    with pytest.raises(FailedPreconditionError):
        p.gateway.delete("orders", revision=7)
    p.gateway.delete("orders", revision=1)
    with pytest.raises(NotFoundError):
        p.gateway.get("orders")
