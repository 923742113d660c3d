//! What is stored and published in clear.

use super::*;

#[test]
fn no_refresh_token_is_stored_in_clear() {
    let world = World::new();
    world.register("ada@example.org");
    let first = world.login("ada@example.org");
    let second = world.refresh(&first.refresh_token).unwrap();
    let text = serde_json::to_string(&world.stored::<StoredRefreshToken>()).unwrap();
    assert!(!text.contains(&first.refresh_token) && !text.contains(&second.refresh_token));
}

#[test]
fn no_event_carries_an_address_a_name_a_password_or_a_token_in_clear() {
    let world = World::new();
    world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    world.try_login(&anyone(), "ada@example.org", "wrong password, long");
    world.try_login(&anyone(), "bob@example.org", "wrong password, long");
    let next = world.refresh(&pair.refresh_token).unwrap();
    world.run(world.auth.logout(&world.context(&next), &LogoutRequest::default())).unwrap();
    let secrets = [
        "example.org",
        "Ada",
        "horse",
        "wrong password",
        &pair.refresh_token,
        &next.refresh_token,
        &pair.access_token,
        "192.0.2",
    ];
    let events = world.events();
    assert!(events.len() >= 5);
    for event in events {
        let text = String::from_utf8(event.to_json()).unwrap();
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
