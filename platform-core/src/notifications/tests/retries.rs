//! Dead deliveries.

use super::*;

#[test]
fn a_dead_delivery_is_retried_on_request_and_then_its_content_is_forgotten() {
    let world = World::new();
    world.channel.fail_with(vec![transient(); delivery::ATTEMPTS as usize]);
    let sent = world.send(to("bob@example.org"));
    let retry = |context: &Context| world.run(world.notifications.retry(context, sent.id));
    assert_eq!(retry(&system()).unwrap_err().code(), "notifications.not_dead");
    world.pass(5 * 3600);
    assert_eq!(world.state(&sent), "dead");
    let somebody = signed_in(UserId(RawId([1; 16])), &[READ]);
    assert_eq!(retry(&somebody).unwrap_err().code(), "auth.forbidden");
    let keyed = system().with_key("again".parse().unwrap());
    let first = retry(&keyed).unwrap();
    assert_eq!((first.state.as_str(), first.attempts.len()), ("accepted", 0));
    world.pass(1);
    assert_eq!(retry(&keyed).unwrap(), first, "the same request has the same answer");
    assert_eq!((world.state(&sent).as_str(), world.channel.sent().len()), ("sent", 1));
    assert_eq!(world.stored(&sent).content, None);
    let told: Vec<_> =
        world.events().into_iter().filter(|event| *event != "notifications.attempt_failed").collect();
    assert_eq!(
        told,
        ["notifications.accepted", "notifications.not_sent", "notifications.retried", "notifications.sent"]
    );
    let missing = world.run(world.notifications.retry(&system(), NotificationId(RawId([1; 16]))));
    assert_eq!(missing.unwrap_err().code(), "notifications.not_found");
}

#[test]
fn what_is_dead_too_long_or_past_its_deadline_is_not_retried() {
    let world = World::new();
    world.channel.fail_with(vec![transient(); 2 * delivery::ATTEMPTS as usize]);
    let kept = world.send(to("bob@example.org"));
    let late = world.send(SendRequest { deadline: Some(world.after(6 * 3600)), ..to("eve@example.org") });
    world.pass(5 * 3600);
    assert_eq!((world.state(&kept).as_str(), world.state(&late).as_str()), ("dead", "dead"));
    assert!(world.stored(&kept).content.is_some());
    let code = |sent: &NotificationView| {
        world.run(world.notifications.retry(&system(), sent.id)).unwrap_err().code()
    };
    world.pass(3700);
    assert_eq!(code(&late), "notifications.past_deadline");
    assert_eq!(world.stored(&late).content, None);
    world.pass(8 * 24 * 3600);
    assert_eq!(code(&kept), "notifications.content_forgotten");
    assert_eq!((world.stored(&kept).content, world.state(&kept).as_str()), (None, "dead"));
}
